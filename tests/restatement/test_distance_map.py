"""The spatial map against its definition in pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.restatement.comparison import assert_close
from tracker.geometry.distance_map import distance_map

STRIDE = 16


def by_pixels(grid: int, center: tuple[float, float], side: float) -> np.ndarray:
    """Distances from each cell's middle to `center` (x, y in pixels) in units of `side` pixels.

    Pixel u reaches from u - 0.5 to u + 0.5, so that the middle of cell i lies half a pixel before 16 i + 8.
    """
    result = np.zeros((grid, grid))
    for row in range(grid):
        for column in range(grid):
            dx = STRIDE * column + STRIDE / 2 - 0.5 - center[0]
            dy = STRIDE * row + STRIDE / 2 - 0.5 - center[1]
            result[row, column] = math.sqrt(dx * dx + dy * dy) / side
    return result


@pytest.mark.parametrize("grid", [5, 24])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (13.0, -29.5), (-200.0, 31.25)])
def test_distance_map(grid: int, shift: tuple[float, float]) -> None:
    """The release's map is centered in the crop and divided by its side; ours follows the target in it."""
    size = grid * STRIDE
    x, y = ((size - 1) / 2 + part for part in shift)
    cells = ((x + 0.5) / STRIDE - 0.5, (y + 0.5) / STRIDE - 0.5)
    assert_close(distance_map(grid, cells, grid), by_pixels(grid, (x, y), size))
    assert_close(distance_map(grid, cells, 1.5 * grid), by_pixels(grid, (x, y), 1.5 * size))


def test_release_values() -> None:
    """0 in the center, 0.71 in the crop's corners; a cell's middle lies half a cell's diagonal inside."""
    values = distance_map(24, (11.5, 11.5), 24)
    assert values[0, 0] + math.sqrt(2) / 2 / 24 == pytest.approx(math.sqrt(0.5), abs=1e-5)
    assert values[11:13, 11:13] == pytest.approx(np.full((2, 2), math.sqrt(0.5) / 24), abs=1e-6)
