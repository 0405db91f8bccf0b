"""How far a run is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm

INTERVAL = 10.0  # seconds between lines in a log


class Progress:
    """Tells how far the run is, with frames per second and the time that is left, on standard error.

    Args:
        stream: where to (default: standard error, as it is now).
        interval: seconds between two lines, where `stream` is no terminal.
    """

    def __init__(self, stream: TextIO | None = None, interval: float = INTERVAL) -> None:
        self.stream = stream or sys.stderr
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
            self.bar = tqdm(total=total, unit=" frames", file=self.stream, dynamic_ncols=True)

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
        with tqdm.external_write_mode(file=self.stream):
            print(f"warning: {sentence}", file=self.stream, flush=True)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
