"""Makes targets that no saliency data set has: a part of an object, or two objects that are one.

Stills teach that the target is the salient thing. What is to be tracked is what the first mask shows, though: the hand
and not the arm, the rider together with the bicycle.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_PIECE = 40  # pixels of the second object that are to be seen in a pair


def part_of(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One side of a random line through an object: 35 to 65% of its pixels.

    Args:
        mask: H x W, 0 or 1, not empty.
        rng: is drawn from.
    """
    rows, columns = np.nonzero(mask)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    kept = along < np.quantile(along, rng.uniform(0.35, 0.65))
    part = np.zeros_like(mask)
    part[rows[kept], columns[kept]] = 1
    return part


def joined(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    other_image: NDArray[np.uint8],
    other_mask: NDArray[np.uint8],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paste a second object half under the first, at 0.4 to 0.9 of its size; both are the target then.

    Args:
        image: H x W x 3.
        mask: H x W, 0 or 1, not empty: the first object.
        other_image: h x w x 3.
        other_mask: h x w, 0 or 1, not empty: the second object.
        rng: is drawn from.

    Returns:
        Image and mask, H x W; the arguments themselves where too little of the second object would be seen.
    """
    x, y, width, height = cv2.boundingRect(mask)
    left, top, other_width, other_height = cv2.boundingRect(other_mask)
    scale = float(np.sqrt(width * height / (other_width * other_height)) * rng.uniform(0.4, 0.9))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    centre = np.array([x + width * (0.5 + 0.45 * np.cos(angle)), y + height * (0.5 + 0.45 * np.sin(angle))])
    corner = centre - scale * np.array([left + other_width / 2, top + other_height / 2])
    matrix = np.array([[scale, 0.0, corner[0]], [0.0, scale, corner[1]]])
    size = (image.shape[1], image.shape[0])
    piece = (cv2.warpAffine(other_mask, matrix, size, flags=cv2.INTER_NEAREST) > 0) & (mask == 0)
    if np.count_nonzero(piece) < MIN_PIECE:
        return image, mask
    colours = cv2.warpAffine(other_image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    picture = np.where(piece[..., None], colours, image).astype(np.uint8)
    return picture, np.where(piece, 1, mask).astype(np.uint8)
