"""Square crops of an image, resampled to a fixed size, and the exact way back.

Half-pixel convention: a coordinate names a pixel's center, in the image as in the crop. Crop pixel u shows the image
at center + ((u + 0.5) - size / 2) / scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

# beyond this many image pixels per crop pixel, bilinear sampling skips pixels: the image is shrunk by areas first
SHRINK_ABOVE = 1.5


class Sampling(NamedTuple):
    """How a crop samples an image along one axis: bilinearly, after the part that it sees was shrunk by areas."""

    first: int  # image pixel where that part begins
    factor: float  # image pixels per shrunk pixel; 1 where nothing is shrunk, and the part is the whole image
    cells: int  # shrunk pixels
    corner: float  # where crop pixel 0 lies in the shrunk part, shrunk pixels
    step: float  # shrunk pixels per crop pixel


@dataclass(frozen=True)
class Crop:
    """A square window of an image.

    Attributes:
        center: x, y in image pixels.
        side: side of the window, image pixels.
        size: side of the resampled window, crop pixels.
    """

    center: tuple[float, float]
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
        return self.center[0] + first, self.center[1] + first

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

    def sampling(self, shape: tuple[int, ...]) -> tuple[Sampling, Sampling]:
        """How columns and rows of an image H x W (x 3) are sampled."""
        pitch = 1.0 / self.scale
        height, width = shape[:2]
        spans = ((0, width, width), (0, height, height))  # first pixel, pixels, shrunk pixels
        if pitch > SHRINK_ABOVE:
            # only the visible part, with a margin of a few crop pixels, is shrunk
            margin = 4 * pitch
            starts = [max(0, math.floor(value - margin)) for value in self._corner]
            x1, y1 = (math.ceil(value + self.side + margin) for value in self._corner)
            sides = (min(width, x1) - starts[0], min(height, y1) - starts[1])
            if min(sides) >= 2:
                columns, rows = (
                    (start, side, max(1, round(side / pitch))) for start, side in zip(starts, sides, strict=True)
                )
                spans = (columns, rows)

        def along(span: tuple[int, int, int], corner: float) -> Sampling:
            first, pixels, cells = span
            factor = pixels / cells
            # source coordinate of crop pixel u in the (shrunk) image: half-pixel centers on both sides
            return Sampling(first, factor, cells, (corner - first + 0.5) / factor - 0.5, pitch / factor)

        return along(spans[0], self._corner[0]), along(spans[1], self._corner[1])

    def _resample(self, image: NDArray, border: int) -> NDArray:
        """Sample bilinearly on the crop's grid; shrink the part of the image that is seen first, if it is large."""
        columns, rows = self.sampling(image.shape)
        if columns.factor > 1.0 or rows.factor > 1.0:
            right, bottom = (round(axis.first + axis.factor * axis.cells) for axis in (columns, rows))
            part = np.ascontiguousarray(image[rows.first : bottom, columns.first : right])
            image = cv2.resize(part, (columns.cells, rows.cells), interpolation=cv2.INTER_AREA)
        matrix = np.array([[columns.step, 0.0, columns.corner], [0.0, rows.step, rows.corner]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (self.size, self.size), flags=flags, borderMode=border)


def search_crop(center: tuple[float, float], size: tuple[float, float], factor: float, pixels: int) -> Crop:
    """The search region: a square of side factor * sqrt(w * h) around a target.

    Args:
        center: of the target, image pixels.
        size: width and height of the target, image pixels.
        factor: see `CropConfig.factor`.
        pixels: side of the resampled region.
    """
    return Crop(center, factor * math.sqrt(size[0] * size[1]), pixels)
