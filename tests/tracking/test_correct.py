"""A correction: the user gives the region in the middle of a video, and tracking goes on from there."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from tests.robustness.pictures import TARGET, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine, tiny_tracker
from tracker import DMB, Result
from tracker.data.images import ImageError
from tracker.errors import UserError
from tracker.geometry.region import RegionError
from tracker.metrics.masks import overlap
from tracker.tracking.tracker import StateError

X, Y, WIDTH, HEIGHT = TARGET
POLYGON = np.array([(X, Y), (X + WIDTH, Y), (X + WIDTH, Y + HEIGHT), (X, Y + HEIGHT)], np.float64)


def assert_equal(one: Result, other: Result, *, leave_out: str = "") -> None:
    for field in fields(Result):
        if field.name != leave_out:
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def strayed(*, masks: bool = True) -> DMB:
    """A tracker that has been at work on something else for three frames."""
    dmb = tiny_tracker()
    dmb.initialize(frame(), (0, 0, 20, 20), masks=masks)
    for step in (1, 2):
        dmb.track(frame(step))
    return dmb


@pytest.mark.parametrize("region", [TARGET, POLYGON, target_mask()], ids=["box", "polygon", "mask"])
@pytest.mark.parametrize("masks", [True, False])
def test_a_correction_is_a_start_and_frames_count_on(region: object, masks: bool) -> None:
    dmb, fresh = strayed(masks=masks), tiny_tracker()
    corrected, started = dmb.correct(frame(), region), fresh.initialize(frame(), region, masks=masks)
    assert corrected.frame_index == dmb.frame_index == 3 and corrected.confidence == 1 and corrected.remembered
    assert_equal(corrected, started, leave_out="frame_index")
    assert dmb.appearance.frames == [3], "as old as it is, for what the memory takes in next"
    after = [dmb.track(frame(step)) for step in (1, 2)]
    assert [result.frame_index for result in after] == [4, 5]
    assert overlap(after[0].mask, fresh.track(frame(1)).mask) == 1


def test_a_correction_may_be_corrected_and_saved(tmp_path: Path) -> None:
    dmb = strayed()
    dmb.correct(frame(), TARGET)
    assert dmb.correct(frame(1), TARGET).frame_index == 4
    dmb.save(tmp_path / "state")
    twin = DMB.load(tmp_path / "state", tiny_engine())
    assert_equal(twin.track(frame(2)), dmb.track(frame(2)))


def test_the_choice_of_masks_is_kept(tmp_path: Path) -> None:
    dmb = strayed(masks=False)
    dmb.correct(frame(), TARGET)
    assert not dmb.masks and dmb.steady is not None
    dmb.correct(frame(), target_mask())
    assert dmb.masks, "as after a first mask"
    dmb.save(tmp_path / "state")
    for one in (dmb, DMB.load(tmp_path / "state", tiny_engine())):
        one.correct(frame(), TARGET)
        assert not one.masks and one.steady is not None


@pytest.mark.parametrize("value_range", [None, (0.0, 40000.0)])
def test_the_range_of_values_is_kept(value_range: tuple[float, float] | None, recwarn: pytest.WarningsRecorder) -> None:
    deep = frame().astype(np.uint16) * 100
    dmb = tiny_tracker()
    dmb.initialize(deep, TARGET, value_range=value_range)
    limits, told = dmb.levels.limits, len(recwarn)
    dmb.correct(deep * 2, TARGET)
    assert limits is not None and dmb.levels.limits == limits and len(recwarn) == told


@pytest.mark.parametrize(
    "region",
    [(900, 900, 5, 5), (0, 0, 0, 0), (1, 2, 3), np.zeros((3, 3), np.bool_), "box", None],
    ids=["outside", "empty", "three numbers", "a small mask", "text", "nothing"],
)
def test_a_bad_region_is_refused_as_at_the_start_and_changes_nothing(region: object) -> None:
    dmb, twin = tiny_tracker(), tiny_tracker()
    for one in (dmb, twin):
        one.initialize(frame(), TARGET)
        one.track(frame(1))
    with pytest.raises(RegionError) as first:
        tiny_tracker().initialize(frame(2), region)
    with pytest.raises(RegionError) as later:
        dmb.correct(frame(2), region)
    assert str(later.value) == str(first.value)
    for step in (2, 3):
        assert_equal(dmb.track(frame(step)), twin.track(frame(step)))


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ({"region": (900, 900, 5, 5)}, "outside"),
        ({"points": [(900, 900)]}, "lies outside the image"),
        ({"points": [(1, 2, 3)]}, "not understood"),
        ({"points": [(5, 5)], "labels": [0]}, "no point is on the target"),
        ({"region": TARGET, "points": [(5, 5)]}, "give one of them"),
        ({"points": [(2, 2)]}, "nothing is seen around the point"),
    ],
)
def test_a_refused_correction_does_not_fix_the_range_of_values(prompt: dict[str, object], told: str) -> None:
    dmb = tiny_tracker()
    dmb.initialize(frame(), TARGET)
    with pytest.raises(RegionError, match=told):
        dmb.correct(frame().astype(np.uint16) * 100, **prompt)
    assert dmb.levels.limits is None and dmb.frame_index == 0
    other = frame().astype(np.uint16) * 50
    with pytest.warns(UserWarning, match="the pictures are of type uint16"):
        dmb.correct(other, TARGET)
    low, high = np.percentile(other, (0.5, 99.5))
    assert dmb.levels.limits == (low, high)


@pytest.mark.parametrize("points", [[(900, 900)], [(2, 2)]])
def test_a_refused_start_keeps_the_range_of_values_of_the_one_before(points: list[tuple[float, float]]) -> None:
    dmb = tiny_tracker()
    dmb.initialize(frame().astype(np.uint16) * 100, TARGET, value_range=(0.0, 25500.0))
    with pytest.raises(RegionError):
        dmb.initialize(frame().astype(np.uint16) * 50, points=points)
    assert dmb.levels.limits == (0.0, 25500.0) and dmb.track(frame(1).astype(np.uint16) * 100).frame_index == 1


def test_a_bad_image_is_refused_and_changes_nothing() -> None:
    dmb = strayed()
    with pytest.raises(ImageError, match="4 channels"):
        dmb.correct(np.zeros((10, 10, 4), np.uint8), TARGET)
    assert dmb.track(frame()).frame_index == 3


def test_before_the_start_there_is_nothing_to_correct() -> None:
    with pytest.raises(StateError, match="correct was called before initialize") as error:
        tiny_tracker().correct(frame(), TARGET)
    assert isinstance(error.value, UserError)


def test_the_filter_alone_is_corrected_too() -> None:
    dmb = tiny_tracker(replace(CONFIG, mask=replace(CONFIG.mask, enabled=False)))
    dmb.initialize(frame(), (0, 0, 20, 20))
    assert dmb.correct(frame(), TARGET).frame_index == 1 and dmb.track(frame(1)).frame_index == 2


def test_only_a_first_frame_gets_another_index() -> None:
    dmb = tiny_tracker()
    dmb.initialize(frame(), TARGET)
    keys, values = (rows.clone() for rows in dmb.appearance.rows())
    dmb.appearance.commit(keys, values, 5)
    with pytest.raises(ValueError, match="must be held alone"):
        dmb.appearance.count_from(6)
