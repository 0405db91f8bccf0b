"""How alike two masks are: region similarity J and boundary similarity F, as DAVIS defines them.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

BOUNDARY_TOLERANCE = 0.008  # distance at which two boundary pixels still match, in image diagonals


def overlap(answer: NDArray[np.bool_], label: NDArray[np.bool_]) -> float:
    """J: intersection over union of two masks; 1 where both are empty."""
    union = np.count_nonzero(answer | label)
    return np.count_nonzero(answer & label) / union if union else 1.0


def boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Boundary pixels of a mask H x W: those that differ from the pixel to the right, below, or diagonally below.

    Beyond the image the mask continues as it is at the border, so that the border itself is not a boundary.
    """
    wider = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = wider[:-1, 1:], wider[1:, :-1], wider[1:, 1:]
    return (mask != right) | (mask != below) | (mask != diagonal)


def _disk(radius: int) -> NDArray[np.uint8]:
    axis = np.arange(-radius, radius + 1)
    return (axis[:, None] ** 2 + axis[None] ** 2 <= radius**2).astype(np.uint8)


def boundary_similarity(
    answer: NDArray[np.bool_], label: NDArray[np.bool_], tolerance: float = BOUNDARY_TOLERANCE
) -> float:
    """F: harmonic mean of precision and recall of the boundary pixels; 1 where neither mask has a boundary.

    Args:
        answer: H x W.
        label: H x W.
        tolerance: in image diagonals; rounded up to whole pixels.
    """
    kernel = _disk(math.ceil(tolerance * math.hypot(*label.shape)))
    found, wanted = boundary(answer), boundary(label)
    if not found.any() or not wanted.any():
        return float(not found.any() and not wanted.any())
    near_wanted = cv2.dilate(wanted.astype(np.uint8), kernel) > 0
    near_found = cv2.dilate(found.astype(np.uint8), kernel) > 0
    precision = np.count_nonzero(found & near_wanted) / np.count_nonzero(found)
    recall = np.count_nonzero(wanted & near_found) / np.count_nonzero(wanted)
    return 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0
