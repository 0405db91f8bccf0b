"""TraX servers, started quickly: children of a process that has imported all, each with a client or raw pipes."""

from __future__ import annotations

import multiprocessing
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext

import trax  # type: ignore[import-untyped]
from trax.client import Client  # type: ignore[import-untyped]

PATIENCE = 120.0  # seconds that an answer may take before it counts as a hang
PRELOADED = ["tests.doubles", "tracker.trax.session", "tests.robustness.tiny_server"]


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _serve(double: str, requests: Connection, answers: Connection, environ: Mapping[str, str]) -> None:
    """The child: standard streams as a client would have set them, then the real entry point."""
    for name in [name for name in os.environ if name.startswith(("DMB_", "TRAX", "VOT_"))]:
        del os.environ[name]
    os.environ.update({"TRAX": "1", "DOUBLE": double}, **environ)
    os.dup2(requests.fileno(), 0)
    os.dup2(answers.fileno(), 1)
    os.dup2(answers.fileno(), 2)
    for connection in (requests, answers):
        connection.close()
    from tests import doubles
    from tests.robustness import tiny_server
    from tracker.trax_server import main

    sys.exit(main([], load={"tiny": tiny_server.load, "seeing": tiny_server.load_seeing}.get(double, doubles.load)))


class Server:
    """A server process; `text` is all that it has said.

    Args:
        double: which tracker is served, see `tests.doubles`; "tiny" for DMB with the tiny network, "seeing" for
            one that tells each frame's brightness.
        environ: settings.
    """

    def __init__(self, double: str = "still", **environ: str) -> None:
        context = _context()
        theirs, self._requests = context.Pipe(duplex=False)
        self._answers, also_theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_serve, args=(double, theirs, also_theirs, environ), daemon=True)
        self.process.start()
        theirs.close()
        also_theirs.close()
        self.text = ""
        self.client: Client | None = None

    @property
    def pid(self) -> int:
        """Of the server process."""
        assert self.process.pid is not None
        return self.process.pid

    def connect(self) -> Client:
        """Greet the server with the real client."""
        self.client = Client((self._requests.fileno(), self._answers.fileno()), log=self._append)
        return self.client

    def _append(self, text: str) -> None:
        self.text += text

    def send(self, message: bytes) -> None:
        """Write raw bytes; a server that has gone does not hear them."""
        try:
            while message:
                _, writable, _ = select.select([], [self._requests.fileno()], [], PATIENCE)
                assert writable, "the server has stopped reading"
                message = message[os.write(self._requests.fileno(), message[:60_000]) :]
        except BrokenPipeError:
            pass

    def read_until(self, wanted: Callable[[str], bool]) -> bool:
        """Read what it says until that is enough (True) or it has ended (False); a hang fails the test."""
        end = time.monotonic() + PATIENCE
        while not wanted(self.text):
            readable, _, _ = select.select([self._answers.fileno()], [], [], max(0.0, end - time.monotonic()))
            assert readable, f"no answer within {PATIENCE} s: {self.text[-500:]}"
            content = os.read(self._answers.fileno(), 1 << 20)
            if not content:
                return False
            self.text += content.decode(errors="replace")
        return True

    def hang_up(self) -> None:
        """Close the stream of requests."""
        if not self._requests.closed:
            self._requests.close()

    def stop_listening(self) -> None:
        """Close the stream of answers."""
        if not self._answers.closed:
            self._answers.close()

    def wait(self) -> int:
        """The exit code, negative for a signal; everything said is in `text`."""
        if not self._answers.closed:
            self.read_until(lambda text: False)
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "the process has not ended"
        return self.process.exitcode

    def close(self) -> None:
        """End it, whatever its state."""
        if self.client is not None:
            self.client.quit()  # one that is collected unterminated crashes in libtrax
            self.process.join(PATIENCE)
        self.hang_up()
        if self.process.is_alive():
            self.process.kill()
        self.process.join(PATIENCE)
        self.stop_listening()


def states(text: str) -> list[str]:
    """The complete answers in what a server said."""
    return [line for line in text.split("\n")[:-1] if line.startswith("@@TRAX:state ")]


def rectangle(x: float = 10, y: float = 5, width: float = 20, height: float = 12) -> trax.Region:
    return trax.Rectangle.create(x, y, width, height)
