"""A tracker that runs for hours grows neither in memory nor in open files and threads.

`pytest -m slow tests/robustness/test_soak.py`. Memory is the resident set size of the process, as Linux states it.
"""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.robustness.checks import assert_valid
from tests.robustness.pictures import SHAPE, TARGET, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB, load_weights
from tracker.config import TrackerConfig
from tracker.engine import Engine

STATM, DESCRIPTORS = Path("/proc/self/statm"), Path("/proc/self/fd")
MAY_GROW = 1.05  # times the resident set size after the warm-up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not STATM.exists(), reason="no /proc/self/statm here"),
]


def resident() -> float:
    """Megabytes in memory."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors() -> int:
    return len(os.listdir(DESCRIPTORS))


def soak(dmb: DMB, initialisations: int, frames: int, warm_up: int, report: Callable[[str], None]) -> None:
    """Track `frames` frames over so many initialisations, of three kinds in turn; assert that nothing grows."""
    starts = (TARGET, target_mask(), [(40, 30), (69, 30), (69, 53), (40, 53)])
    each, last = frames // initialisations, 0.0
    for number in range(initialisations):
        dmb.initialize(frame(), starts[number % 3], masks=number % 3 == 1)
        for index in range(1, each + 1):
            result = dmb.track(frame(index))
        assert_valid(result, SHAPE)
        assert len(dmb.appearance.frames) <= dmb.config.appearance.max_frames
        assert len(dmb.localiser.memory.samples.stored()[0]) <= dmb.config.filter.sample_capacity
        if number == warm_up:
            before = resident(), descriptors(), threading.active_count()
        last = resident() if number % 20 == 0 or number == initialisations - 1 else last
    after = last, descriptors(), threading.active_count()
    report(f"{initialisations} initialisations, {initialisations * each} frames: {before[0]:.1f} MB after the warm-up, "
           f"{after[0]:.1f} MB at the end; {before[1]} and {after[1]} open files")  # fmt: skip
    assert after[0] <= MAY_GROW * before[0], (before, after)
    assert after[1:] == before[1:]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    return show


def test_ten_thousand_frames_and_two_hundred_initialisations(report: Callable[[str], None]) -> None:
    soak(DMB(tiny_engine(), CONFIG), 200, 10_000, 20, report)


def test_one_long_video(report: Callable[[str], None]) -> None:
    """No restart on the way: what a video leaves behind per frame would add up."""
    dmb = DMB(tiny_engine(), CONFIG)
    dmb.initialize(frame(), TARGET)
    for index in range(1, 3001):
        dmb.track(frame(index))
        if index == 500:
            before = resident(), descriptors(), threading.active_count()
    after = resident(), descriptors(), threading.active_count()
    report(f"one video of 3000 frames: {before[0]:.1f} MB after 500 frames, {after[0]:.1f} MB at the end; "
           f"{before[1]} and {after[1]} open files")  # fmt: skip
    assert after[0] <= MAY_GROW * before[0], (before, after)
    assert after[1:] == before[1:]
    assert len(dmb.appearance.frames) <= CONFIG.appearance.max_frames


def test_the_full_network(report: Callable[[str], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        soak(DMB(Engine(load_weights()), TrackerConfig()), 10, 500, 2, report)
