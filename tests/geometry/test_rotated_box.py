"""Rotated boxes fitted to masks whose true box is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geometry.test_region import turned
from tracker.config import BoxFitConfig
from tracker.geometry.region import edge_angle, polygon_to_mask
from tracker.geometry.rotated_box import fit_rotated_box

CONFIG = BoxFitConfig()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@settings(max_examples=40, deadline=None)
@given(st.floats(40, 120), st.floats(15, 35), st.floats(-90, 90))
def test_a_rotated_rectangle_is_found(width: float, height: float, angle: float) -> None:
    mask = polygon_to_mask(turned(width, height, angle, (100, 100)), (200, 200))
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None
    assert iou(polygon_to_mask(polygon, mask.shape), mask) > 0.87


def test_an_axis_aligned_box_is_exact() -> None:
    mask = np.zeros((100, 120), bool)
    mask[20:50, 30:90] = True
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None
    assert np.allclose(polygon, [[30, 20], [89, 20], [89, 49], [30, 49]], atol=0.6)


def test_a_thin_arm_does_not_stretch_the_box() -> None:
    mask = np.zeros((200, 200), bool)
    mask[80:140, 60:140] = True
    mask[30:80, 98:102] = True
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None
    assert polygon[:, 1].min() > 60
    body = np.zeros_like(mask)
    body[80:140, 60:140] = True
    assert iou(polygon_to_mask(polygon, mask.shape), body) > 0.85


def test_large_targets_are_fitted_as_well_as_small_ones() -> None:
    corners = turned(900, 400, 25, (700, 600))
    mask = polygon_to_mask(corners, (1200, 1400))
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None
    assert iou(polygon_to_mask(polygon, mask.shape), mask) > 0.93


def test_both_parts_of_a_target_behind_a_post_count() -> None:
    mask = polygon_to_mask(turned(120, 40, 20, (100, 100)), (200, 200))
    whole = fit_rotated_box(mask, CONFIG)
    mask[:, 85:95] = False
    cut = fit_rotated_box(mask, CONFIG)
    assert whole is not None and cut is not None
    assert iou(polygon_to_mask(cut, mask.shape), polygon_to_mask(whole, mask.shape)) > 0.9


def test_a_nearly_round_target_keeps_its_last_angle() -> None:
    square = polygon_to_mask(turned(60, 56, 30, (100, 100)), (200, 200))
    polygon = fit_rotated_box(square, CONFIG, last_angle=30)
    assert polygon is not None
    assert iou(polygon_to_mask(polygon, square.shape), square) > 0.93
    assert edge_angle(polygon) % 90 == pytest.approx(30, abs=1e-6)
    long = polygon_to_mask(turned(100, 40, 30, (100, 100)), (200, 200))
    polygon = fit_rotated_box(long, CONFIG, last_angle=75)
    assert polygon is not None
    assert iou(polygon_to_mask(polygon, long.shape), long) > 0.9


@pytest.mark.parametrize("window", [np.s_[0:0, 0:0], np.s_[5:6, 5:6], np.s_[5:6, 5:50], np.s_[5:50, 7:8]])
def test_masks_that_the_toolkit_calls_empty_have_no_box(window: tuple[slice, slice]) -> None:
    mask = np.zeros((60, 60), bool)
    mask[window] = True
    assert fit_rotated_box(mask, CONFIG) is None


def test_a_two_pixel_mask_has_a_finite_box() -> None:
    mask = np.zeros((20, 20), bool)
    mask[4:6, 7:9] = True
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None and np.isfinite(polygon).all()
