"""From a mask to the rotated box that VOT's annotators would have drawn around it.

They fitted boxes so that little background is inside and little target outside; the minimum-area rectangle instead
is stretched by every arm and antenna. docs/LAB_BOOK.md compares this fit with others that were tried.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import BoxFitConfig
from tracker.geometry.box_search import best_angle, box_at
from tracker.geometry.region import order_polygon

Mask = NDArray[np.bool_]
Polygon = NDArray[np.float64]


def _contour(mask: Mask) -> NDArray[np.int32]:
    """Border pixels n x 1 x 2 of all parts: an occluder may cut a target in two."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.concatenate(contours).astype(np.int32)


class _Moments:
    """Direction in degrees and elongation (at least 1) of a mask, from the covariance of its pixels."""

    def __init__(self, mask: Mask) -> None:
        found = cv2.moments(mask.astype(np.uint8), binaryImage=True)
        covariance = np.array([[found["mu20"], found["mu11"]], [found["mu11"], found["mu02"]]]) / found["m00"]
        # a pixel has an extent, which its center has not
        across, along = np.linalg.eigvalsh(covariance + np.eye(2) / 12)
        self.elongation = math.sqrt(along / across)
        twice = math.atan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1])
        self.angle = math.degrees(twice / 2)


def fit_rotated_box(mask: Mask, config: BoxFitConfig, last_angle: float | None = None) -> Polygon | None:
    """Fit the rotated box of the best weighted overlap to a mask, see `tracker.geometry.box_search`.

    Args:
        mask: H x W bool; all its parts count.
        config: parameters.
        last_angle: of the box in the frame before, degrees; kept where the mask is nearly round.

    Returns:
        4 x 2 corners (x, y of pixel centers), clockwise from top-left, of a box at least one pixel wide and high;
        None if the mask does not span two columns and two rows.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if width < 2 or height < 2:
        return None
    part = mask[top : top + height, left : left + width]
    weights = config.background_weight, config.min_coverage
    moments = _Moments(part)
    if last_angle is not None and moments.elongation < config.round_below:
        angle = last_angle  # the direction of a nearly round mask is noise, and would jitter
    else:
        starts = [moments.angle, float(cv2.minAreaRect(_contour(part))[2])]
        angle = best_angle(part, starts if last_angle is None else [*starts, last_angle], *weights)
    return order_polygon(box_at(part, angle, *weights) + np.array([left, top]))
