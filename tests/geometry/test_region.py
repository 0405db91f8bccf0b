"""Regions: conversions by hand, round trips, and one clear sentence for each bad input."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.geometry.region import (
    RegionError,
    box_from_mask,
    box_from_polygon,
    box_of_equal_area,
    box_to_mask,
    box_window,
    clean_mask,
    largest_gap,
    order_polygon,
    parse_region,
    polygon_area,
    polygon_from_box,
    polygon_to_mask,
)

SHAPE = (60, 80)


def turned(width: float, height: float, degrees: float, center: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return corners @ rotation.T + center


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 2, 3, 1), (1, 3, 2, 0), (0, 1, 3, 2), (3, 0, 2, 1)])
@pytest.mark.parametrize("angle", [0, 30, 77])
def test_corners_in_a_crossing_order_have_the_size_of_what_they_stand_around(
    order: tuple[int, ...], angle: float
) -> None:
    """Their halves' signed areas cancel out: taken as they are, the target would have one pixel."""
    corners = turned(40, 25, angle, (100, 90))
    assert box_of_equal_area(corners[list(order)]) == pytest.approx(box_of_equal_area(corners))


def test_a_dart_keeps_its_own_area() -> None:
    dart = np.array([(0, 0), (40, 20), (0, 40), (10, 20)], np.float64)  # concave; nothing crosses
    _, _, width, height = box_of_equal_area(dart)
    assert (width - 1) * (height - 1) == pytest.approx(600)


def test_a_polygon_of_many_points_in_few_pixels_is_filled_as_ever() -> None:
    angles = np.linspace(0, 2 * np.pi, 30_000, endpoint=False)
    dense = np.stack([50 + 20.4 * np.cos(angles), 40 + 20.4 * np.sin(angles)], axis=1)
    expected = np.zeros((90, 120), np.uint8)
    cv2.fillPoly(expected, [np.round(dense).astype(np.int32)], 1)
    assert np.array_equal(polygon_to_mask(dense, (90, 120)), expected > 0)


@given(st.integers(0, 50), st.integers(0, 40), st.integers(1, 29), st.integers(1, 19))
def test_box_polygon_and_mask_agree(x: int, y: int, width: int, height: int) -> None:
    box = (float(x), float(y), float(width), float(height))
    polygon = polygon_from_box(box)
    assert box_from_polygon(polygon) == box
    mask = box_to_mask(box, SHAPE)
    assert mask.sum() == width * height
    assert box_from_mask(mask) == box
    assert np.array_equal(polygon_to_mask(polygon, SHAPE), mask)


def test_box_to_mask_is_clipped_and_rounds_half_covered_pixels() -> None:
    assert box_to_mask((-5, -5, 8, 7), SHAPE).sum() == 3 * 2
    assert box_to_mask((1.6, 0, 2, 1), SHAPE)[0, :5].tolist() == [False, False, True, True, False]


def test_empty_mask_has_the_toolkits_absent_box() -> None:
    assert box_from_mask(np.zeros(SHAPE, bool)) == (0, 0, 0, 0)


@given(st.floats(5, 40), st.floats(5, 40), st.floats(-80, 80))
def test_equal_area_keeps_center_and_area_of_a_rotated_rectangle(width: float, height: float, angle: float) -> None:
    x, y, w, h = box_of_equal_area(turned(width, height, angle, (100, 90)))
    assert (x + (w - 1) / 2, y + (h - 1) / 2) == pytest.approx((100, 90))
    assert (w - 1) * (h - 1) == pytest.approx(width * height, rel=1e-6)


@given(st.permutations(range(4)), st.floats(-40, 40))
def test_ordering_starts_top_left_and_goes_clockwise(order: list[int], angle: float) -> None:
    corners = turned(30, 20, angle, (50, 50))
    ordered = order_polygon(corners[list(order)])
    assert np.allclose(ordered, order_polygon(corners))
    x, y = ordered[:, 0], ordered[:, 1]
    assert np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0  # y points down: positive is clockwise
    assert ordered[0].sum() == pytest.approx(corners.sum(1).min())


def test_specks_go_and_large_parts_stay() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[5:25, 5:25] = True
    mask[28:38, 5:15] = True
    mask[30, 20] = True
    limits = {"min_share": 0.1, "max_gap": 0.25}
    cleaned = clean_mask(mask, (15, 15), (20, 20), **limits)
    assert not cleaned[30, 20] and cleaned[30, 10] and cleaned[10, 10]
    assert not clean_mask(mask, (15, 15), (20, 20), min_share=0.5, max_gap=0.25)[30, 10]
    assert np.array_equal(cleaned, clean_mask(cleaned, (15, 15), (20, 20), **limits))


