"""Stretches of bad frames, and the pictures of them."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tracker.benchmarks.failures import Stretch, Watched, stretches, strip, table, watch
from tracker.data.sequences import SequenceError, open_sequences
from tracker.geometry.region import box_from_mask, parse_region, polygon_from_box
from tracker.memory.quality import Decision
from tracker.tracking.result import Result

SHAPE = (40, 60)


def square(left: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[10:30, left : left + 20] = True
    return mask


class Still:
    """Answers the first region forever, ever less certain."""

    def initialize(self, image: NDArray[np.uint8], region: object) -> Result:
        self.mask, self.index = parse_region(region, image.shape[:2]).to_mask(image.shape[:2]), 0
        return self._result(None)

    def track(self, image: NDArray[np.uint8]) -> Result:
        self.index += 1
        return self._result(Decision(float(self.index), found=True, remember=True, reason="because"))

    def _result(self, decision: Decision | None) -> Result:
        box = box_from_mask(self.mask)
        return Result(self.mask, polygon_from_box(box), box, 1.0, self.index, self.index != 2, decision, (0, 0), True)


def frames_of(overlaps: list[float]) -> list[Watched]:
    picture = cv2.imencode(".jpg", np.full((30, 40, 3), 90, np.uint8))[1].tobytes()
    return [Watched(index, value, True, 1.0 + index, True, picture) for index, value in enumerate(overlaps)]


@pytest.mark.parametrize(
    ("overlaps", "expected"),
    [
        ([1, 1, 1, 1], []),
        ([1, 0, 0, 1, 1, 1], []),  # too short
        ([1, 0, 0, 0, 1, 1, 1], [(1, 3)]),
        ([1, 0, 0, 0], [(1, 3)]),
        ([1, 0, 0, 0, 1, 0, 1, 1, 1], [(1, 5)]),  # a gap that is shorter than a stretch
        ([1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1], []),  # never three in a row
        ([1, 0, 0, 0, 1, 1, 1, 0, 0, 0.4, 1], [(1, 3), (7, 9)]),
    ],
)
def test_stretches(overlaps: list[float], expected: list[tuple[int, int]]) -> None:
    found = stretches("a", frames_of(overlaps), below=0.5, least=3)
    assert [(stretch.first, stretch.last) for stretch in found] == expected


def test_what_is_shown_of_a_stretch() -> None:
    stretch = Stretch("a", frames_of([1, 0.9, 0.4, 0.1, 0.3, 0.8, 1]), 2, 4)
    assert [frame.index for frame in stretch.shown()] == [1, 2, 3, 5]
    assert stretch.recovers and stretch.mean == pytest.approx(0.8 / 3)
    lost = Stretch("a", frames_of([1, 0.2, 0.1]), 1, 2)
    assert [frame.index for frame in lost.shown()] == [0, 1, 2] and not lost.recovers


def test_pictures_stand_side_by_side_with_captions() -> None:
    frames = frames_of([1, 0.25])
    picture = strip(frames)
    assert picture.shape == (30 + 40, 40 + 4 + 40, 3)
    assert picture[:30, :40].mean() == pytest.approx(90, abs=2) and picture[30:].min() < 100
    assert frames[1].words() == ("frame 1: IoU 0.25", "1/peak 2.0")


def test_the_table_names_the_pictures() -> None:
    text = table([Stretch("a", frames_of([1, 0.2, 0.1]), 1, 2)], lambda stretch: f"{stretch.name}.png")
    assert "| a | 1-2 of 2 | 0.15 | 2.0 | low to the end | [a.png](a.png) |" in text


@pytest.mark.parametrize("from_box", [False, True])
def test_watching(tmp_path: Path, from_box: bool) -> None:
    (tmp_path / "a").mkdir()
    for index, mask in enumerate([square(0), square(10), np.zeros(SHAPE, np.bool_)]):
        cv2.imwrite(str(tmp_path / "a" / f"{index:05d}.jpg"), np.full((*SHAPE, 3), 90, np.uint8))
        cv2.imwrite(str(tmp_path / "a" / f"{index:05d}.png"), mask.astype(np.uint8))
    with open_sequences(tmp_path) as sequences:
        frames = list(watch(Still(), sequences["a"], from_box=from_box))  # type: ignore[arg-type]
        with pytest.raises(SequenceError, match=r"the first mask of .* is empty"):
            cv2.imwrite(str(tmp_path / "a" / "00000.png"), np.zeros(SHAPE, np.uint8))
            list(watch(Still(), sequences["a"], from_box=from_box))  # type: ignore[arg-type]
    assert [frame.overlap for frame in frames] == pytest.approx([1, 1 / 3, 0])
    assert [frame.visible for frame in frames] == [True, True, False]
    assert [frame.segmented for frame in frames] == [True, True, False]
    assert frames[2].words() == ("frame 2: IoU 0.00, no target", "1/peak 2.0, not segmented")
    drawn = cv2.imdecode(np.frombuffer(frames[1].picture, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape[1] == 400 and not math.isclose(drawn.std(), 0.0)
