"""Region similarity on sequences with masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.doubles import Answer, StillTracker
from tracker.benchmarks.masks import Score, run
from tracker.data.sequences import MaskSequence, SequenceError, open_sequences

SHAPE = (40, 60)


def square(left: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[10:30, left : left + 20] = True
    return mask


def write(folder: Path, masks: list[NDArray[np.bool_]]) -> Path:
    folder.mkdir(parents=True)
    for index, mask in enumerate(masks):
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.full((*SHAPE, 3), (10, 20, 200), np.uint8))
        cv2.imwrite(str(folder / f"{index:05d}.png"), mask.astype(np.uint8))  # ids, as DAVIS has them
    return folder


def sequence(folder: Path) -> MaskSequence:
    with open_sequences(folder.parent) as sequences:
        return sequences[folder.name]


def score_of(folder: Path, tracker: StillTracker | None = None, **options: object) -> Score:
    return run(tracker or StillTracker(), sequence(folder), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("from_box", [False, True])
def test_the_first_frame_does_not_count(tmp_path: Path, from_box: bool) -> None:
    folder = write(tmp_path / "a", [square(0), square(10), square(40)])
    score = score_of(folder, from_box=from_box)
    assert score.overlaps == pytest.approx([1 / 3, 0])
    assert score.mean == score.start == pytest.approx(1 / 6)
    assert len(score.boundaries) == 2 and score.boundary_mean == pytest.approx(np.mean(score.boundaries))
    assert score.boundaries[0] > score.boundaries[1]


def test_only_the_first_frames_where_that_is_asked(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [square(0), square(0), square(40)])
    assert score_of(folder, from_box=False, limit=2).overlaps == [1]


def test_the_first_answer_is_compared_with_the_filled_box(tmp_path: Path) -> None:
    corner = square(0)
    corner[10:20, 10:20] = False
    folder = write(tmp_path / "a", [corner] * 2)
    from_box, from_mask = (score_of(folder, from_box=choice) for choice in (True, False))
    assert from_box.filled_box == from_mask.filled_box == pytest.approx(0.75)
    assert from_box.first == pytest.approx(0.75)  # this tracker answers the box; Box2Seg should do better
    assert from_mask.first == 1


def test_void_pixels_count_neither_for_nor_against(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [square(0)] * 2)
    ids = np.zeros(SHAPE, np.uint8)
    ids[10:30, :15] = 7
    ids[10:30, 15:25] = 255  # half of it on the answer
    cv2.imwrite(str(folder / "00001.png"), ids)
    score = score_of(folder, from_box=False)
    assert score.overlaps == [1] and score.boundaries == [1]


class BoxTracker(StillTracker):
    """Remembers what it was given."""

    given: object = None
    masks = False

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Answer:
        self.given = region
        self.masks = masks
        return super().initialize(image, region, masks=masks)


def test_from_a_box_the_mask_is_not_given_away(tmp_path: Path) -> None:
    tracker = BoxTracker()
    score_of(write(tmp_path / "a", [square(7)] * 2), tracker, from_box=True)
    assert tuple(np.asarray(tracker.given)) == (7, 10, 20, 20)
    assert tracker.masks, "masks are scored, so masks must be asked for"


def test_a_sequence_without_a_target_is_named(tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="a' is empty; there is nothing to track"):
        score_of(write(tmp_path / "x" / "a", [np.zeros(SHAPE, np.bool_)] * 2), from_box=False)
