"""Rotated boxes fitted to masks whose true box is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geometry.test_region import turned
from tracker.config import BoxFitConfig
from tracker.geometry.box_search import weighted_overlap
from tracker.geometry.region import edge_angle, polygon_to_mask
from tracker.geometry.rotated_box import fit_rotated_box

CONFIG = BoxFitConfig()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def side_lengths(polygon: np.ndarray) -> np.ndarray:
    """Longer and shorter side in pixels, the border pixels' whole extent included."""
    sides = np.linalg.norm(polygon - np.roll(polygon, -1, axis=0), axis=1)
    return np.sort([sides[:2]])[0, ::-1] + 1


def turn_between(polygon: np.ndarray, angle: float) -> float:
    """Degrees between a box and an angle; a box turned by 90 degrees is the same one."""
    return abs((edge_angle(polygon) - angle + 45) % 90 - 45)


def is_clockwise_from_top_left(polygon: np.ndarray) -> bool:
    following = np.roll(polygon, -1, axis=0)
    area = np.sum(polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]) / 2
    return bool(area > 0 and polygon.sum(1).argmin() == 0)


# one pixel on each of two sides of the smallest rectangle here is an overlap of 0.84
@settings(max_examples=40, deadline=None)
@given(width=st.floats(40, 120), height=st.floats(15, 35), angle=st.floats(-90, 90))
def test_a_rotated_rectangle_is_found(width: float, height: float, angle: float) -> None:
    mask = polygon_to_mask(turned(width, height, angle, (100, 100)), (200, 200))
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None and polygon.shape == (4, 2)
    assert is_clockwise_from_top_left(polygon)
    assert iou(polygon_to_mask(polygon, mask.shape), mask) > 0.84
    if width > 1.5 * height:
        assert turn_between(polygon, angle) < 4
    assert np.allclose(polygon.mean(0), 100, atol=1)


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 110, 160])
def test_an_ellipse_is_found(angle: float) -> None:
    """The box's angle is the ellipse's, its sides a known share of the axes."""
    mask = np.zeros((300, 300), np.uint8)
    cv2.ellipse(mask, (150, 140), (90, 45), angle, 0, 360, 1, cv2.FILLED)
    polygon = fit_rotated_box(mask > 0, CONFIG)
    assert polygon is not None
    assert np.allclose(polygon.mean(0), (150, 140), atol=2)
    assert turn_between(polygon, angle) < 4
    assert np.allclose(side_lengths(polygon), 0.97 * np.array([181, 91]), rtol=0.015)


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


@pytest.mark.parametrize("background_weight", [0.25, 1.0])
def test_no_box_nearby_overlaps_a_blob_better(background_weight: float) -> None:
    """Boxes that are moved, turned and scaled a little, and drawn, gain no more than the drawing's own pixels."""
    random = np.random.default_rng(0)
    config = BoxFitConfig(background_weight=background_weight)
    for _ in range(10):
        blob = cv2.GaussianBlur(random.normal(size=(160, 160)).astype(np.float32), (0, 0), 14)
        blob -= 4e-6 * ((np.mgrid[:160, :160] - 79.5) ** 2).sum(0).astype(np.float32)
        mask = blob > np.quantile(blob, 0.8)
        polygon = fit_rotated_box(mask, config)
        assert polygon is not None

        def score(polygon: np.ndarray, mask: np.ndarray = mask) -> float:
            box = polygon_to_mask(polygon, mask.shape)
            inside = int(np.count_nonzero(box & mask))
            if inside < config.min_coverage * mask.sum():
                return 0.0
            return weighted_overlap(inside, int(mask.sum()), int(box.sum()), background_weight)

        found = polygon_to_mask(polygon, mask.shape)
        assert np.count_nonzero(found & mask) > (config.min_coverage - 0.02) * mask.sum()
        inside = int(np.count_nonzero(found & mask))
        best = weighted_overlap(inside, int(mask.sum()), int(found.sum()), background_weight)
        center, edges = polygon.mean(0), (polygon[1] - polygon[0], polygon[3] - polygon[0])
        angle, sides = edge_angle(polygon), [float(np.hypot(*edge)) for edge in edges]
        others = [
            turned(sides[0] * wide, sides[1] * high, angle + turn, (center[0] + right, center[1] + down))
            for wide, high, turn, right, down in random.uniform([0.9, 0.9, -10, -5, -5], [1.1, 1.1, 10, 5, 5], (60, 5))
        ]
        assert max(map(score, others)) < best + 0.02


