"""Objects that start later and corrections: what the options mean, and what each tracker is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.media.clips import SIZE, StillTracker, scene, square
from tracker.data.masks import write_ids
from tracker.geometry.region import RegionError
from tracker.media.frames import Frame, Selection, SourceError
from tracker.media.schedule import Mark, Objects, ScheduleError, make_plan, numbers_of, placed
from tracker.media.targets import Given, Target, make_targets

SHAPE = (SIZE[1], SIZE[0])
ONE, TWO = Given("box", (10.0, 14.0, 20.0, 20.0)), Given("box", (30.0, 4.0, 20.0, 20.0))


def at(frame: int) -> Mark:
    return Mark("at", frame)


def whose(number: int) -> Mark:
    return Mark("object", number)


def targets(*options: Given | Mark, selection: Selection = Selection()) -> list[Target]:  # noqa: B008
    return make_targets(placed(options, selection), SHAPE)


def test_a_frame_holds_up_to_the_next_one_and_an_id_for_one_region() -> None:
    found = placed([ONE, at(3), TWO, whose(1), ONE, TWO, at(5), ONE], Selection())
    assert [(given.frame, given.object_id) for given in found] == [
        (None, None), (3, None), (3, 1), (3, None), (5, None),
    ]  # fmt: skip
    assert str(found[2]) == "--at 3 --object 1 --box 10,14,20,20"


def test_the_first_frame_is_as_without_a_mark() -> None:
    assert placed([at(4), ONE], Selection(start=4)) == [ONE]
    assert placed([ONE, TWO], Selection()) == [ONE, TWO]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([ONE, at(3)], "--at 3 has no region; put --box, --polygon, --mask or --point behind it"),
        ([at(4), at(6), ONE], "--at 4 has no region"),
        ([at(4), whose(1)], "--object 1 has no region"),
        ([at(4), whose(1), at(6), ONE], "--object 1 has no region"),
        ([at(4), whose(1), whose(2), ONE], "--object 1 has no region"),
        ([whose(1), ONE], "--object 1 says whose region follows after --at; put --at FRAME before it"),
        ([at(1), ONE], "--at is 1 and --start 2"),
        ([at(20), ONE], "--at is 20 and --stop 20; name a frame before it"),
        ([at(5), ONE], "--at is 5, which --start 2 and --step 2 leave out; name 4 or 6"),
    ],
)
def test_a_mark_that_says_nothing_is_one_sentence(options: list[Given | Mark], sentence: str) -> None:
    with pytest.raises(ScheduleError) as error:
        placed(options, Selection(2, 20, 2) if isinstance(options[0], Mark) else Selection())
    assert sentence in str(error.value)


def test_new_objects_count_on_and_named_ones_keep_their_id() -> None:
    found = targets(ONE, at(3), TWO, whose(1), TWO, at(2), ONE)
    assert [(target.object_id, target.frame) for target in found] == [(1, None), (2, 3), (1, 3), (3, 2)]
    plan = make_plan(found, 0)
    assert {frame: list(given) for frame, given in plan.items()} == {0: [1], 3: [2, 1], 2: [3]}
    assert numbers_of(plan) == [1, 3, 2]


def test_several_ids_of_a_later_mask_are_those_of_the_objects(tmp_path: Path) -> None:
    ids = np.zeros(SHAPE, np.uint8)
    ids[square(2, 2, 10)], ids[square(30)] = 1, 4
    path = tmp_path / "ids.png"
    write_ids(path, ids)
    found = targets(ONE, at(3), Given("mask", path), TWO)
    assert [(target.object_id, target.frame) for target in found] == [(1, None), (1, 3), (4, 3), (5, 3)]
    with pytest.raises(RegionError, match=r"^--at 3 --object 2 --mask .*holds 2 objects, .* omit --object$"):
        targets(ONE, at(3), whose(2), Given("mask", path))
    keep = targets(Given("mask", path), at(3), ONE)
    assert [target.object_id for target in keep] == [1, 4, 5], "a file alone in the first frame keeps its ids"


def test_regions_of_later_frames_are_checked_at_once() -> None:
    with pytest.raises(RegionError, match=r"^--at 3 --box 90,10,5,5: the box 90, 10, 5, 5 lies outside the image"):
        targets(ONE, at(3), Given("box", (90.0, 10.0, 5.0, 5.0)))
    with pytest.raises(RegionError, match="ids go up to 254"):
        targets(ONE, at(3), whose(255), TWO)
    with pytest.raises(RegionError, match="ids go up to 254"):
        targets(at(3), whose(254), ONE, TWO)
    with pytest.raises(RegionError, match="object 1 has a region in frame 3 already, --at 3 --object 1 --box 10,14"):
        make_plan(targets(ONE, at(3), whose(1), ONE, whose(1), TWO), 0)
    with pytest.raises(RegionError, match="object 1 has a region in frame 0 already, --box 10,14"):
        make_plan(targets(ONE, at(0), whose(1), TWO), 0)


class Told(StillTracker):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def initialize(self, image: np.ndarray, region: object, *, masks: bool = True):  # type: ignore[no-untyped-def]
        self.calls.append(f"initialize {masks}")
        return super().initialize(image, region, masks=masks)

    def correct(self, image: np.ndarray, region: object):  # type: ignore[no-untyped-def]
        self.calls.append("correct")
        return super().initialize(image, region)

    def track(self, image: np.ndarray):  # type: ignore[no-untyped-def]
        self.calls.append("track")
        return super().track(image)


def objects(*options: Given | Mark) -> tuple[Objects, list[Told]]:
    made: list[Told] = []

    def create() -> Told:
        made.append(Told())
        return made[-1]

    plan = make_plan(targets(*options), 0)
    return Objects(plan, create, "clip.mkv", masks=False), made  # type: ignore[arg-type]


def frame(index: int) -> Frame:
    return Frame(index, index / 25, scene(10))


def test_each_tracker_is_started_and_corrected_in_its_frame() -> None:
    run, made = objects(ONE, at(1), TWO, at(3), whose(1), TWO, at(2), whose(2), ONE)
    answers = [run.answer(frame(index)) for index in range(4)]
    run.finish()
    assert [list(found) for found in answers] == [[1], [1, 2], [1, 2], [1, 2]]
    assert made[0].calls == ["initialize False", "track", "track", "correct"]
    assert made[1].calls == ["initialize False", "correct", "track"]
    assert answers[3][1].box == TWO.value


def test_nothing_is_found_before_the_first_object() -> None:
    run, _ = objects(at(1), ONE)
    assert run.answer(frame(0)) == {} and list(run.answer(frame(1))) == [1]


def test_a_frame_that_does_not_come_is_told() -> None:
    run, _ = objects(ONE, at(2), TWO)
    run.answer(frame(0))
    with pytest.raises(SourceError, match=r"^frame 2 of 'clip.mkv' cannot be read, and --at 2 --box 30,4,20,20 is for"):
        run.answer(frame(3))
    run, _ = objects(ONE, at(9), TWO)
    run.answer(frame(0))
    with pytest.raises(SourceError, match=r"the last frame of 'clip.mkv' is 0; there is no frame 9 for --at 9 --box"):
        run.finish()
