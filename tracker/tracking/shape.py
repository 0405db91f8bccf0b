"""The target's shape in one frame: mask and rotated box, and how both move when nothing better is known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import BoxFitConfig
from tracker.geometry.region import ParsedRegion, polygon_from_box, polygon_to_mask
from tracker.geometry.rotated_box import fit_rotated_box

MIN_SIDE = 2  # the toolkit calls masks that are one pixel wide or high empty


@dataclass(frozen=True)
class Shape:
    """Mask H x W and rotated box 4 x 2 of the target."""

    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64]

    @staticmethod
    def empty() -> Shape:
        """The shape before the first frame."""
        return Shape(np.zeros((0, 0), np.bool_), np.zeros((4, 2)))

    @property
    def center(self) -> tuple[float, float]:
        """Center of the rotated box, pixels."""
        x, y = self.polygon.mean(0)
        return float(x), float(y)

    def moved_to(self, center: tuple[float, float], image_shape: tuple[int, int]) -> Shape:
        """The same shape with its box's center at `center` in an image H x W; never empty.

        Args:
            center: x, y inside the image.
            image_shape: height and width; may differ from the last frame's.
        """
        shift = np.asarray(center) - self.center
        polygon = self.polygon + shift
        matrix = np.array([[1.0, 0.0, round(shift[0])], [0.0, 1.0, round(shift[1])]])
        size = (image_shape[1], image_shape[0])
        mask = cv2.warpAffine(self.mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
        if not visible(mask):
            mask = polygon_to_mask(polygon, image_shape)
        if not visible(mask):
            mask = np.zeros(image_shape, np.bool_)
            left = int(np.clip(center[0], 0, max(0, image_shape[1] - MIN_SIDE)))
            top = int(np.clip(center[1], 0, max(0, image_shape[0] - MIN_SIDE)))
            mask[top : top + MIN_SIDE, left : left + MIN_SIDE] = True
        return Shape(mask, polygon)


def given_shape(region: ParsedRegion, image_shape: tuple[int, int], config: BoxFitConfig) -> Shape:
    """The first region as a shape in an image H x W.

    Its rotated box is that of a mask, the polygon itself if it has four corners, and otherwise the upright box.
    """
    mask = region.to_mask(image_shape)
    if region.kind == "mask":
        polygon = fit_rotated_box(mask, config)
    else:
        polygon = region.polygon if region.polygon is not None and len(region.polygon) == 4 else None
    return Shape(mask, polygon_from_box(region.box) if polygon is None else polygon)


def visible(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask spans at least two rows and two columns."""
    return bool(np.count_nonzero(mask.any(0)) >= MIN_SIDE and np.count_nonzero(mask.any(1)) >= MIN_SIDE)
