"""Ctrl-C, SIGTERM and a closed terminal: every handler of this project is installed here.

A signal that is ignored stays so: under nohup a closed terminal ends nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)  # beside Ctrl-C, which Python turns into KeyboardInterrupt
SIGNALS = (signal.SIGINT, *ENDING)

Handler = Callable[[int, FrameType | None], Any]


class Stopped(BaseException):
    """A signal asked for the end. No Exception, so that nothing on the way up mistakes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def install(handler: Handler, numbers: Sequence[signal.Signals] = SIGNALS) -> dict[signal.Signals, Any]:
    """Handle signals from now on; returns the handlers before, by signal."""
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heeded}


@contextmanager
def handled(handler: Handler, numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Handle signals for a while; then the handlers are those from before."""
    before = install(handler, numbers)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def stop(number: int, _frame: FrameType | None) -> None:
    """A handler: raises Stopped."""
    raise Stopped(number)


def leave(number: int, _frame: FrameType | None) -> None:
    """A handler: unwinds the stack, and the process ends with 128 + the signal; raises SystemExit."""
    raise SystemExit(128 + number)


class Interruption:
    """Turns signals into `Stopped` while it is entered: at once, so that it ends a wait for a camera or a pipe, except
    within `held`, where files are written; there, at the end of that.
    """

    def __init__(self) -> None:
        self._holding = False
        self._pending: int | None = None
        self._handled = handled(self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._holding:
            raise Stopped(number)
        self._pending = number

    def __enter__(self) -> Interruption:
        self._handled.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._handled.__exit__(None, None, None)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what is done in here finish first."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._pending is not None:
                number, self._pending = self._pending, None
                raise Stopped(number)


class StopFlag:
    """Remembers a signal. Nothing is interrupted by it at once, so that no process is started and forgotten."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> int | None:
        return self.number

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.number = number

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Receive the signals of Ctrl-C, `kill` and a closed terminal."""
        with handled(self._remember):
            yield
