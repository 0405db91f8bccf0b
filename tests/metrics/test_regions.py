"""Overlaps of boxes and polygons are the toolkit's, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from vot.region import Polygon, Rectangle, calculate_overlap

from tracker.metrics.regions import overlap

SIZE = (100, 90)


def rectangle(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotated rectangle 4 x 2, perhaps in part or wholly outside the image."""
    width, height = rng.uniform(0.3, 60.0, 2)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    return corners @ turn.T + rng.uniform(-20.0, 120.0, 2)


def box(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.concatenate([rng.uniform(-20.0, 80.0, 2), rng.uniform(0.3, 60.0, 2)])


def theirs(region: NDArray[np.float64]) -> Rectangle | Polygon:
    return Rectangle(*region) if region.ndim == 1 else Polygon([tuple(point) for point in region])


@pytest.mark.parametrize(("first", "second"), [(rectangle, rectangle), (box, box), (rectangle, box)])
def test_the_overlap_is_the_toolkits(first, second) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(2000):
        one, other = first(rng), second(rng)
        seen.append(overlap(one, other, SIZE))
        assert seen[-1] == pytest.approx(calculate_overlap(theirs(one), theirs(other), SIZE), abs=1e-9), (one, other)
    assert 0.1 < np.mean(np.array(seen) > 0.0) < 0.9, "both kinds are among them"


def test_a_region_overlaps_with_itself_entirely_and_with_one_beside_it_not_at_all() -> None:
    square = np.array([[10.0, 10.0], [29.0, 10.0], [29.0, 29.0], [10.0, 29.0]])
    assert overlap(square, np.array([10.0, 10.0, 20.0, 20.0]), SIZE) == 1.0
    assert overlap(square, square + np.array([10.0, 0.0]), SIZE) == pytest.approx(10 / 30)
    assert overlap(square, square + np.array([20.0, 0.0]), SIZE) == 0.0
