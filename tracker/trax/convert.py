"""Translates between TraX and the tracker: images in, regions in, regions out.

What the protocol leaves to its users is settled here: color order, depth, padding, and what a state must
look like so that nobody counts it as empty.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import trax  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tracker.data.images import ImageError, Pixels, decode, read_bytes
from tracker.errors import UserError
from tracker.geometry.region import MAX_RUNS, RegionError, clean_mask

Image = NDArray[np.uint8]
Kind = Literal["rectangle", "polygon", "mask"]
Source = Path | bytes | NDArray

MIN_SPAN = 2  # the toolkit takes a mask that is one pixel wide or high for an empty one
LONGEST_NAME = 1000  # characters of a path in a message; the end tells most
MIN_EXTENT = 0.5  # pixels; ... and a polygon whose corners all lie on one row or column


class FrameError(UserError):
    """An image that the client sent cannot be read; the message names it and says why."""


class Result(Protocol):
    """What a tracker answers, see `tracker.tracking.tracker.Result`."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """H x W."""

    @property
    def polygon(self) -> NDArray[np.float64]:
        """4 x 2, pixel centers."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, w, h."""

    @property
    def confidence(self) -> float:
        """0 to 1."""


def image_source(image: trax.Image) -> Source:
    """What a TraX image holds: a path, encoded bytes, or pixels H x W x 1 or 3.

    Raises:
        FrameError: another kind of image.
    """
    if isinstance(image, trax.FileImage):
        return Path(image.path())
    if isinstance(image, trax.BufferImage):
        return bytes(image.buffer())
    if isinstance(image, trax.MemoryImage):
        return np.asarray(image.array())
    raise FrameError(f"images of type {type(image).__name__} are not supported; send path, memory or buffer")


def image_name(source: Source) -> str:
    """What a log line or an error calls this image."""
    if isinstance(source, Path):
        name = str(source)
        return f"frame '{name if len(name) <= LONGEST_NAME else '...' + name[-LONGEST_NAME:]}'"
    return "encoded frame" if isinstance(source, bytes) else "frame in memory"


def read_image(source: Source) -> Pixels:
    """Decode an image into H x W x 3 RGB, in its own depth; `tracker.data.images.Levels` makes it 8 bit.

    Files and encoded bytes: see `tracker.data.images.decode`, upright as in the toolkit. An image in memory is RGB or
    gray by the protocol, of 8 or 16 bit.

    Raises:
        FrameError: missing, empty, truncated or no image.
    """
    if isinstance(source, np.ndarray):
        return np.repeat(source, 3, axis=2) if source.shape[2] == 1 else np.ascontiguousarray(source)
    try:
        content = source if isinstance(source, bytes) else read_bytes(source)
    except ImageError as error:
        raise FrameError(f"{image_name(source)} {error}; check the dataset") from error
    try:
        return decode(content)
    except ImageError as error:
        raise FrameError(f"{image_name(source)} {error}; restore it") from error


def read_region(region: trax.Region, shape: tuple[int, int]) -> tuple[Kind, NDArray]:
    """Turn a TraX region into what `parse_region` understands: box of 4, polygon n x 2, or mask H x W.

    Args:
        region: rectangle, polygon or mask.
        shape: height and width of the image; masks arrive cropped and are padded to it.

    Raises:
        RegionError: a special region, which is also what libtrax makes of NaN and of text it cannot read.
    """
    if isinstance(region, trax.Rectangle):
        return "rectangle", np.array(region.bounds(), np.float64)
    if isinstance(region, trax.Polygon):
        return "polygon", np.array(list(region), np.float64).reshape(-1, 2)
    if isinstance(region, trax.Mask):
        return "mask", _pad_mask(region.array() > 0, region.offset(), shape)
    raise RegionError(
        "the region is not a rectangle, polygon or mask with finite numbers, or too long for TraX; give one of these, "
        "in place of a polygon of many thousand points a mask"
    )


def _pad_mask(mask: NDArray[np.bool_], offset: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Place a mask h x w with its top-left pixel at offset x, y in an empty mask H x W, clipped."""
    padded = np.zeros(shape, np.bool_)
    left, top = offset
    visible = mask[max(0, -top) : max(0, shape[0] - top), max(0, -left) : max(0, shape[1] - left)]
    rows, columns = slice(max(0, top), max(0, top) + visible.shape[0]), max(0, left)
    padded[rows, columns : columns + visible.shape[1]] = visible
    return padded


def write_region(result: Result, kind: Kind, shape: tuple[int, int]) -> trax.Region:
    """Express a result as a TraX region.

    Args:
        result: the tracker's answer.
        kind: wanted kind of region.
        shape: height and width of the image.

    Raises:
        RegionError: the answer is not finite, or its mask has not the image's size.

    A polygon or mask that the toolkit would call empty is widened, and a mask of too many runs for it is cleaned.
    """
    if kind == "mask":
        return trax.Mask.create(_visible_mask(result, shape))
    numbers = np.asarray(result.box if kind == "rectangle" else result.polygon, np.float64)
    if not np.isfinite(numbers).all():
        raise RegionError(f"the tracker answered {numbers.ravel().tolist()}, not finite; please report this")
    if kind == "rectangle":
        x, y, width, height = numbers.tolist()
        return trax.Rectangle.create(x, y, max(width, 1.0), max(height, 1.0))
    return trax.Polygon.create([(float(x), float(y)) for x, y in _spread(numbers)])


def _spread(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """The polygon 4 x 2; where it has no extent along x or y, the box of one pixel's around it."""
    low, high = polygon.min(0), polygon.max(0)
    flat = high - low < MIN_EXTENT
    if not flat.any():
        return polygon
    (left, top), (right, bottom) = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _visible_mask(result: Result, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask as 0 and 1, C-contiguous (TraX copies raw memory), at least two pixels wide and high."""
    if result.mask.shape != tuple(shape):
        raise RegionError(f"the mask answered is {result.mask.shape}, the image {shape}; please report this")
    cleaned = result.mask > 0
    if np.count_nonzero(np.diff(cleaned.ravel())) > MAX_RUNS:  # a first mask may be as speckled, and be moved
        x, y, width, height = result.box
        center, size = (x + width / 2, y + height / 2), (max(width, 1.0), max(height, 1.0))
        cleaned = clean_mask(cleaned, center, size, min_share=0.0, max_gap=math.inf)
    mask = np.array(cleaned, np.uint8, order="C")
    if not mask.any():
        x, y, width, height = result.box
        row, column = np.clip([y + height / 2, x + width / 2], 0, np.array(shape) - 1).astype(int)
        mask[row, column] = 1
    for lines in (mask, mask.T):  # a single row, then a single column, is doubled
        (places,) = np.nonzero(lines.any(1))
        if len(places) < MIN_SPAN <= len(lines):
            place = int(places[0])
            lines[place + 1 if place + 1 < len(lines) else place - 1] = lines[place]
    return mask


def confidence_text(result: Result) -> str:
    """The confidence as a TraX property."""
    value = float(result.confidence)
    return f"{min(max(value, 0.0), 1.0):.4f}" if math.isfinite(value) else "0.0000"