def test_background_weighs_as_told() -> None:
    assert weighted_overlap(80, 100, 120, 1.0) == pytest.approx(80 / 140)
    assert weighted_overlap(80, 100, 120, 0.25) == pytest.approx(80 / 110)
    assert weighted_overlap(100, 100, 100, 0.25) == 1


def test_large_targets_are_fitted_as_well_as_small_ones() -> None:
    corners = turned(900, 400, 25, (700, 600))
    mask = polygon_to_mask(corners, (1200, 1400))
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None
    assert iou(polygon_to_mask(polygon, mask.shape), mask) > 0.95


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
    away = fit_rotated_box(square, CONFIG, last_angle=10)
    assert away is not None and turn_between(away, 10) < 1e-6
    long = polygon_to_mask(turned(100, 40, 30, (100, 100)), (200, 200))
    polygon = fit_rotated_box(long, CONFIG, last_angle=75)
    assert polygon is not None and turn_between(polygon, 30) < 4
    assert iou(polygon_to_mask(polygon, long.shape), long) > 0.9


@pytest.mark.parametrize("window", [np.s_[0:0, 0:0], np.s_[5:6, 5:6], np.s_[5:6, 5:50], np.s_[5:50, 7:8]])
def test_masks_that_the_toolkit_calls_empty_have_no_box(window: tuple[slice, slice]) -> None:
    mask = np.zeros((60, 60), bool)
    mask[window] = True
    assert fit_rotated_box(mask, CONFIG) is None


def drawn(name: str) -> np.ndarray:
    """Masks that are hard to fit, 120 x 160."""
    mask = np.zeros((120, 160), bool)
    steps = np.arange(100)
    if name == "two by two":
        mask[4:6, 7:9] = True
    elif name == "whole image":
        mask[:] = True
    elif name == "diagonal":
        mask[10 + steps, 20 + steps] = True
    elif name == "other diagonal":
        mask[10 + steps, 140 - steps] = True
    elif name == "two points":
        mask[3, 5] = mask[115, 150] = True
    elif name == "two columns":
        mask[2:118, 40:42] = True
    elif name == "corner":
        mask[:30, :40] = True
    elif name == "ring":
        mask[20:100, 20:140] = True
        mask[25:95, 25:135] = False
    return mask


@pytest.mark.parametrize("last_angle", [None, 17.0])
@pytest.mark.parametrize(
    "name",
    ["two by two", "whole image", "diagonal", "other diagonal", "two points", "two columns", "corner", "ring"],
)
def test_hard_masks_have_a_finite_box_with_an_area(name: str, last_angle: float | None) -> None:
    mask = drawn(name)
    polygon = fit_rotated_box(mask, CONFIG, last_angle)
    assert polygon is not None and polygon.shape == (4, 2) and polygon.dtype == np.float64
    assert np.isfinite(polygon).all() and is_clockwise_from_top_left(polygon)
    assert (side_lengths(polygon) >= 2 - 1e-6).all()
    assert polygon.min() > -80 and (polygon < (240, 200)).all()
    if "diagonal" in name:
        assert turn_between(polygon, 45) < 3
        assert side_lengths(polygon)[1] < 6


def test_thin_parts_survive_the_reduction_of_large_masks() -> None:
    mask = np.zeros((2000, 1500), bool)
    mask[100:1900, 700:702] = True
    polygon = fit_rotated_box(mask, CONFIG)
    assert polygon is not None
    assert np.allclose(polygon.mean(0), (700.5, 999.5), atol=12)
    assert side_lengths(polygon)[0] > 0.88 * 1800
