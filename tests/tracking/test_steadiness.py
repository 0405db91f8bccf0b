"""Answered boxes follow the masks' boxes slowly, whatever corner those begin with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tracker.config import SteadyConfig
from tracker.tracking.steadiness import SteadyBox, between, center_of

CONFIG = SteadyConfig(gain=0.5, first_share=0.0)
BOX = (10.0, 20.0, 41.0, 25.0)


def rectangle(width: float, height: float, angle: float) -> np.ndarray:
    return cv2.boxPoints(((50.0, 40.0), (width, height), angle)).astype(np.float64)


def sides(polygon: np.ndarray) -> np.ndarray:
    return np.sort(np.linalg.norm(np.diff(polygon[:3], axis=0), axis=1))


def test_the_first_boxes_come_back_wherever_they_are_asked_for() -> None:
    polygon = rectangle(40, 24, 20)
    steady = SteadyBox.of(polygon, BOX)
    assert steady.polygon_at((50.0, 40.0)) == pytest.approx(polygon)
    assert steady.polygon_at((53.0, 38.0)) == pytest.approx(polygon + np.array([3.0, -2.0]))
    assert steady.box_at(center_of(BOX)) == pytest.approx(BOX)


@pytest.mark.parametrize("turn", range(4))
def test_sides_go_half_of_the_way_whichever_corner_comes_first(turn: int) -> None:
    steady = SteadyBox.of(rectangle(40, 24, 20), BOX)
    seen = np.roll(rectangle(60, 24, 20), turn, axis=0)
    steady = steady.follow(seen, (0.0, 0.0, 41.0, 100.0), 1.0, CONFIG)
    assert sides(steady.polygon_at((0.0, 0.0))) == pytest.approx([24.0, 50.0])
    assert steady.box_at((0.0, 0.0))[2:] == pytest.approx((41.0, 50.0))


def test_a_box_that_turns_is_followed_and_does_not_collapse() -> None:
    steady = SteadyBox.of(rectangle(60, 20, 0), BOX)
    for angle in np.linspace(0.0, 90.0, 19):
        steady = steady.follow(rectangle(60, 20, float(angle)), BOX, 1.0, CONFIG)
    for _ in range(8):
        steady = steady.follow(rectangle(60, 20, 90.0), BOX, 1.0, CONFIG)
    polygon = steady.polygon_at((0.0, 0.0))
    assert sides(polygon) == pytest.approx([20.0, 60.0], rel=0.02)
    assert np.ptp(polygon[:, 1]) == pytest.approx(60.0, rel=0.02)


def test_sides_are_drawn_to_the_first_ones_as_the_target_has_grown() -> None:
    steady, config = SteadyBox.of(rectangle(40, 24, 0), BOX), SteadyConfig(gain=1.0, first_share=0.5)
    same = steady.follow(rectangle(40, 6, 0), (0.0, 0.0, 41.0, 1.0), 1.0, config)
    assert sides(same.polygon_at((0.0, 0.0))) == pytest.approx([12.0, 40.0])
    assert same.box_at((0.0, 0.0))[2:] == pytest.approx((41.0, 5.0))
    grown = steady.follow(rectangle(80, 48, 0), (0.0, 0.0, 82.0, 50.0), 2.0, config)
    assert sides(grown.polygon_at((0.0, 0.0))) == pytest.approx([48.0, 80.0])
    assert grown.box_at((0.0, 0.0))[2:] == pytest.approx((82.0, 50.0))


def test_the_center_lies_between_peak_and_mask() -> None:
    assert between((10.0, 20.0), (14.0, 12.0), 0.25) == (11.0, 18.0)
