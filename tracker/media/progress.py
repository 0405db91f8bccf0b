"""How far a run is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

INTERVAL = 10.0  # seconds between lines in a log
PATIENCE = 1.5  # seconds without a frame before the user is told what is waited for
COLUMNS = 80  # of a bar on a terminal that does not tell its width


class Progress:
    """Tells how far the run is, with frames per second and the time that is left, on standard error.

    Args:
        stream: where to (default: standard error, as it is now).
        prog: the command, which warnings and notes begin with.
        interval: seconds between two lines, where `stream` is not a terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, prog: str = "dmb", interval: float = INTERVAL) -> None:
        self.stream, self.prog = stream or sys.stderr, prog
        self.interval = interval
        self.total: int | None = None
        self.bar: tqdm | None = None
        self.done = 0
        self.began = self.told = 0.0

    def start(self, total: int | None) -> None:
        """Begin; `total` frames are expected (None: nobody knows)."""
        self.total, self.began = total, time.monotonic()
        self.told = self.began
        if self.stream.isatty():
            known = self._columns() > 0
            width = {"dynamic_ncols": True} if known else {"ncols": COLUMNS}
            self.bar = tqdm(total=total, unit=" frames", file=self.stream, **width)

    def _columns(self) -> int:
        """Width of the terminal as it tells; serial lines, and terminals within other programs, tell 0."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):
            return 0

    def step(self) -> None:
        """One frame is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
        elif time.monotonic() - self.told >= self.interval:
            self.told = time.monotonic()
            print(self._line(), file=self.stream, flush=True)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.done / max(self.seconds, 1e-9)

    def _line(self) -> str:
        done = f"{self.done} of {self.total}" if self.total else f"{self.done}"
        text = f"frames: {done}, {self.rate:.2f} fps"
        if self.total and self.done < self.total:
            left = round((self.total - self.done) / self.rate)
            text += f", {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
        return text

    def warn(self, sentence: str) -> None:
        """Tell the user what went wrong, without tearing the bar."""
        self._tell(f"{self.prog}: warning: {sentence}")

    def note(self, sentence: str) -> None:
        """Tell the user what is hardly meant so."""
        self._tell(f"{self.prog}: note: {sentence}")

    def _tell(self, line: str) -> None:
        with tqdm.external_write_mode(file=self.stream):
            print(line, file=self.stream, flush=True)

    @contextmanager
    def waiting(self, sentence: str) -> Iterator[None]:
        """Tell the user what is waited for, if what is done in here takes a while."""
        timer = threading.Timer(PATIENCE, self._tell, [sentence])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
