"""Spatial maps: where the target is, as a grid (Section III-D, positional encoding)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def distance_map(size: int, center: tuple[float, float], unit: float) -> NDArray[np.float32]:
    """Euclidean distance from `center` (x, y in cells; cell i is centered at i), divided by `unit` (cells).

    Args:
        size: cells per side.
        center: the target's center.
        unit: cells per unit; the tracker uses the side of the search region.

    Returns:
        size x size, float32.
    """
    axis = np.arange(size, dtype=np.float32)
    return np.hypot(axis[None, :] - center[0], axis[:, None] - center[1]).astype(np.float32) / np.float32(unit)


def gaussian_map(size: int, center: tuple[float, float], sigma: float) -> NDArray[np.float32]:
    """A Gaussian, 1 at `center` (x, y in cells; cell i is centered at i): what a trained filter answers on its target.

    Args:
        size: cells per side.
        center: the target's center.
        sigma: standard deviation, cells.

    Returns:
        size x size, float32.
    """
    distances = distance_map(size, center, sigma)
    return np.exp(-0.5 * distances**2).astype(np.float32)  # type: ignore[no-any-return]
