"""The initial samples show the target where they say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tracker.geometry.crop import Crop
from tracker.tracking.augmentation import SAMPLES, augment_initial

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def image() -> Image:
    """Smooth texture."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def dot(center: tuple[float, float]) -> Image:
    """A soft bright spot at `center` (x, y) on black."""
    y, x = np.mgrid[:240, :320]
    spot = 255 * np.exp(-0.5 * ((x - center[0]) ** 2 + (y - center[1]) ** 2) / 4.0**2)
    return np.repeat(spot[:, :, None], 3, 2).astype(np.uint8)


def test_every_sample_has_the_target_at_its_center() -> None:
    crop = Crop(center=(150.3, 120.8), side=60.0, size=96)
    samples, centers = augment_initial(dot(crop.center), crop)
    assert samples.shape == (SAMPLES, 96, 96, 3) and SAMPLES == 27
    assert samples.dtype == np.uint8 and centers.shape == (SAMPLES, 2)
    y, x = np.mgrid[:96, :96]
    for index, (sample, center) in enumerate(zip(samples, centers, strict=True)):
        weight = sample[:, :, 0].astype(float)
        found = (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()
        assert found == pytest.approx(tuple(center), abs=0.2), index


def test_identity_comes_first_then_shifts_in_all_directions_and_the_mirror_image(image: Image) -> None:
    crop = Crop(center=(160.0, 120.0), side=64.0, size=64)
    samples, centers = augment_initial(image, crop)
    plain = crop.extract(image)
    np.testing.assert_array_equal(samples[0], plain)
    np.testing.assert_array_equal(samples[9], plain[:, ::-1])
    moves = centers[1:9] - centers[0]
    assert {tuple(np.sign(move)) for move in moves} == {
        (x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)
    }
    for sample, (dx, dy) in zip(samples[1:9], moves.astype(int), strict=True):
        rows = slice(max(0, dy), 64 + min(0, dy)), slice(max(0, -dy), 64 + min(0, -dy))
        columns = slice(max(0, dx), 64 + min(0, dx)), slice(max(0, -dx), 64 + min(0, -dx))
        np.testing.assert_array_equal(sample[rows[0], columns[0]], plain[rows[1], columns[1]])


def test_blurs_smooth_and_rotations_turn_without_padding(image: Image) -> None:
    crop = Crop(center=(160.0, 120.0), side=64.0, size=64)
    samples, _ = augment_initial(image, crop)

    def roughness(sample: Image, axis: int) -> float:
        return float(np.abs(np.diff(sample.astype(float), axis=axis)).mean())

    for blurred in samples[10:15]:
        assert roughness(blurred, 0) + roughness(blurred, 1) < roughness(samples[0], 0) + roughness(samples[0], 1)
    assert roughness(samples[10], 1) < roughness(samples[10], 0)  # the first blur is along x
    for turned in samples[15:]:
        assert not np.array_equal(turned, samples[0])
        for border in (turned[0], turned[-1], turned[:, 0], turned[:, -1]):
            assert np.abs(np.diff(border.astype(int), axis=0)).max() > 3, "a constant border is padding"


def test_nothing_is_random(image: Image) -> None:
    crop = Crop(center=(20.0, 230.0), side=100.0, size=48)
    first, second = augment_initial(image, crop), augment_initial(image, crop)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
