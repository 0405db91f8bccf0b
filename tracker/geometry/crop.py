"""Square crops of an image, resampled to a fixed size, and the exact way back.

Half-pixel convention: a coordinate names a pixel's centre, in the image as in the crop. Crop pixel u shows the image
at centre + ((u + 0.5) - size / 2) / scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# beyond this many image pixels per crop pixel, bilinear sampling skips pixels: the image is shrunk by areas first
SHRINK_ABOVE = 1.5


@dataclass(frozen=True)
class Crop:
    """A square window of an image.

    Attributes:
        centre: x, y in image pixels.
        side: side of the window, image pixels.
        size: side of the resampled window, crop pixels.
    """

    centre: tuple[float, float]
    side: float
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return self.size / self.side

    @property
    def _corner(self) -> tuple[float, float]:
        """Image coordinates of crop pixel (0, 0)."""
        first = (0.5 - self.size / 2) / self.scale
        return self.centre[0] + first, self.centre[1] + first

    def to_crop(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map image points n x 2 to crop points n x 2."""
        return (np.asarray(points, np.float64) - self._corner) * self.scale

    def to_image(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map crop points n x 2 to image points n x 2."""
        return np.asarray(points, np.float64) / self.scale + self._corner

    def extract(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample the window of an image H x W (x 3) to size x size (x 3); beyond the image its border repeats."""
        return self._resample(image, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)

    def mask_to_crop(self, mask: NDArray[np.floating] | NDArray[np.bool_]) -> NDArray[np.float32]:
        """Resample a mask H x W to size x size in [0, 1]; zero outside the image."""
        return self._resample(mask.astype(np.float32), cv2.BORDER_CONSTANT)

    def mask_to_image(self, mask: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Resample a mask of the crop, size x size, into an image H x W; zero outside the crop."""
        corner = self.to_crop(np.zeros((1, 2)))[0]
        matrix = np.array([[self.scale, 0.0, corner[0]], [0.0, self.scale, corner[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(mask.astype(np.float32), matrix, (shape[1], shape[0]), flags=flags)  # type: ignore[return-value]

    def _resample(self, image: NDArray, border: int) -> NDArray:
        """Sample bilinearly on the crop's grid; shrink the part of the image that is seen first, if it is large."""
        pitch = 1.0 / self.scale
        left, top = 0, 0
        factor_x = factor_y = 1.0
        if pitch > SHRINK_ABOVE:
            # only the visible part, with a margin of a few crop pixels, is shrunk
            margin = 4 * pitch
            x0, y0 = (math.floor(value - margin) for value in self._corner)
            x1, y1 = (math.ceil(value + self.side + margin) for value in self._corner)
            left, right = max(0, x0), min(image.shape[1], x1)
            top, bottom = max(0, y0), min(image.shape[0], y1)
            if right - left >= 2 and bottom - top >= 2:
                width = max(1, round((right - left) / pitch))
                height = max(1, round((bottom - top) / pitch))
                factor_x, factor_y = (right - left) / width, (bottom - top) / height
                part = np.ascontiguousarray(image[top:bottom, left:right])
                image = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
            else:
                left, top = 0, 0
        # source coordinate of crop pixel u in the (shrunk) image: half-pixel centres on both sides
        corner_x = (self._corner[0] - left + 0.5) / factor_x - 0.5
        corner_y = (self._corner[1] - top + 0.5) / factor_y - 0.5
        matrix = np.array([[pitch / factor_x, 0.0, corner_x], [0.0, pitch / factor_y, corner_y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (self.size, self.size), flags=flags, borderMode=border)


def search_crop(centre: tuple[float, float], size: tuple[float, float], factor: float, pixels: int) -> Crop:
    """The search region: a square of side factor * sqrt(w * h) around a target.

    Args:
        centre: of the target, image pixels.
        size: width and height of the target, image pixels.
        factor: see `CropConfig.factor`.
        pixels: side of the resampled region.
    """
    return Crop(centre, factor * math.sqrt(size[0] * size[1]), pixels)
