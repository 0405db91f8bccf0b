"""Crops: half-pixel exactness, round trips, borders and anti-aliasing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.geometry.crop import Crop, search_crop


def ramp(height: int, width: int) -> np.ndarray:
    """An image whose red channel is x and whose green channel is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)


@given(
    st.floats(-50, 300),
    st.floats(-50, 300),
    st.floats(2, 2000),
    st.sampled_from([16, 64, 256, 384]),
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=5),
)
def test_points_go_there_and_back(
    x: float, y: float, side: float, size: int, points: list[tuple[float, float]]
) -> None:
    crop = Crop((x, y), side, size)
    assert np.allclose(crop.to_image(crop.to_crop(np.array(points))), points, atol=1e-6)
    assert np.allclose(crop.to_crop(np.array([[x, y]])), (size - 1) / 2, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(60, 140), st.floats(60, 140), st.floats(20, 110), st.sampled_from([32, 64, 128]))
def test_pixels_are_where_the_points_say(x: float, y: float, side: float, size: int) -> None:
    crop = Crop((x, y), side, size)
    pixels = crop.extract(ramp(200, 200)).astype(float)
    inner = [(2, 2), (size // 2, size // 3), (size - 3, size - 4)]
    places = crop.to_image(np.array(inner))
    for (u, v), (image_x, image_y) in zip(inner, places, strict=True):
        assert pixels[v, u, 0] == pytest.approx(image_x, abs=1.0)
        assert pixels[v, u, 1] == pytest.approx(image_y, abs=1.0)


def test_a_crop_of_scale_one_copies_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    crop = Crop((19.5, 19.5), 16, 16)
    assert np.array_equal(crop.extract(image), image[12:28, 12:28])


def test_strong_shrinking_averages_and_stays_in_place() -> None:
    board = (np.indices((1024, 1024)).sum(0) % 2 * 255).astype(np.uint8)
    gray = Crop((511.5, 511.5), 1000, 64).extract(board)
    assert np.abs(gray.astype(int) - 127).max() <= 6
    step = np.zeros((1200, 1200), np.uint8)
    step[:, 600:] = 255
    shrunk = Crop((599.5, 599.5), 1200, 64).extract(step)
    assert shrunk[:, :31].max() == 0 and shrunk[:, 33:].min() == 255
    moved = Crop((599.5 + 1200 / 64 * 5, 599.5), 1200, 64).extract(step)
    assert moved[:, :26].max() == 0 and moved[:, 28:].min() == 255


def test_outside_the_image_the_border_repeats() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, -1] = (1, 2, 3)
    crop = Crop((60, 10), 8, 16)
    assert (crop.extract(image) == (1, 2, 3)).all()
    far = Crop((5000, 10), 4000, 64)
    assert far.extract(image).shape == (64, 64, 3)
    assert (far.extract(np.full((1, 1, 3), 7, np.uint8)) == 7).all()


def test_masks_are_zero_outside_and_keep_their_area() -> None:
    mask = np.zeros((100, 100), bool)
    mask[40:60, 30:70] = True
    crop = Crop((50, 50), 80, 128)
    there = crop.mask_to_crop(mask)
    assert there.min() >= 0 and there.max() <= 1
    assert there.sum() / crop.scale**2 == pytest.approx(800, rel=0.02)
    assert np.array_equal(crop.mask_to_image(there, (100, 100)) > 0.5, mask)
    assert Crop((500, 50), 80, 128).mask_to_crop(mask).sum() == 0
    assert Crop((500, 50), 80, 128).mask_to_image(np.ones((128, 128), np.float32), (100, 100)).sum() == 0


def test_large_masks_survive_shrinking() -> None:
    mask = np.zeros((900, 900), bool)
    mask[200:700, 300:600] = True
    crop = Crop((449.5, 449.5), 900, 64)
    back = crop.mask_to_image(crop.mask_to_crop(mask), (900, 900)) > 0.5
    assert np.count_nonzero(back & mask) / np.count_nonzero(back | mask) > 0.96


def test_search_crop_is_a_square_of_the_targets_geometric_mean() -> None:
    crop = search_crop((3.0, 4.0), (10, 40), 4.5, 256)
    assert crop == Crop((3.0, 4.0), 90.0, 256)
