"""Shapes that move when segmentation fails: never empty, wherever they go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.geometry.region import polygon_from_box
from tracker.tracking.shape import Shape, visible


def box_shape() -> Shape:
    mask = np.zeros((50, 60), bool)
    mask[10:20, 20:40] = True
    return Shape(mask, polygon_from_box((20, 10, 20, 10)))


def test_a_move_shifts_mask_and_polygon_alike() -> None:
    moved = box_shape().moved_to((39.5, 34.5), (50, 60))
    assert np.array_equal(moved.polygon, polygon_from_box((30, 30, 20, 10)))
    expected = np.zeros((50, 60), bool)
    expected[30:40, 30:50] = True
    assert np.array_equal(moved.mask, expected)


@given(st.floats(0, 200), st.floats(0, 200), st.integers(2, 90), st.integers(2, 90))
def test_never_empty_in_an_image_of_any_size(x: float, y: float, height: int, width: int) -> None:
    center = (min(x, width - 1.0), min(y, height - 1.0))
    moved = box_shape().moved_to(center, (height, width))
    assert moved.mask.shape == (height, width)
    assert visible(moved.mask)
    assert np.isfinite(moved.polygon).all()
    assert moved.center == pytest.approx(center)


def test_moves_from_one_shape_do_not_add_up() -> None:
    start = box_shape()
    x, y = start.center
    for step in range(1, 11):
        moved = start.moved_to((x + 0.4 * step, y), (50, 60))
        assert abs(np.flatnonzero(moved.mask.any(0)).mean() - moved.center[0]) <= 0.5
    assert np.array_equal(start.moved_to((x, y), (50, 60)).mask, start.mask)
