"""Crops by matrix products are those that OpenCV makes."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from tracker.engine.resampling import resample, shares
from tracker.geometry.crop import Crop

LEVELS = 1.5  # largest difference to OpenCV's answer, which is rounded once or twice; 0.98 was measured


def resampled(crop: Crop, image: np.ndarray) -> np.ndarray:
    columns, rows = torch.tensor(np.array(crop.sampling(image.shape), np.float32))
    answer = resample(torch.from_numpy(image), columns, rows, crop.size)
    assert answer.shape == (1, 3, crop.size, crop.size) and answer.dtype == torch.float32
    return answer[0].permute(1, 2, 0).numpy()


@functools.cache
def pictures() -> dict[str, np.ndarray]:
    """The hardest kind of content, and a real one."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    return {"noise": noise, "photo": cv2.resize(data.astronaut(), (200, 160), interpolation=cv2.INTER_AREA)}


@pytest.mark.parametrize("name", ["noise", "photo"])
@settings(max_examples=25, deadline=None)
@given(st.floats(-40, 240), st.floats(-40, 200), st.floats(2, 900), st.sampled_from([16, 64, 96]))
def test_they_differ_by_rounding_only(name: str, x: float, y: float, side: float, size: int) -> None:
    image, crop = pictures()[name], Crop((x, y), side, size)
    difference = resampled(crop, image) - crop.extract(image)
    assert np.abs(difference).max() < LEVELS
    assert np.abs(difference).mean() < 0.5 and abs(difference.mean()) < 0.3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 2)])
def test_thin_images_are_cropped_too(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for side in (3.0, 25.0, 300.0):
        crop = Crop((0.3, 0.6), side, 16)
        assert np.abs(resampled(crop, image) - crop.extract(image)).max() < LEVELS


def test_a_crop_of_scale_one_copies_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    assert np.array_equal(resampled(Crop((19.5, 19.5), 16, 16), image), image[12:28, 12:28])


def test_beyond_the_image_its_border_repeats() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, -1] = (1, 2, 3)
    assert np.allclose(resampled(Crop((60, 10), 8, 16), image), (1, 2, 3), atol=1e-4)


@pytest.mark.parametrize("side", [10.0, 64.0, 1000.0])
def test_nothing_gets_lost(side: float) -> None:
    for sampling in Crop((50.0, 5.0), side, 32).sampling((70, 90)):
        share = shares(torch.tensor(sampling), 32, 90)
        assert share.min() >= 0 and torch.allclose(share.sum(1), torch.ones(32), atol=1e-4)
