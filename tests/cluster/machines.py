"""A real scheduler, and workers that are processes of their own in folders of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.conftest import CHECKOUT, clean_environment

# runs a command that finds another, empty folder in one's place
HIDE = ["unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"']


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.05)


class Machines:
    """A cluster in a folder; everything is ended with it."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self.folder, self.variables = folder, variables
        self.file = folder / "scheduler.json"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        command = ["--port", "0", "--scheduler-file", str(self.file), *(words or ("--no-dashboard",))]
        self.scheduler = self._start(folder, "scheduler", *command)
        wait_until(self.file.exists)

    def _start(
        self, folder: Path, kind: str, *words: str, path: Path = CHECKOUT, hidden: Path | None = None
    ) -> subprocess.Popen[bytes]:
        folder.mkdir(parents=True, exist_ok=True)
        before = [] if hidden is None else [*HIDE, str(hidden)]
        with (folder / f"{kind}.log").open("wb") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", "--host", "127.0.0.1", *words],
                cwd=folder,
                env=clean_environment(PYTHONPATH=str(path), HTTPS_PROXY="http://127.0.0.1:9", **self.variables),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def worker(
        self, name: str, *words: str, path: Path = CHECKOUT, threads: int = 1, hidden: Path | None = None
    ) -> Path:
        """Start a worker without a nanny in a folder of its own, which does not see a hidden one; returns its own."""
        folder = self.folder / name
        command = ["--scheduler-file", str(self.file), "--nthreads", str(threads), "--no-nanny", "--name", name]
        command += ["--local-directory", str(folder), "--no-dashboard", *words]
        self.workers[name] = self._start(folder, "worker", *command, path=path, hidden=hidden)
        log = folder / "worker.log"
        wait_until(lambda: "Registered to" in log.read_text() or self.workers[name].poll() is not None)
        assert self.workers[name].poll() is None, log.read_text()
        return folder

    def __enter__(self) -> Machines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()
