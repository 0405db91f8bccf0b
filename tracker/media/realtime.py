"""Frames as a camera gives them, whether or not somebody is ready for them, and how late the answers come."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from tracker.media.frames import Frame


@dataclass(frozen=True)
class Clock:
    """The time that passes: `now` in seconds, and `wait`, which lets so many seconds pass."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


@dataclass
class Pace:
    """When frames come, and when their answers.

    Attributes:
        clock: of both.
        live: frames come at their own times, counted from the start, and those that nobody was ready for are dropped,
            as by a camera that keeps only its latest picture. Otherwise each comes when it is asked for.
        dropped: how many were.
        latencies: seconds from a frame's coming to its answer, without the first one, which starts the tracker.
    """

    clock: Clock = field(default_factory=Clock)
    live: bool = False
    dropped: int = 0
    latencies: list[float] = field(default_factory=list)
    _began: float = 0.0  # the clock's time at second 0 of the source
    _came: float = 0.0  # the clock's time when the last frame came

    def start(self, first: Frame) -> None:
        """The first frame comes now."""
        self._began = self.clock.now() - first.seconds

    def frames(self, given: Iterator[Frame], interval: float, kept: Collection[int] = ()) -> Iterator[Frame]:
        """Those of the other frames that come while somebody is ready; all of them where it is not `live`.

        Args:
            given: all frames after the first.
            interval: usual seconds between two of them: so long nobody looks for a newer one, which a stream from the
                network would make them wait for.
            kept: numbers of frames that are never dropped, since something is given for them.
        """
        waiting: Frame | None = None
        while (frame := waiting or next(given, None)) is not None:
            waiting = None
            if not self.live:
                self._came = self.clock.now()
                yield frame
                continue
            passed = self.clock.now() - self._began
            while frame.index not in kept and frame.seconds + interval <= passed:
                newer = next(given, None)
                if newer is None or newer.seconds > passed:
                    waiting = newer
                    break
                frame, self.dropped = newer, self.dropped + 1
            self._came = self._began + frame.seconds
            self.clock.wait(max(0.0, self._came - self.clock.now()))
            yield frame

    def answered(self) -> None:
        """The answer of the frame that came last is there."""
        self.latencies.append(self.clock.now() - self._came)

    def latency(self) -> dict[str, float]:
        """Percentiles 50 and 95 of the latencies in milliseconds; nothing where there are none."""
        if not self.latencies:
            return {}
        p50, p95 = np.percentile(self.latencies, (50, 95)) * 1000.0
        return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}
