"""When frames come and which are dropped, by a clock that moves only when it is told to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tracker.media.frames import Frame
from tracker.media.realtime import Clock, Pace

INTERVAL = 0.125  # and all durations are fractions that floating point holds exactly
IMAGE = np.zeros((2, 2, 3), np.uint8)


class Hands:
    """A clock's hands, which `wait` moves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.clock = Clock(lambda: self.time, self.pass_)

    def pass_(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds


def given(seconds: Sequence[float]) -> Iterator[Frame]:
    return (Frame(index, time, IMAGE) for index, time in enumerate(seconds))


def tracked(
    seconds: Sequence[float], durations: float | Sequence[float], *, live: bool = True, kept: Collection[int] = ()
) -> tuple[list[int], Pace]:
    """Numbers of the frames that a tracker gets which takes so long for each, the first one among them."""
    hands = Hands()
    pace, frames, got = Pace(hands.clock, live), given(seconds), [0]
    needed = iter(durations) if isinstance(durations, Sequence) else iter([durations] * len(seconds))
    pace.start(next(frames))
    hands.pass_(next(needed))
    for frame in pace.frames(frames, INTERVAL, kept):
        hands.pass_(next(needed))
        pace.answered()
        got.append(frame.index)
    return got, pace


TIMES = [INTERVAL * index for index in range(10)]


def test_who_is_fast_enough_gets_every_frame_when_it_comes() -> None:
    got, pace = tracked(TIMES, 0.0625)
    assert got == list(range(10)) and pace.dropped == 0
    assert pace.latency() == {"p50": 62.5, "p95": 62.5}


def test_who_is_slow_gets_the_newest_frame_and_waits_for_none() -> None:
    got, pace = tracked(TIMES, 0.3125)
    # ready again at 0.3125, 0.625, 0.9375, 1.25; the newest frames then are those of 0.25, 0.625, 0.875 and 1.125
    assert got == [0, 2, 5, 7, 9] and pace.dropped == 5
    assert pace.latencies == [0.0625 + 0.3125, 0.3125, 0.0625 + 0.3125, 0.125 + 0.3125]


def test_a_slow_start_drops_frames_and_then_all_come() -> None:
    got, pace = tracked(TIMES, [0.6875, *[0.03125] * 9])
    assert got == [0, 5, 6, 7, 8, 9] and pace.dropped == 4
    assert pace.latencies == [0.0625 + 0.03125, *[0.03125] * 4]


def test_frames_that_something_is_given_for_are_kept() -> None:
    got, pace = tracked(TIMES, 0.375, kept={1, 4})
    assert got == [0, 1, 4, 9] and pace.dropped == 6


def test_irregular_frames_come_at_their_own_times() -> None:
    got, pace = tracked([0.0, 0.125, 2.0, 2.125], 0.375)
    assert got == [0, 1, 2, 3] and pace.dropped == 0
    assert pace.latencies == [0.25 + 0.375, 0.375, 0.25 + 0.375]


def test_frames_that_do_not_begin_at_zero_begin_with_the_start() -> None:
    got, pace = tracked([5.0, 5.125, 5.25], 0.0625)
    assert got == [0, 1, 2] and pace.latencies == [0.0625, 0.0625]


def test_otherwise_every_frame_comes_when_it_is_asked_for() -> None:
    got, pace = tracked(TIMES, 0.25, live=False)
    assert got == list(range(10)) and pace.dropped == 0
    assert pace.latency() == {"p50": 250.0, "p95": 250.0}


def test_one_frame_has_no_latency() -> None:
    _, pace = tracked([0.0], 0.06)
    assert pace.latency() == {}
