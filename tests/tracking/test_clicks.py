"""From clicks to a mask: the growing boxes with answers that are known, and the tracker that sees colors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.robustness.pictures import SHAPE, TARGET, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.config import ClickConfig
from tracker.geometry.clicks import Clicks, parse_clicks
from tracker.geometry.region import Box, Mask, RegionError, box_from_mask, box_to_mask
from tracker.metrics.masks import overlap
from tracker.tracking.clicks import grow

SIZE = (100, 120)
ONE, TWO = box_to_mask((20, 30, 24, 30), SIZE), box_to_mask((44, 30, 24, 30), SIZE)  # side by side


class Things:
    """Sees two things: of each what lies within the double of the box; remembers the boxes and prompts."""

    def __init__(self, probability: float = 0.9) -> None:
        self.probability = probability
        self.boxes: list[Box] = []
        self.prompts: list[Mask] = []

    def __call__(self, box: Box, prompt: Mask) -> NDArray[np.float32]:
        self.boxes.append(box)
        self.prompts.append(prompt)
        x, y, w, h = box
        reach = box_to_mask((x - w / 2, y - h / 2, 2 * w, 2 * h), SIZE)
        return np.float32(self.probability) * ((ONE | TWO) & reach)


def clicks(*points: tuple[float, float], labels: list[int] | None = None) -> Clicks:
    return parse_clicks(points, labels, SIZE)


def test_a_box_grows_around_a_click() -> None:
    see = Things()
    mask = grow(clicks((30, 40)), see, SIZE, ClickConfig(sides=(0.1,), rounds=3))
    assert see.boxes[0] == (25.5, 35.5, 10, 10)
    assert see.boxes[1] == box_from_mask((ONE | TWO) & box_to_mask((20.5, 30.5, 20, 20), SIZE))
    assert mask[40, 30] and mask.sum() > ((ONE | TWO) & box_to_mask((20.5, 30.5, 20, 20), SIZE)).sum()


def test_the_smallest_box_of_which_the_network_is_sure_is_taken() -> None:
    see = Things()
    grow(clicks((30, 40)), see, SIZE, ClickConfig(sides=(0.1, 0.5), rounds=2, sure=0.8))
    assert len(see.boxes) == 2
    see = Things()
    mask = grow(clicks((30, 40)), see, SIZE, ClickConfig(sides=(0.1, 0.5), rounds=2, sure=0.95))
    assert len(see.boxes) == 4 and mask.any()  # none is sure enough: the best of all


def test_a_click_beside_the_target_cuts_it_off() -> None:
    see = Things()
    config = ClickConfig(sides=(0.5,), rounds=2)
    both = grow(clicks((30, 40)), see, SIZE, config)
    assert overlap(both, ONE | TWO) > 0.95
    one = grow(clicks((30, 45), (58, 45), labels=[1, 0]), see, SIZE, config)
    assert not one[45, 58] and one[45, 30] and overlap(one, ONE) > overlap(both, ONE)
    assert not see.prompts[-1][45, 58] and see.prompts[-1][45, 30]


def test_boxes_hold_all_clicks_on_the_target() -> None:
    see = Things()
    grow(clicks((24, 34), (60, 55)), see, SIZE, ClickConfig())
    assert see.boxes[0] == (24, 34, 37, 22)


def test_where_nothing_is_seen_another_point_is_asked_for() -> None:
    with pytest.raises(RegionError, match=r"^nothing is seen around the point 90,90; give a box, or another point$"):
        grow(clicks((90, 90)), Things(), SIZE, ClickConfig())


@pytest.mark.parametrize(
    ("points", "labels", "told"),
    [
        ([(500, 3)], None, "the point 500, 3 lies outside the image of 120 x 100 pixels"),
        ([(-0.6, 3)], None, "lies outside"),
        ([(1, 2, 3)], None, r"points of shape \(1, 3\) are not understood"),
        ([(1, np.nan)], None, "not understood; give n x 2 finite numbers"),
        ("here", None, "the points are not numeric"),
        ([(1, 2)], [0], "no point is on the target; give one with label 1"),
        ([(1, 2)], [1, 0], "there are 1 points; give a label for each"),
        ([(1, 2)], [2], "give a label for each, 1 on the target, 0 beside it"),
    ],
)
def test_other_clicks_are_refused(points: object, labels: object, told: str) -> None:
    with pytest.raises(RegionError, match=told):
        parse_clicks(points, labels, SIZE)


def test_a_clicked_target_is_tracked() -> None:
    dmb = DMB(tiny_engine(), CONFIG)
    middle = (TARGET[0] + TARGET[2] / 2, TARGET[1] + TARGET[3] / 2)
    first = dmb.initialize(frame(), points=[middle])
    assert overlap(first.mask, target_mask()) > 0.6 and first.frame_index == 0
    for index in range(1, 5):
        assert dmb.track(frame(index)).confidence > 0.2
    again = dmb.correct(frame(), points=middle, labels=1)
    assert again.frame_index == 5 and np.array_equal(again.mask, first.mask)


def test_a_region_and_clicks_are_one_too_many() -> None:
    with pytest.raises(RegionError, match="a region and points; give one of them"):
        DMB(tiny_engine(), CONFIG).initialize(frame(), TARGET, points=[TARGET[:2]])
    with pytest.raises(RegionError, match="lies outside the image"):
        DMB(tiny_engine(), CONFIG).initialize(frame(), points=[(SHAPE[1] + 1, 0)])
