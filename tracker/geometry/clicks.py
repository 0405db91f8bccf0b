"""Clicks on a target and beside it, as a user gives them in place of a region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.geometry.region import RegionError


@dataclass(frozen=True)
class Clicks:
    """Checked clicks.

    Attributes:
        points: n x 2, x and y in pixels.
        labels: n bool: the point is on the target, or not on it. At least one is.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.bool_]

    @property
    def on(self) -> NDArray[np.float64]:
        """The points on the target, n x 2."""
        return self.points[self.labels]

    @property
    def beside(self) -> NDArray[np.float64]:
        """The points that are not on it, n x 2."""
        return self.points[~self.labels]


def parse_clicks(points: object, labels: object, shape: tuple[int, int]) -> Clicks:
    """Check clicks in an image H x W.

    Args:
        points: n x 2, x and y in pixels; or one point.
        labels: n numbers, 1 where a point is on the target and 0 where it is not; None: all are on it.
        shape: height and width of the image.

    Raises:
        RegionError: not such points, one outside of the image, other labels, or no point on the target.
    """
    try:
        found = np.atleast_2d(np.asarray(points, np.float64))
        chosen = np.ones(len(found)) if labels is None else np.atleast_1d(np.asarray(labels, np.float64))
    except (TypeError, ValueError) as error:
        raise RegionError("the points are not numeric; give [(x, y), ...], and for each the label 1 or 0") from error
    if found.ndim != 2 or found.shape[1] != 2 or not np.isfinite(found).all():
        raise RegionError(f"points of shape {found.shape} are not understood; give n x 2 finite numbers, x and y")
    if chosen.shape != (len(found),) or not np.isin(chosen, (0, 1)).all():
        raise RegionError(f"there are {len(found)} points; give a label for each, 1 on the target, 0 beside it")
    if not chosen.any():
        raise RegionError("no point is on the target; give one with label 1")
    height, width = shape
    for x, y in found:
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            raise RegionError(f"the point {x:g}, {y:g} lies outside the image of {width} x {height} pixels")
    return Clicks(found, chosen.astype(np.bool_))