def test_of_two_alike_the_expected_one_stays_and_its_parts_near_it() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[5:15, 5:15] = mask[5:15, 18:28] = mask[40:50, 60:70] = True
    for center, kept in (((12, 10), {8, 20}), ((64, 44), {62})):
        cleaned = clean_mask(mask, center, (12, 12), min_share=0.1, max_gap=0.4)
        assert {x for x, y in ((8, 8), (20, 8), (62, 42)) if cleaned[y, x]} == kept
    assert not clean_mask(mask, (12, 10), (12, 12), min_share=0.1, max_gap=0.2)[8, 20]


def test_a_fragment_at_the_expected_place_beats_a_larger_neighbor() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[10:20, 20:28] = True  # what is left of a target 10 wide and 40 high
    mask[10:50, 40:50] = True
    assert np.flatnonzero(clean_mask(mask, (24, 30), (10, 40), min_share=0.1, max_gap=0.25).any(0)).max() < 30


def test_box_window() -> None:
    window = box_window((30, 20), (20, 5), 0.5, SHAPE)
    rows, columns = np.flatnonzero(window.any(1)), np.flatnonzero(window.any(0))
    assert (columns[0], columns[-1]) == (15, 45) and (rows[0], rows[-1]) == (13, 27)
    assert not box_window((-100, -100), (20, 5), 0.5, SHAPE).any()


def test_largest_gap() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[5:15, 5:25] = True
    assert largest_gap(mask) == 0
    mask[5:15, 30:35] = mask[5:15, 40:45] = True
    assert largest_gap(mask) == pytest.approx(16, abs=1)
    assert largest_gap(np.zeros(SHAPE, bool)) == 0


def test_the_angle_of_a_region() -> None:
    assert parse_region((1, 2, 30, 20), SHAPE).angle == 0
    angle = parse_region(turned(30, 20, 25, (40, 30)), SHAPE).angle
    assert angle is not None and angle % 90 == pytest.approx(25)
    assert parse_region([(10, 10), (40, 10), (25, 30)], SHAPE).angle is None
    assert parse_region(np.ones(SHAPE, bool), SHAPE).angle is None


def test_a_speckled_mask_becomes_writable() -> None:
    mask = np.random.default_rng(0).random((600, 600)) > 0.35
    cleaned = clean_mask(mask, (300, 300), (400, 400), min_share=0.1, max_gap=0.25)
    assert np.count_nonzero(np.diff(cleaned.ravel())) < 65_535
    assert cleaned.any()


def test_parse_recognizes_the_three_kinds() -> None:
    box = parse_region((1, 2, 30, 20), SHAPE)
    assert (box.kind, box.box) == ("box", (1, 2, 30, 20))
    assert box.to_mask(SHAPE).sum() == 600
    flat = parse_region([10, 10, 40, 10, 40, 30, 10, 30], SHAPE)
    assert flat.kind == "polygon" and flat.box == pytest.approx((10, 10, 31, 21))
    concave = parse_region([(10, 10), (40, 10), (25, 20), (40, 30), (10, 30)], SHAPE)
    assert concave.kind == "polygon" and not concave.to_mask(SHAPE)[20, 38]
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:20, 30:50] = 1
    assert parse_region(mask, SHAPE).box == (30, 10, 20, 10)
    assert parse_region((-10, -10, 30, 20), SHAPE).to_mask(SHAPE).sum() == 20 * 10


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        ((10, 10, 0, 5), "no area"),
        ((10, 10, 5, -1), "no area"),
        ((float("nan"), 10, 5, 5), "NaN"),
        ((10, 10, float("inf"), 5), "infinity"),
        ((80, 10, 5, 5), "outside the image of 80 x 60"),
        ((-30, 10, 20, 5), "outside the image"),
        ([(100, 100), (120, 100), (110, 120)], "outside the image"),
        ([(5, 5), (5, 5), (5, 5)], "no area"),
        (np.zeros(SHAPE, bool), "empty"),
        (np.full(SHAPE, np.nan), "NaN"),
        (np.ones((10, 10), bool), "10 x 10 pixels, the image 80 x 60"),
        ((1, 2, 3), "not understood"),
        ("left", "not numeric"),
        (None, "not numeric|not understood|NaN"),
    ],
)
def test_bad_regions_are_one_clear_sentence(region: object, sentence: str) -> None:
    with pytest.raises(RegionError, match=sentence) as caught:
        parse_region(region, SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("box", [(-10, 20, 10.3, 30), (10.6, 10, 0.3, 5)])
def test_a_box_that_covers_no_pixel_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(RegionError, match="covers no pixel of the image of 64 x 48"):
        parse_region(box, (48, 64))


def test_polygon_area() -> None:
    assert polygon_area(polygon_from_box((3, 4, 11, 6))) == pytest.approx(50)
