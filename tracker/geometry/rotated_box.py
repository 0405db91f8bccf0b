"""From a mask to the rotated box that VOT's annotators would have drawn around it.

They fitted boxes so that little background is inside and little target outside; the minimum-area rectangle instead
is stretched by every arm and antenna. docs/BOX_FITTING.md compares the methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import BoxFitConfig, BoxFitMethod
from tracker.geometry.box_search import MaskTurner, best_angle, box_at, weighted_overlap
from tracker.geometry.region import order_polygon

MAX_ELLIPSE_RATIO = 1.6  # an ellipse longer than this share of the contour's own length is a bad fit
MAX_CANVAS = 256  # larger targets are shrunk greedily at reduced resolution, pixels
EQUAL_MOMENTS = 12.0  # squared side of a rectangle, in variances along it
ELLIPSE = 16.0  # squared axis of an ellipse, in variances along it

Mask = NDArray[np.bool_]
Polygon = NDArray[np.float64]
Rectangle = tuple[tuple[float, float], tuple[float, float], float]  # as OpenCV has it: centre, sides, degrees


def _corners(rectangle: Rectangle) -> Polygon:
    """Corners 4 x 2 of a rectangle between pixel centres, whose sides are at least one pixel: it has an area."""
    (x, y), sides, angle = rectangle
    width, height = (max(side, 1.0) / 2 for side in sides)
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    across = np.array([-along[1], along[0]])
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return np.asarray(signs * (width, height) @ np.stack([along, across]) + (x, y))


def _contour(mask: Mask) -> NDArray[np.int32]:
    """Border pixels n x 1 x 2 of all parts: an occluder may cut a target in two."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.concatenate(contours).astype(np.int32)


class _Moments:
    """Centre x, y, covariance 2 x 2 and direction of a mask's pixels."""

    def __init__(self, mask: Mask) -> None:
        found = cv2.moments(mask.astype(np.uint8), binaryImage=True)
        self.centre = (found["m10"] / found["m00"], found["m01"] / found["m00"])
        covariance = np.array([[found["mu20"], found["mu11"]], [found["mu11"], found["mu02"]]]) / found["m00"]
        self.covariance = covariance + np.eye(2) / 12  # a pixel has an extent, which its centre has not
        across, along = np.linalg.eigvalsh(self.covariance)
        self.elongation = math.sqrt(along / across)
        twice = math.atan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1])
        self.angle = math.degrees(twice / 2)

    def rectangle(self, angle: float, factor: float) -> Rectangle:
        """The rectangle at an angle whose squared sides are `factor` times the variances along them."""
        along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
        variances = (direction @ self.covariance @ direction for direction in (along, np.array([-along[1], along[0]])))
        width, height = (math.sqrt(factor * variance) - 1 for variance in variances)
        return self.centre, (width, height), angle


def _kept_angle(moments: _Moments, config: BoxFitConfig, last: float | None) -> float | None:
    """The last angle where the mask is nearly round: its own direction is then noise, and would jitter."""
    return last if moments.elongation < config.round_below else None


def _min_area(mask: Mask, config: BoxFitConfig, last: float | None) -> Polygon:
    """The smallest rectangle around the mask; at the last angle where the mask is nearly round."""
    contour = _contour(mask)
    angle = _kept_angle(_Moments(mask), config, last)
    if angle is None:
        return _corners(cv2.minAreaRect(contour))  # type: ignore[arg-type]
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    frame = np.stack([along, [-along[1], along[0]]])
    points = contour.reshape(-1, 2) @ frame.T
    low, high = points.min(0), points.max(0)
    x, y = (low + high) / 2 @ frame
    return _corners(((x, y), (high[0] - low[0], high[1] - low[1]), angle))


def _moments(mask: Mask, config: BoxFitConfig, last: float | None, factor: float = EQUAL_MOMENTS) -> Polygon:
    """The rectangle that has the mask's first and second moments."""
    moments = _Moments(mask)
    angle = _kept_angle(moments, config, last)
    return _corners(moments.rectangle(moments.angle if angle is None else angle, factor))


def _ellipse(mask: Mask, config: BoxFitConfig, last: float | None) -> Polygon:
    """The rectangle around the ellipse that has the mask's first and second moments."""
    return _moments(mask, config, last, ELLIPSE)


