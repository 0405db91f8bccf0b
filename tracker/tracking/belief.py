"""When a decoded mask is the target's: where it lies, how large it is, and whether it goes on beyond its reach."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import MaskConfig, TrustConfig
from tracker.geometry.crop import Crop
from tracker.geometry.region import box_window
from tracker.metrics.regions import overlap
from tracker.tracking.shape import Shape

SOFT_BORDER = 9  # crop pixels; side of the square by which the answered mask is widened before it is remembered


def believes(
    shape: Shape,
    expected: tuple[float, float],
    trusted: Shape,
    size: tuple[float, float],
    relative_size: float,
    config: TrustConfig,
) -> bool:
    """Whether what a crop showed is the target: its mask lies at the peak and is much as the target is expected.

    Args:
        shape: what the crop showed.
        expected: x, y where the target was expected, image pixels.
        trusted: the last shape that was believed.
        size: width and height of the target, image pixels.
        relative_size: how large the shape is beside what that size lets expect, as a factor of its sides.
        config: the limits.
    """
    if math.dist(shape.center, expected) / math.sqrt(size[0] * size[1]) > config.max_offset:
        return False
    if abs(math.log(relative_size)) > 0.5 * math.log(config.max_area_change):
        return False
    height, width = shape.mask.shape
    guess = trusted.polygon - trusted.center + np.array(expected)
    return overlap(shape.polygon, guess, (width, height)) >= config.min_overlap


def leaks(
    probability: NDArray[np.float32],
    crop: Crop,
    expected: tuple[float, float],
    size: tuple[float, float],
    config: MaskConfig,
) -> bool:
    """Whether a mask goes on where its reach cuts it off: then it may be that of a larger thing.

    Args:
        probability: of the target, S x S, in a crop.
        crop: the crop.
        expected: x, y where the target was expected, image pixels.
        size: its width and height, image pixels.
        config: the reach, and what leaks beyond it.
    """
    seen = probability > config.threshold
    x, y = crop.to_crop(np.array([expected]))[0]
    size = (size[0] * crop.scale, size[1] * crop.scale)
    allowed = box_window((x, y), size, config.reach, seen.shape)
    beside = box_window((x, y), size, config.reach + config.leak_ring, seen.shape) & ~allowed
    return bool(np.count_nonzero(seen & beside) > config.max_leak * np.count_nonzero(seen & allowed))


def near(mask: NDArray[np.bool_], crop: Crop) -> NDArray[np.bool_]:
    """Crop pixels S x S on the answered mask or a few pixels beside it: what was cleaned away is not remembered."""
    kernel = np.ones((SOFT_BORDER, SOFT_BORDER), np.uint8)
    return np.asarray(cv2.dilate(crop.mask_to_crop(mask), kernel) > 0.0)
