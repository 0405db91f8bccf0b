"""Ctrl-C and `kill` while processes are being started: they are remembered, and obeyed where nothing is forgotten."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Remembers a signal. Nothing is interrupted by it at once, so that no process is started and forgotten."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> int | None:
        return self.number

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Receive the signals of Ctrl-C, `kill` and a closed terminal."""

        def remember(number: int, _frame: FrameType | None) -> None:
            self.number = number

        # one that is ignored stays so: under nohup, a closed terminal ends nothing
        numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, remember) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