def _optimise(mask: Mask, config: BoxFitConfig, last: float | None) -> Polygon:
    """The rectangle of the best weighted overlap, see `tracker.geometry.box_search`."""
    weights = config.background_weight, config.min_coverage
    moments = _Moments(mask)
    angle = _kept_angle(moments, config, last)
    if angle is None:
        starts = [moments.angle, float(cv2.minAreaRect(_contour(mask))[2])]
        angle = best_angle(mask, starts if last is None else [*starts, last], *weights)
    return box_at(mask, angle, *weights)


def _contour_angle(contour: NDArray[np.int32], last: float | None, round_below: float) -> float:
    """Orientation in degrees: of the ellipse fitted to the border, or of the minimum-area rectangle if that is no fit.

    Of a shape that is nearly round the ellipse points anywhere; the last angle is as good, and does not jitter.
    """
    rectangle = cv2.minAreaRect(contour)
    if len(contour) < 6 or min(rectangle[1]) < 1:
        return float(rectangle[2])
    (x, y), axes, angle = cv2.fitEllipse(contour)
    longest = max(rectangle[1])
    if not all(map(math.isfinite, (x, y, *axes))) or max(axes) > MAX_ELLIPSE_RATIO * longest:
        return float(rectangle[2])
    if last is not None and max(axes) < round_below * min(axes):
        return last
    return float(angle)


def _shrink(mask: Mask, config: BoxFitConfig) -> tuple[int, int, int, int]:
    """Pull in the sides of a mask's bounding box; returns left, top, right, bottom (exclusive)."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    sides = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    total = int(np.count_nonzero(mask))
    sums = cv2.integral(mask.astype(np.uint8))

    def score(left: int, top: int, right: int, bottom: int) -> float:
        inside = int(sums[bottom, right]) - int(sums[top, right]) - int(sums[bottom, left]) + int(sums[top, left])
        if inside < config.min_coverage * total:
            return -1.0
        return weighted_overlap(inside, total, (right - left) * (bottom - top), config.background_weight)

    best = score(*sides)
    while sides[2] - sides[0] > 2 and sides[3] - sides[1] > 2:
        candidates = []
        for index, step in enumerate((1, 1, -1, -1)):
            moved = sides.copy()
            moved[index] += step
            candidates.append((score(*moved), -index, moved))
        value, _, moved = max(candidates)
        if value <= best:
            break
        best, sides = value, moved
    return sides[0], sides[1], sides[2], sides[3]


def _greedy(mask: Mask, config: BoxFitConfig, last: float | None) -> Polygon:
    """The release's rule: the ellipse's angle, then sides pulled in one after the other while the overlap grows."""
    contour = _contour(mask)
    rectangle = cv2.minAreaRect(contour)
    turned = MaskTurner(mask, MAX_CANVAS).turn(_contour_angle(contour, last, config.round_below))
    canvas = turned.canvas > 0.5
    if not canvas.any():
        return _corners(rectangle)  # type: ignore[arg-type]
    left, top, right, bottom = _shrink(canvas, config)
    fitted = (right - left) * (bottom - top) * turned.factor**2
    smallest = max(float(rectangle[1][0] + 1) * float(rectangle[1][1] + 1), 1.0)
    if not config.min_area_ratio <= fitted / smallest <= config.max_area_ratio:
        return _corners(rectangle)  # type: ignore[arg-type]
    return turned.polygon((left, top, right, bottom))


_FITS: dict[BoxFitMethod, Callable[[Mask, BoxFitConfig, float | None], Polygon]] = {
    "min_area": _min_area,
    "moments": _moments,
    "ellipse": _ellipse,
    "greedy": _greedy,
    "optimise": _optimise,
}


def fit_rotated_box(mask: Mask, config: BoxFitConfig, last_angle: float | None = None) -> Polygon | None:
    """Fit a rotated box to a mask, by the method that the configuration names.

    Args:
        mask: H x W bool; all its parts count.
        config: parameters.
        last_angle: of the box in the frame before, degrees; kept where the mask is nearly round.

    Returns:
        4 x 2 corners (x, y of pixel centres), clockwise from top-left, of a box at least one pixel wide and high;
        None if the mask does not span two columns and two rows.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if width < 2 or height < 2:
        return None
    part = mask[top : top + height, left : left + width]
    polygon = _FITS[config.method](part, config, last_angle)
    return order_polygon(polygon + np.array([left, top]))
