"""What works in a bounding box, or in place, for speed answers exactly as the whole image and the formula do."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tracker.geometry.box_search import _best_interval
from tracker.geometry.region import clean_mask

Mask = NDArray[np.bool_]


def cleaned_whole(
    mask: Mask, center: tuple[float, float], size: tuple[float, float], min_share: float, max_gap: float
) -> Mask:
    """`clean_mask` on the whole image; for masks of few runs."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    rows, columns = np.indices(mask.shape)
    weights = 1e-6 + np.exp(-0.5 * (2.0 * (columns - center[0]) / size[0]) ** 2)
    weights = weights * (1e-6 + np.exp(-0.5 * (2.0 * (rows - center[1]) / size[1]) ** 2))
    main = 1 + int(np.argmax([weights[labels == label].sum() for label in range(1, count)]))
    outside = (labels != main).astype(np.uint8)
    distances = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_3)
    kept = np.zeros_like(mask)
    for label in range(1, count):
        component = labels == label
        large = component.sum() >= min_share * stats[main, cv2.CC_STAT_AREA]
        if large and distances[component].min() <= max_gap * math.sqrt(size[0] * size[1]):
            kept |= component
    return kept


def blobs(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Mask:
    noise = cv2.GaussianBlur(rng.random(shape).astype(np.float32), (0, 0), float(rng.uniform(1, 5)))
    return np.asarray(noise > np.quantile(noise, 1 - share))


@pytest.mark.parametrize("seed", range(40))
def test_a_mask_is_cleaned_as_in_the_whole_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(20, 90, 2))
    mask = np.zeros((height, width), np.bool_)
    top, left = int(rng.integers(0, height // 2)), int(rng.integers(0, width // 2))  # both parities, and the borders
    part = blobs(rng, (height - top, width - left), float(rng.uniform(0.02, 0.5)))
    mask[top:, left:] = part
    center = float(rng.uniform(0, width)), float(rng.uniform(0, height))
    size = float(rng.uniform(4, width)), float(rng.uniform(4, height))
    found = clean_mask(mask, center, size, min_share=0.1, max_gap=0.25)
    assert found.dtype == np.bool_ and found.any()
    assert np.array_equal(found, cleaned_whole(mask, center, size, 0.1, 0.25))


def test_where_it_lies_in_the_image_changes_nothing() -> None:
    """Also where the mask has too many runs to be written, and only its main component stays."""
    rng = np.random.default_rng(7)
    for mask in (blobs(rng, (40, 60), 0.3), rng.random((400, 800)) < 0.45):
        height, width = mask.shape
        alone = clean_mask(mask, (width / 2, height / 2), (30.0, 20.0), min_share=0.1, max_gap=0.25)
        for left, top in ((0, 1), (1, 0), (13, 8)):
            padded = np.zeros((height + 20, width + 30), np.bool_)
            padded[top : top + height, left : left + width] = mask
            center = (width / 2 + left, height / 2 + top)
            found = clean_mask(padded, center, (30.0, 20.0), min_share=0.1, max_gap=0.25)
            assert np.count_nonzero(found) == np.count_nonzero(alone)
            assert np.array_equal(found[top : top + height, left : left + width], alone)


def test_nothing_stays_nothing() -> None:
    empty = np.zeros((30, 40), np.bool_)
    assert not clean_mask(empty, (20.0, 10.0), (8.0, 8.0), min_share=0.1, max_gap=0.25).any()


@pytest.mark.parametrize("seed", range(20))
def test_an_interval_is_scored_by_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    across, weight = int(rng.integers(1, 60)), float(rng.choice([0.25, 0.5, 1.0]))
    columns = rng.uniform(0, across, int(rng.integers(2, 70)))
    sums = np.concatenate([[0.0], np.cumsum(columns)])
    total = float(sums[-1] * rng.uniform(1, 2))
    least = 0.9 * total
    best, where = -np.inf, (0, 0)
    for first in range(len(sums)):
        for last in range(len(sums)):
            inside = sums[last] - sums[first]
            score = inside / (total + weight * (across * abs(float(last - first)) - inside))
            if inside < min(least, sums[-1]) * (1 - 1e-9):
                score = -1.0
            if score > best:
                best, where = float(score), (first, last)
    before = sums.copy()
    assert _best_interval(sums, across, total, weight, least) == (*where, best)
    assert np.array_equal(sums, before)
