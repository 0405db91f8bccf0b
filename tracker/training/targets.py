"""Makes targets that no saliency data set has: a part of an object, or two objects that are one.

Stills teach that the target is the salient thing. What is to be tracked is what the first mask shows, though: the hand
and not the arm, the rider together with the bicycle.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.training.recipes import Line, ObjectBox, Place

MIN_PIECE = 40  # pixels of the second object that are to be seen in a pair


def draw_line(rng: np.random.Generator) -> Line:
    """A line of any direction that leaves 35 to 65% of an object's pixels on its one side."""
    return Line(rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.35, 0.65))


def part_of(mask: NDArray[np.uint8], line: Line) -> NDArray[np.uint8]:
    """One side of a line through an object.

    Args:
        mask: H x W, 0 or 1, not empty.
        line: where it is cut.
    """
    rows, columns = np.nonzero(mask)
    along = np.cos(line.angle) * columns + np.sin(line.angle) * rows
    kept = along < np.quantile(along, line.share)
    part = np.zeros_like(mask)
    part[rows[kept], columns[kept]] = 1
    return part


def draw_place(first: ObjectBox, second: ObjectBox, rng: np.random.Generator) -> Place:
    """A place for a second object half under the first, on any side of it, at 0.4 to 0.9 of its size."""
    areas = [box.size[0] * box.size[1] for box in (first, second)]
    scale = float(np.sqrt(areas[0] / areas[1]) * rng.uniform(0.4, 0.9))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    # half a pixel: a box is as wide as the pixels that it holds, its center lies between their centers
    x, y = (position + 0.5 for position in first.center)
    x, y = x + 0.45 * first.size[0] * float(np.cos(angle)), y + 0.45 * first.size[1] * float(np.sin(angle))
    corner = x - scale * (second.center[0] + 0.5), y - scale * (second.center[1] + 0.5)
    return Place(scale, (float(corner[0]), float(corner[1])))


def joined(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    other_image: NDArray[np.uint8],
    other_mask: NDArray[np.uint8],
    place: Place,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paste a second object under the first; both are the target then.

    Args:
        image: H x W x 3.
        mask: H x W, 0 or 1, not empty: the first object.
        other_image: h x w x 3.
        other_mask: h x w, 0 or 1, not empty: the second object.
        place: where the second picture comes to lie.

    Returns:
        Image and mask, H x W; the arguments themselves where too little of the second object would be seen.
    """
    matrix = np.array([[place.scale, 0.0, place.corner[0]], [0.0, place.scale, place.corner[1]]])
    size = (image.shape[1], image.shape[0])
    piece = (cv2.warpAffine(other_mask, matrix, size, flags=cv2.INTER_NEAREST) > 0) & (mask == 0)
    if np.count_nonzero(piece) < MIN_PIECE:
        return image, mask
    colors = cv2.warpAffine(other_image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    picture = np.where(piece[..., None], colors, image).astype(np.uint8)
    return picture, np.where(piece, 1, mask).astype(np.uint8)
