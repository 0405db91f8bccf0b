"""From a mask to the rotated box that VOT's annotators would have drawn around it.

They fitted boxes so that little background is inside and little target outside; the minimum-area rectangle instead
is stretched by every arm and antenna. Rule of the authors' release: the angle of the fitted ellipse, then sides
pulled in one after the other while a weighted overlap grows.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import BoxFitConfig
from tracker.geometry.region import order_polygon

MAX_ELLIPSE_RATIO = 1.6  # an ellipse longer than this share of the contour's own length is a bad fit
MAX_CANVAS = 256  # larger targets are fitted at reduced resolution, pixels; keeps the cost at a few milliseconds


def _angle(contour: NDArray[np.int32], last: float | None, round_below: float) -> float:
    """Orientation in degrees: of the fitted ellipse, or of the minimum-area rectangle if the ellipse is no fit.

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


def _shrink(mask: NDArray[np.bool_], config: BoxFitConfig) -> tuple[int, int, int, int]:
    """Pull in the sides of a mask's bounding box; returns left, top, right, bottom (exclusive)."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    sides = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    total = int(np.count_nonzero(mask))
    sums = cv2.integral(mask.astype(np.uint8))

    def score(left: int, top: int, right: int, bottom: int) -> float:
        inside = int(sums[bottom, right]) - int(sums[top, right]) - int(sums[bottom, left]) + int(sums[top, left])
        if inside < config.min_coverage * total:
            return -1.0
        background = (right - left) * (bottom - top) - inside
        return inside / (total + config.background_weight * background)

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


def fit_rotated_box(
    mask: NDArray[np.bool_], config: BoxFitConfig, last_angle: float | None = None
) -> NDArray[np.float64] | None:
    """Fit a rotated box to a mask.

    Args:
        mask: H x W bool.
        config: parameters.
        last_angle: of the box in the frame before, degrees; kept where the mask is nearly round.

    Returns:
        4 x 2 corners (x, y of pixel centres), clockwise from top-left; None if the mask holds nothing of two
        pixels' width.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = np.concatenate(contours).astype(np.int32)  # of all parts: an occluder may cut a target in two
    left, top, width, height = cv2.boundingRect(contour)
    if width < 2 or height < 2:
        return None
    rectangle = cv2.minAreaRect(contour)
    fallback = order_polygon(cv2.boxPoints(rectangle).astype(np.float64))
    part = mask[top : top + height, left : left + width]
    shrink = min(1.0, MAX_CANVAS / math.hypot(width, height))
    size = math.ceil(math.hypot(width, height) * shrink) + 4
    # part pixel -> canvas pixel: turn by the angle around the part's centre, shrink, move to the canvas' centre
    angle = _angle(contour, last_angle, config.round_below)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, shrink)
    turn = turn + np.array([[0, 0, (size - width) / 2], [0, 0, (size - height) / 2]])
    canvas = cv2.warpAffine(part.astype(np.float32), turn, (size, size), flags=cv2.INTER_LINEAR) > 0.5
    if not canvas.any():
        return fallback
    x0, y0, x1, y1 = _shrink(canvas, config)
    corners = np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]], np.float64)
    if shrink < 1.0:  # a canvas pixel is several mask pixels wide: the outermost ones reach half of it further
        grow = 0.5 / shrink - 0.5
        corners += shrink * grow * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    back = cv2.invertAffineTransform(turn)
    polygon = corners @ back[:, :2].T + back[:, 2] + (left, top)
    fitted = (x1 - x0) * (y1 - y0) / shrink**2
    smallest = max(float(rectangle[1][0] + 1) * float(rectangle[1][1] + 1), 1.0)
    if not config.min_area_ratio <= fitted / smallest <= config.max_area_ratio:
        return fallback
    return order_polygon(polygon)
