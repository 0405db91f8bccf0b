"""What was given in the first frame comes back exactly, and moves, grows and turns with the mask afterward."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.geometry.region import box_from_polygon, polygon_area
from tracker.tracking.framing import Framing

MASK = np.array([[20.0, 10.0], [60.0, 20.0], [55.0, 40.0], [15.0, 30.0]])
BOX = box_from_polygon(MASK)


def test_without_a_given_region_nothing_changes() -> None:
    assert np.array_equal(Framing().polygon(MASK), MASK) and Framing().box(BOX) == pytest.approx(BOX)


def test_a_given_box_comes_back_and_scales_with_the_masks() -> None:
    given = (10.0, 8.0, 60.0, 36.0)
    framing = Framing.of_box(MASK, BOX, given)
    assert framing.box(BOX) == pytest.approx(given)
    x, y, width, height = BOX
    twice = framing.box((x, y, 2 * width, 2 * height))
    assert twice[2:] == pytest.approx((120.0, 72.0))
    center = np.array([10.0 + 30.0, 8.0 + 18.0]) - (x + width / 2, y + height / 2)
    assert framing.polygon(MASK).mean(0) - MASK.mean(0) == pytest.approx(center)


def test_a_given_polygon_comes_back_in_center_and_area() -> None:
    given = 1.3 * (MASK - MASK.mean(0)) + MASK.mean(0) + np.array([4.0, -2.0])
    framing = Framing.of_polygon(MASK, BOX, given)
    assert framing.polygon(MASK) == pytest.approx(given)
    assert framing.box(BOX) == pytest.approx(box_from_polygon(given))
    larger = framing.polygon(2.0 * MASK)
    assert polygon_area(larger) == pytest.approx(4.0 * polygon_area(given))
    assert larger.mean(0) - 2.0 * MASK.mean(0) == pytest.approx([8.0, -4.0])
