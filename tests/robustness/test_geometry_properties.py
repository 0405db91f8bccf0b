"""What must hold of crops, regions and boxes, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tests.robustness.pictures import background
from tracker.config import BoxFitConfig
from tracker.geometry.crop import Crop, search_crop
from tracker.geometry.region import (
    box_from_mask,
    box_from_polygon,
    box_of_equal_area,
    box_to_mask,
    clean_mask,
    largest_gap,
    order_polygon,
    parse_region,
    polygon_area,
    polygon_from_box,
    polygon_to_mask,
)
from tracker.geometry.rotated_box import fit_rotated_box
from tracker.tracking.shape import Shape

SHAPE = (40, 60)
coordinates = st.floats(-200, 300)
lengths = st.floats(0.5, 400)
crops = st.builds(Crop, st.tuples(coordinates, coordinates), st.floats(4, 2000), st.sampled_from([16, 64, 256, 384]))
whole_boxes = st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(1, 60), st.integers(1, 40)).map(
    lambda box: (float(box[0]), float(box[1]), float(min(box[2], 60 - box[0])), float(min(box[3], 40 - box[1])))
)
masks = arrays(np.bool_, SHAPE, elements=st.booleans(), fill=st.just(False)).filter(np.any)


def rectangle_at(x: float, y: float, width: float, height: float, degrees: float) -> NDArray[np.float64]:
    angle = np.radians(degrees)
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    return corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + (x, y)


rotated = st.builds(
    rectangle_at, st.floats(10, 50), st.floats(10, 30), st.floats(3, 40), st.floats(3, 40), st.floats(0, 360)
)


@given(crops, st.tuples(coordinates, coordinates))
def test_a_point_goes_to_the_crop_and_back(crop: Crop, point: tuple[float, float]) -> None:
    points = np.array([point])
    assert np.allclose(crop.to_image(crop.to_crop(points)), points, atol=1e-6)
    assert np.allclose(crop.to_crop(crop.to_image(points)), points, atol=1e-6 * crop.scale + 1e-6)


@given(crops)
def test_pixel_centers_lie_half_a_pixel_inside_the_window(crop: Crop) -> None:
    first, last = crop.to_image(np.array([[0.0, 0.0], [crop.size - 1.0, crop.size - 1.0]]))
    half = 0.5 / crop.scale
    assert np.allclose(first - half, np.array(crop.center) - crop.side / 2)
    assert np.allclose(last + half, np.array(crop.center) + crop.side / 2)
    assert np.allclose(crop.to_image(np.array([[(crop.size - 1) / 2] * 2])), [crop.center])


@given(st.integers(8, 40), st.integers(8, 30), st.sampled_from([16, 32]))
def test_a_crop_at_the_images_own_scale_copies_pixels(x: int, y: int, size: int) -> None:
    image = background(64, 80)
    crop = Crop((x + size / 2 - 0.5, y + size / 2 - 0.5), float(size), size)
    assert np.array_equal(crop.extract(image), image[y : y + size, x : x + size])


@given(st.integers(8, 40), st.integers(8, 30), st.sampled_from([16, 32]), st.data())
def test_a_mask_at_the_images_own_scale_comes_back_exactly(x: int, y: int, size: int, data: st.DataObject) -> None:
    mask = np.zeros((64, 80), np.bool_)
    mask[y : y + size, x : x + size] = data.draw(arrays(np.bool_, (size, size)))
    mask = mask[:64, :80]
    crop = Crop((x + size / 2 - 0.5, y + size / 2 - 0.5), float(size), size)
    assert np.array_equal(crop.mask_to_image(crop.mask_to_crop(mask), mask.shape) > 0.5, mask)


@given(whole_boxes, st.sampled_from([64, 128]), st.floats(1.5, 6))
def test_a_boxs_mask_survives_the_way_through_any_crop_that_holds_it(
    box: tuple[float, float, float, float], size: int, factor: float
) -> None:
    x, y, width, height = box
    mask = box_to_mask(box, SHAPE)
    crop = search_crop((x + (width - 1) / 2, y + (height - 1) / 2), (max(width, height),) * 2, factor, size)
    back = crop.mask_to_image(crop.mask_to_crop(mask), SHAPE) > 0.5
    if crop.scale >= 1:
        assert (back ^ mask).sum() <= 2 * (width + height + 4)
    assert not back[~_grown(box, 1 + 1.5 / crop.scale)].any(), "nothing appears elsewhere"


def _grown(box: tuple[float, float, float, float], by: float) -> NDArray[np.bool_]:
    x, y, width, height = box
    return box_to_mask((x - by, y - by, width + 2 * by, height + 2 * by), SHAPE)


@given(crops, st.sampled_from([(1, 1), (1, 30), (25, 1), (33, 47)]))
def test_every_crop_of_every_image_is_whole(crop: Crop, shape: tuple[int, int]) -> None:
    image = background(*shape)
    cut = crop.extract(image)
    assert cut.shape == (crop.size, crop.size, 3) and cut.dtype == np.uint8
    assert cut.min() >= image.min() and cut.max() <= image.max()
    weights = crop.mask_to_crop(np.ones(shape, np.bool_))
    assert weights.shape == (crop.size, crop.size) and weights.min() >= 0 and weights.max() <= 1 + 1e-6


@given(whole_boxes)
def test_box_polygon_and_mask_are_one_region(box: tuple[float, float, float, float]) -> None:
    mask = box_to_mask(box, SHAPE)
    assert mask.sum() == box[2] * box[3]
    assert box_from_mask(mask) == box == box_from_polygon(polygon_from_box(box))
    assert np.array_equal(polygon_to_mask(polygon_from_box(box), SHAPE), mask)


@given(st.tuples(coordinates, coordinates, lengths, lengths))
def test_a_box_mask_is_the_box_within_half_a_pixel(box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    mask = box_to_mask(box, SHAPE)
    if mask.any():
        left, top, wide, high = box_from_mask(mask)
        assert left >= x - 0.5 and top >= y - 0.5
        assert left + wide <= x + width + 0.5 and top + high <= y + height + 0.5
    inside = _covered(x, width, SHAPE[1]) * _covered(y, height, SHAPE[0])
    assert abs(mask.sum() - inside) <= SHAPE[0] + SHAPE[1] + 1


def _covered(start: float, length: float, limit: int) -> float:
    return max(0.0, min(start + length, limit) - max(start, 0.0))


@given(rotated)
def test_a_rotated_box_keeps_center_and_area_as_a_box(polygon: NDArray[np.float64]) -> None:
    x, y, width, height = box_of_equal_area(polygon)
    assert (x + (width - 1) / 2, y + (height - 1) / 2) == pytest.approx(tuple(polygon.mean(0)), abs=1e-6)
    assert (width - 1) * (height - 1) == pytest.approx(polygon_area(polygon), rel=1e-6)


@given(rotated, st.permutations(range(4)))
def test_ordered_corners_go_clockwise_from_the_top_left(polygon: NDArray[np.float64], order: list[int]) -> None:
    ordered = order_polygon(polygon[order])
    assert sorted(map(tuple, ordered)) == sorted(map(tuple, polygon))
    x, y = ordered[:, 0], ordered[:, 1]
    assert np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0, "clockwise on the screen, y down"
    assert ordered[0].sum() == pytest.approx(polygon.sum(1).min())
    assert polygon_area(ordered) == pytest.approx(polygon_area(polygon), rel=1e-9)


@given(rotated)
def test_what_is_parsed_covers_pixels_inside_its_bounds(polygon: NDArray[np.float64]) -> None:
    parsed = parse_region(polygon, SHAPE)
    mask = parsed.to_mask(SHAPE)
    rows, columns = np.nonzero(mask)
    assert len(rows)
    (left, top), (right, bottom) = polygon.min(0) - 0.5, polygon.max(0) + 0.5
    assert left <= columns.min() and columns.max() <= right and top <= rows.min() and rows.max() <= bottom


@given(masks, st.none() | st.floats(-180, 180))
@settings(max_examples=60)
def test_a_fitted_box_is_a_rectangle_with_an_area_near_the_mask(mask: NDArray[np.bool_], angle: float | None) -> None:
    polygon = fit_rotated_box(mask, BoxFitConfig(), angle)
    _, _, width, height = box_from_mask(mask)
    assert (polygon is None) == (min(width, height) < 2)
    if polygon is None:
        return
    assert np.isfinite(polygon).all() and polygon_area(polygon) >= 0.99
    sides = np.roll(polygon, -1, axis=0) - polygon
    assert np.allclose(sides[0] + sides[2], 0, atol=1e-6) and abs(sides[0] @ sides[1]) < 1e-6 * (
        1 + abs(sides).max() ** 2
    )
    x, y, width, height = box_from_mask(mask)
    assert x - 1 <= polygon[:, 0].mean() <= x + width and y - 1 <= polygon[:, 1].mean() <= y + height


@given(masks, st.tuples(st.floats(-50, 100), st.floats(-50, 100)), st.floats(0.0, 1.0), st.floats(0.0, 5.0))
def test_cleaning_removes_pixels_and_never_all(
    mask: NDArray[np.bool_], center: tuple[float, float], share: float, gap: float
) -> None:
    cleaned = clean_mask(mask, center, (10.0, 8.0), min_share=share, max_gap=gap)
    assert cleaned.any() and not (cleaned & ~mask).any()
    again = clean_mask(cleaned, center, (10.0, 8.0), min_share=share, max_gap=gap)
    assert np.array_equal(again, cleaned)


@given(masks)
def test_the_largest_gap_keeps_all_parts(mask: NDArray[np.bool_]) -> None:
    gap = largest_gap(mask)
    assert 0 <= gap < np.hypot(*SHAPE) * 1.1 and np.isfinite(gap)


@given(
    masks, st.tuples(st.floats(0, 80), st.floats(0, 80)), st.sampled_from([(1, 1), (1, 30), (2, 2), (40, 60), (90, 20)])
)
def test_a_moved_shape_is_seen_wherever_it_goes(
    mask: NDArray[np.bool_], center: tuple[float, float], shape: tuple[int, int]
) -> None:
    inside = (min(center[0], shape[1] - 1), min(center[1], shape[0] - 1))
    moved = Shape(mask, polygon_from_box(box_from_mask(mask))).moved_to(inside, shape)
    assert moved.mask.shape == shape and moved.mask.any()
    assert moved.center == pytest.approx(inside, abs=1e-6)
