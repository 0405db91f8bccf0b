"""Overlap of boxes and polygons, rasterized as the VOT toolkit does, so that scores can be compared with its own.

A region is four numbers x, y, w, h, or the corners n x 2 of a convex polygon. All of them are rounded to pixels, and
only pixels inside the image count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Region = NDArray[np.floating]
Bounds = tuple[int, int, int, int]  # first and last column and row: left, top, right, bottom


def _rounded(region: Region) -> NDArray[np.int64]:
    return np.round(np.asarray(region, np.float32)).astype(np.int64)


def _bounds(region: NDArray[np.int64]) -> Bounds:
    """The pixels between which a region lies."""
    if region.ndim == 1:
        x, y, width, height = region.tolist()
        return x, y, x + width - 1, y + height - 1
    (left, top), (right, bottom) = region.min(0).tolist(), region.max(0).tolist()
    return left, top, right, bottom


def _fill(region: NDArray[np.int64], bounds: Bounds) -> NDArray[np.bool_]:
    """The region's pixels between `bounds`; a polygon fills each row between its outermost crossings with an edge."""
    left, top, right, bottom = bounds
    columns, rows = np.arange(right - left + 1), np.arange(bottom - top + 1)[:, None]
    if region.ndim == 1:
        x0, y0, x1, y1 = _bounds(region)
        return np.asarray((columns >= x0 - left) & (columns <= x1 - left) & (rows >= y0 - top) & (rows <= y1 - top))
    ends = region - (left, top)
    (x0, y0), (x1, y1) = ends.T, np.roll(ends, 1, axis=0).T
    crossed = (np.minimum(y0, y1) <= rows) & (rows <= np.maximum(y0, y1))  # rows x edges
    rise = y1 - y0
    slope = np.where(rise == 0, 0.0, (rows - y0) / np.where(rise == 0, 1, rise))
    crossings = np.trunc(x0 + slope * (x1 - x0))  # as the toolkit's, which keeps them in integers
    first = np.where(crossed, crossings, np.inf).min(1, keepdims=True)
    last = np.where(crossed, crossings, -np.inf).max(1, keepdims=True)
    return np.asarray((columns >= first) & (columns <= last))


def overlap(first: Region, second: Region, size: tuple[int, int]) -> float:
    """Intersection over union of two regions; that of two empty ones is 1, as in the toolkit.

    Args:
        first: four numbers x, y, w, h, or the corners n x 2 of a convex polygon, in order.
        second: likewise.
        size: width and height of the image, pixels; nothing beyond it counts.
    """
    regions = _rounded(first), _rounded(second)
    ends = np.array([_bounds(region) for region in regions])
    (left, top), (right, bottom) = ends[:, :2].min(0).tolist(), ends[:, 2:].max(0).tolist()
    if left >= right or top >= bottom:
        return 1.0
    bounds = max(0, left), max(0, top), min(size[0] - 1, right), min(size[1] - 1, bottom)
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        return 0.0
    one, other = (_fill(region, bounds) for region in regions)
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 0.0
