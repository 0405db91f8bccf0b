"""The rotated box that overlaps a mask best when background inside it weighs less than the target.

That is how the annotators of VOT2016 derived boxes from masks (Vojir and Matas, "Pixel-wise object segmentations for
the VOT 2016 dataset", 2017): an optimization over center, size and angle. For one angle the mask is turned into the
box's frame once; a table of sums then gives the overlap of any box in four look-ups, so that the best left and right
side for a given top and bottom, and the reverse, are found among all of them and not by small steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

COARSE = 64  # side of the turned mask on which angles are compared, pixels
FINE = 192  # ... on which the sides are set for the best of them
GRID = (0.0, 45.0)  # angles that are always tried, degrees; a box turned by 90 degrees is the same one
STEPS = (22.5, 11.25, 5.6, 2.8, 1.4)  # of the search from the best of the first angles, degrees
MAX_ROUNDS = 8  # of setting columns and rows in turn; two or three suffice nearly always


def weighted_overlap(inside: float, total: float, area: float, background_weight: float) -> float:
    """Intersection over union of a box and a mask in which background inside the box counts `background_weight`.

    Args:
        inside: mask pixels inside the box.
        total: all mask pixels, above zero.
        area: of the box, pixels.
        background_weight: 1 for the plain intersection over union.
    """
    return inside / (total + background_weight * (area - inside))


@dataclass(frozen=True)
class TurnedMask:
    """A mask in the frame of boxes of one angle.

    Attributes:
        canvas: n x n float32, 0 to 1.
        back: 2 x 3, from canvas pixels to pixels of the mask; the center of the first pixel is (0, 0) in both.
        factor: mask pixels per canvas pixel.
    """

    canvas: NDArray[np.float32]
    back: NDArray[np.float64]
    factor: int

    def polygon(self, sides: Sequence[float]) -> NDArray[np.float64]:
        """Corners 4 x 2 (x, y of pixel centers in the mask) of the box left, top, right, bottom (exclusive) here.

        It is at least two mask pixels wide and high, so that it has an area.
        """
        left, top, right, bottom = sides
        x, y = (left + right - 1) / 2, (top + bottom - 1) / 2
        # the outermost mask pixels' centers lie half a mask pixel inside of the box's border
        width, height = (max(side, 2 / self.factor) - 1 / self.factor for side in (right - left, bottom - top))
        corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2 + (x, y)
        return np.asarray(corners @ self.back[:, :2].T + self.back[:, 2])


class MaskTurner:
    """Turns a mask by any angle, at reduced resolution where it is large.

    Args:
        mask: H x W, cut to the mask's bounding box.
        side: no diagonal is longer than this afterward, pixels.
    """

    def __init__(self, mask: NDArray[np.bool_], side: int) -> None:
        height, width = mask.shape
        diagonal = math.hypot(width, height)
        self.factor = max(1, math.ceil(diagonal / side))
        self.side = math.ceil(diagonal / self.factor) + 2
        self.center = np.array([(width - 1) / 2, (height - 1) / 2])
        self.small = mask.astype(np.float32)
        if self.factor > 1:  # the mean of the pixels that become one: sampling would lose thin parts
            rows, columns = (math.ceil(length / self.factor) for length in mask.shape)
            whole = np.zeros((rows * self.factor, columns * self.factor), np.float32)
            whole[:height, :width] = mask
            self.small = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)

    def turn(self, angle: float) -> TurnedMask:
        """The mask as a box sees it whose first edge points `angle` degrees (clockwise on the screen)."""
        sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        back = np.zeros((2, 3))
        back[:, :2] = self.factor * np.array([[cosine, -sine], [sine, cosine]])
        back[:, 2] = self.center - back[:, :2].sum(1) * (self.side - 1) / 2
        sample = back / self.factor  # from canvas pixels to those of the reduced mask
        sample[:, 2] -= (self.factor - 1) / 2 / self.factor
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        canvas = cv2.warpAffine(self.small, sample, (self.side, self.side), flags=flags)
        return TurnedMask(np.asarray(canvas, np.float32), back, self.factor)


@lru_cache(maxsize=256)
def _distances(count: int) -> NDArray[np.float64]:
    """Columns between the first one of a box and the last one, count x count."""
    position = np.arange(count, dtype=np.float64)
    return np.abs(position[None, :] - position[:, None])


def _best_interval(
    sums: NDArray[np.float64], across: int, total: float, weight: float, least: float
) -> tuple[int, int, float]:
    """The best columns of a box whose rows are given; or the reverse.

    Args:
        sums: n + 1, mask pixels in the columns before each, of the given rows only.
        across: number of these rows.
        total: pixels of the whole mask.
        weight: of the background.
        least: pixels of the mask that must be inside.

    Returns:
        First and last (exclusive) column, and the weighted overlap.
    """
    inside = sums[None, :] - sums[:, None]  # [first, last]; where last comes before first it is negative
    # the weighted overlap, step by step in place: this runs a hundred times a frame
    scores = across * _distances(len(sums))
    scores -= inside
    scores *= weight
    scores += total
    np.divide(inside, scores, out=scores)
    # the sums' rounding errors must not forbid the box at hand
    scores[inside < min(least, sums[-1]) * (1 - 1e-9)] = -1.0
    first, last = divmod(int(scores.argmax()), len(sums))
    return first, last, float(scores[first, last])


def best_sides(
    canvas: NDArray[np.float32], background_weight: float, min_coverage: float
) -> tuple[tuple[int, int, int, int], float]:
    """The upright box of the best weighted overlap with a mask.

    Args:
        canvas: n x m, 0 to 1, not all zero.
        background_weight: see `weighted_overlap`.
        min_coverage: share of the mask that must be inside.

    Returns:
        Left, top, right, bottom (exclusive), and the weighted overlap.
    """
    table = np.asarray(cv2.integral(canvas, sdepth=cv2.CV_64F), np.float64)
    total = float(table[-1, -1])
    least = min_coverage * total
    left, top, right, bottom = 0, 0, canvas.shape[1], canvas.shape[0]
    best = -1.0
    for _ in range(MAX_ROUNDS):
        columns = table[bottom] - table[top]
        left, right, _ = _best_interval(columns, bottom - top, total, background_weight, least)
        rows = table[:, right] - table[:, left]
        top, bottom, score = _best_interval(rows, right - left, total, background_weight, least)
        if score <= best + 1e-9:
            break
        best = score
    return (left, top, right, bottom), best


def best_angle(
    mask: NDArray[np.bool_], starts: Sequence[float], background_weight: float, min_coverage: float
) -> float:
    """Search the angle whose best box has the best weighted overlap: the best start, then ever smaller steps from it.

    Args:
        mask: H x W, cut to the mask's bounding box, not empty.
        starts: angles to try besides those of the grid, degrees; of equally good ones the first stays.
        background_weight: see `weighted_overlap`.
        min_coverage: share of the mask that must be inside the box.

    Returns:
        Direction of the box's first edge, degrees.
    """
    turner = MaskTurner(mask, COARSE)

    def score(angle: float) -> float:
        return best_sides(turner.turn(angle).canvas, background_weight, min_coverage)[1]

    scored = [(score(angle), angle) for angle in (*starts, *GRID)]
    highest, best = max(scored, key=lambda pair: pair[0])
    for step in STEPS:
        for angle in (best - step, best + step):
            value = score(angle)
            if value > highest:
                highest, best = value, angle
    return best


def box_at(mask: NDArray[np.bool_], angle: float, background_weight: float, min_coverage: float) -> NDArray[np.float64]:
    """The box of the best weighted overlap among those of one angle (degrees); arguments as `best_angle` has them.

    Returns:
        Corners 4 x 2 (x, y of pixel centers).
    """
    turned = MaskTurner(mask, FINE).turn(angle)
    return turned.polygon(best_sides(turned.canvas, background_weight, min_coverage)[0])
