"""Ctrl-C, SIGTERM and a closed terminal in a run that writes files: they end it between two frames, never in a file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user, or the system, ended the run. No Exception, so that nothing on the way up mistakes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class Interruption:
    """Turns signals into `Interrupted` while it is entered: at once, so that it ends a wait for a camera or a pipe,
    except within `held`, where files are written; there, at the end of that. One that is ignored stays so: under nohup,
    a closed terminal ends nothing.
    """

    def __init__(self) -> None:
        self._holding = False
        self._pending: int | None = None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._holding:
            raise Interrupted(number)
        self._pending = number

    def __enter__(self) -> Interruption:
        numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
                raise Interrupted(number)
