"""A tracker that runs for hours grows neither in memory nor in open files, threads and time per frame.

`pytest -m slow tests/robustness/test_soak.py`. It prints the curves, and writes them into `build/soak`.
"""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.robustness.checks import assert_valid
from tests.robustness.pictures import SHAPE, TARGET, Image, frame, target_mask
from tests.robustness.soak import STATM, Curve, Sample, bars
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB, load_weights
from tracker.config import ModelName, TrackerConfig
from tracker.engine.engine import Engine

LARGE = (240, 320)  # height, width of the full network's frames

long = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not STATM.exists(), reason="no /proc/self/statm here"),
]


@pytest.fixture
def curve(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Curve]:
    """The run's curve, which is shown and written however the test ends."""
    made = Curve(request.node.name.removeprefix("test_"))
    yield made
    if made.complete:
        folder = made.write()
        with capsys.disabled():
            print("", *made.lines(), f"  written to {os.path.relpath(folder)}", sep="\n")


def assert_bounded(dmb: DMB) -> None:
    """Both memories hold no more than they may."""
    assert len(dmb.appearance.frames) <= dmb.config.appearance.max_frames
    assert len(dmb.spatial.samples.stored()[0]) <= dmb.config.filter.sample_capacity


class TestLongRuns:
    pytestmark = long

    def test_ten_thousand_frames_and_two_hundred_initializations(self, curve: Curve) -> None:
        curve.warm_up = 1050  # 21 initializations
        dmb = DMB(tiny_engine(), CONFIG)
        starts = (TARGET, target_mask(), [(40, 30), (69, 30), (69, 53), (40, 53)])
        for number in range(200):
            dmb.initialize(frame(), starts[number % 3], masks=number % 3 == 1)
            for index in range(1, 51):
                image = frame(index)
                result = curve.timed(lambda image=image: dmb.track(image))  # type: ignore[misc]
            assert_valid(result, SHAPE)
            assert_bounded(dmb)
        curve.assert_flat()

    def test_one_video_of_ten_thousand_frames(self, curve: Curve) -> None:
        """No restart on the way: what a video leaves behind per frame would add up."""
        curve.warm_up = 500
        dmb = DMB(tiny_engine(), CONFIG)
        dmb.initialize(frame(), TARGET)
        follow(dmb, curve, 10_000, [frame(index) for index in range(1, 41)])
        curve.assert_flat()

    @pytest.mark.parametrize(("model", "frames", "warm_up"), [("compact", 10_000, 500), ("full", 500, 100)])
    def test_the_real_network(self, curve: Curve, model: ModelName, frames: int, warm_up: int) -> None:
        curve.name, curve.warm_up = f"{model}_network", warm_up  # the memory is full, and every kernel has run
        dmb = DMB(Engine(load_weights(model=model)), TrackerConfig.of(model))
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            dmb.initialize(frame(0, *LARGE), TARGET)
            follow(dmb, curve, frames, [frame(index, *LARGE) for index in range(1, 41)])
        assert len(dmb.appearance.frames) == dmb.config.appearance.max_frames
        curve.assert_flat()


def follow(dmb: DMB, curve: Curve, frames: int, images: list[Image]) -> None:
    """Track `frames` frames, over and over the same images."""
    for index in range(frames):
        image = images[index % len(images)]
        result = curve.timed(lambda image=image: dmb.track(image))  # type: ignore[misc]
        assert_bounded(dmb)
    assert_valid(result, (image.shape[0], image.shape[1]))


class TestTheCurve:
    """What would grow is noticed."""

    @pytest.fixture
    def flat(self) -> Curve:
        made = Curve("flat")
        made.samples = [Sample(index, 300.0 + index % 7, 14, 1, 20.0 + index % 5) for index in range(1, 501)]
        return made

    def test_a_flat_one_passes(self, flat: Curve) -> None:
        flat.assert_flat()

    @pytest.mark.parametrize(
        ("name", "growth", "complaint"),
        [
            ("megabytes", 0.08, "memory grew from 3.* to 3.* MB"),  # a leak of 80 kB a frame
            ("descriptors", 0.01, "open files or threads changed"),
            ("threads", 0.003, "open files or threads changed"),
            ("milliseconds", 0.2, "a frame took 5.*, in the end 11"),
        ],
    )
    def test_a_growing_one_is_noticed(self, flat: Curve, name: str, growth: float, complaint: str) -> None:
        flat.samples = [
            replace(sample, **{name: type(getattr(sample, name))(getattr(sample, name) + growth * sample.frame)})
            for sample in flat.samples
        ]
        with pytest.raises(AssertionError, match=complaint):
            flat.assert_flat()

    def test_it_is_read_from_the_process_and_written(self, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOAK_OUTPUT", str(tmp_path))
        made, held = Curve("short"), list[mmap.mmap]()
        resident = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        share = max(200_000, resident // 1000)  # the suite's process is large, and 5% of it must be passed

        def grow() -> None:
            held.append(mmap.mmap(-1, share))  # of its own; the heap may have room from what was freed before
            held[-1].write(b"x" * share)

        for _ in range(300):
            made.timed(grow)
        assert made.samples[-1].megabytes - made.samples[0].megabytes > 50
        folder = made.write()
        lines = (folder / "short.csv").read_text().splitlines()
        assert lines[0] == "frame,megabytes,descriptors,threads,milliseconds" and len(lines) == 301
        assert lines[300].startswith("300,") and (folder / "short.png").stat().st_size > 5000
        assert any("MB after the warm-up" in line for line in made.lines())
        with pytest.raises(AssertionError, match="memory grew"):
            made.assert_flat()

    def test_bars_show_the_shape(self) -> None:
        assert bars([0.0] * 100 + [10.0] * 100) == "▁" * 25 + "█" * 25
