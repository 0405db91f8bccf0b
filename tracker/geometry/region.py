"""Regions in their three forms - box, polygon, mask - and the conversions between them.

A box is x, y, w, h with 0-based top-left corner and covers w columns and h rows of pixels. Polygon corners are
pixel centers, so the polygon of a box ends at x + w - 1, as libtrax has it. A mask is H x W bool.
"""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data.masks import SOFT, VOID
from tracker.errors import UserError

Box = tuple[float, float, float, float]
Polygon = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_RUNS = 60_000  # the toolkit's writer breaks at 65,536 runs of equal pixels
MIN_SPAN = 2  # the toolkit calls a mask that is one pixel wide or high empty
FURTHEST = 1e6  # pixels; beyond it the arithmetic of crops overflows, and no image is as large
MOST_CROSSINGS = 1e9  # edges side by side, squared, over all rows: what a second or so of filling a polygon can take


class RegionError(UserError):
    """A region that cannot be tracked; the message says what is wrong and what to give."""


@dataclass(frozen=True)
class ParsedRegion:
    """A checked region: its kind, its box, and the polygon or mask it came as."""

    kind: Literal["box", "polygon", "mask"]
    box: Box
    polygon: Polygon | None = None
    mask: Mask | None = None

    @property
    def angle(self) -> float | None:
        """Direction of the region's first edge, degrees; None for a mask and for polygons that are no boxes."""
        if self.kind == "box":
            return 0.0
        if self.polygon is None or len(self.polygon) != 4:
            return None
        return edge_angle(self.polygon)

    def to_mask(self, shape: tuple[int, int]) -> Mask:
        """The region as a mask of an image H x W."""
        if self.mask is not None:
            return self.mask
        if self.polygon is not None:
            return polygon_to_mask(self.polygon, shape)
        return box_to_mask(self.box, shape)


def edge_angle(polygon: Polygon) -> float:
    """Direction of a polygon's first edge, degrees."""
    along = polygon[1] - polygon[0]
    return math.degrees(math.atan2(float(along[1]), float(along[0])))


def polygon_from_box(box: Box) -> Polygon:
    """The four corner pixels of a box, clockwise from top-left."""
    x, y, width, height = box
    right, bottom = x + width - 1, y + height - 1
    return np.array([[x, y], [right, y], [right, bottom], [x, bottom]], np.float64)


def box_from_polygon(polygon: Polygon) -> Box:
    """The axis-aligned bounding box of a polygon n x 2."""
    (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
    return float(left), float(top), float(right - left + 1), float(bottom - top + 1)


def box_of_equal_area(polygon: Polygon) -> Box:
    """The axis-aligned box of a polygon's center and area, with the aspect ratio of its sides (release).

    For a rotated rectangle the bounding box would be too large; this one has the target's true size. Four corners
    in an order in which two edges cross mean the quadrilateral around them: the halves' signed areas would cancel out.
    """
    x, y = polygon.mean(0)
    sides = np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1)
    bounding = box_from_polygon(polygon)
    if len(polygon) != 4 or not sides.all():
        return bounding
    (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
    axis_aligned = max(right - left, 1e-9) * max(bottom - top, 1e-9)
    area = polygon_area(order_polygon(polygon) if _crosses_itself(polygon) else polygon)
    factor = math.sqrt(area / axis_aligned)
    width, height = factor * (right - left) + 1, factor * (bottom - top) + 1
    return float(x - (width - 1) / 2), float(y - (height - 1) / 2), float(width), float(height)


def polygon_area(polygon: Polygon) -> float:
    """Area of a polygon n x 2 whose edges do not cross, square pixels."""
    across = np.roll(polygon, -1, axis=0)
    return abs(float(np.sum(polygon[:, 0] * across[:, 1] - across[:, 0] * polygon[:, 1]))) / 2


def _crosses_itself(corners: Polygon) -> bool:
    """Whether two opposite edges of a quadrilateral 4 x 2 cross."""

    def side(start: Polygon, end: Polygon, point: Polygon) -> float:
        along, beyond = end - start, point - start
        return float(along[0] * beyond[1] - along[1] * beyond[0])

    def cross(a: Polygon, b: Polygon, c: Polygon, d: Polygon) -> bool:
        return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0

    a, b, c, d = corners
    return cross(a, b, c, d) or cross(b, c, d, a)


def box_from_mask(mask: Mask) -> Box:
    """The bounding box of a mask; all zeros if it is empty (the toolkit's "absent")."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return 0.0, 0.0, 0.0, 0.0
    left, top = int(columns[0]), int(rows[0])
    return float(left), float(top), float(columns[-1] - left + 1), float(rows[-1] - top + 1)


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """What of a box x, y, w, h lies in an image of `size` (width, height); at least a pixel at its border."""
    (x, y, width, height), (right, bottom) = box, size
    left, top = min(max(x, 0.0), right - 1.0), min(max(y, 0.0), bottom - 1.0)
    return left, top, max(min(x + width, right) - left, 1.0), max(min(y + height, bottom) - top, 1.0)


def box_to_mask(box: Box, shape: tuple[int, int]) -> Mask:
    """Fill a box into a mask H x W, clipped to the image; partly covered pixels count if half covered."""
    x, y, width, height = box
    mask = np.zeros(shape, np.bool_)
    left, top, right, bottom = (math.floor(value + 0.5) for value in (x, y, x + width, y + height))
    mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return mask


def polygon_to_mask(polygon: Polygon, shape: tuple[int, int]) -> Mask:
    """Fill a polygon n x 2 into a mask H x W; corners are rounded to pixels, as the toolkit does."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [_corner_pixels(polygon)], 1)
    return canvas > 0


def _corner_pixels(polygon: Polygon) -> NDArray[np.int32]:
    """The corners m x 2 rounded to pixels, each but once where several in a row fall on one."""
    corners = np.round(np.clip(polygon, -1e6, 1e6)).astype(np.int32)
    new = np.any(corners != np.roll(corners, 1, axis=0), axis=1)
    new[0] = True
    return corners[new]


def _crossings(polygon: Polygon, height: int) -> float:
    """What filling a polygon costs: the squares of the numbers of edges in each row of the image, added up."""
    rows = np.clip(_corner_pixels(polygon)[:, 1], 0, height)
    after = np.roll(rows, -1)
    edges = np.zeros(height + 1)
    np.add.at(edges, np.minimum(rows, after), 1)
    np.add.at(edges, np.maximum(rows, after), -1)
    return float(np.sum(np.cumsum(edges) ** 2))


def order_polygon(points: Polygon) -> Polygon:
    """Order the corners of a quadrilateral 4 x 2 clockwise on the screen, starting at the top-left one."""
    center = points.mean(0)
    angles = np.arctan2(points[:, 1] - center[1], points[:, 0] - center[0])  # y points down: growing is clockwise
    ordered = points[np.argsort(angles, kind="stable")]
    return np.roll(ordered, -int(np.argmin(ordered.sum(1))), axis=0)


def box_window(center: tuple[float, float], size: tuple[float, float], reach: float, shape: tuple[int, int]) -> Mask:
    """A mask H x W of the box w, h around `center`, widened on each side by `reach` times sqrt(w*h)."""
    margin = reach * math.sqrt(size[0] * size[1])
    x, y = (np.abs(np.arange(shape[1 - axis]) - center[axis]) <= 0.5 * size[axis] + margin for axis in (0, 1))
    return y[:, None] & x[None, :]


def _gaps(labels: NDArray, main: int) -> NDArray[np.float64]:
    """Distance of every component to the component `main`, pixels, by label; the background's is infinite."""
    distances = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    gaps = np.full(int(labels.max()) + 1, np.inf)
    inside = labels > 0
    np.minimum.at(gaps, labels[inside], distances[inside])
    return gaps


def largest_gap(mask: Mask) -> float:
    """Distance from a mask's largest component to the one furthest from it, pixels; 0 where there is but one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return 0.0
    return float(_gaps(labels, 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))[1:].max())


def clean_mask(
    mask: Mask, center: tuple[float, float], size: tuple[float, float], *, min_share: float, max_gap: float
) -> Mask:
    """Keep one target: the main component, and others only if they are large enough and near to it.

    Main is the component with the most pixels, each weighted by a Gaussian of half the target's size around where
    the target is expected: what looks like it but stands beside it is another one, even where it is the larger.
    Parts that an occluder cuts off lie near.

    What is left can be answered: if it still consists of too many runs for the toolkit's writer, only the main
    component with its holes filled stays.

    Args:
        mask: H x W.
        center: x, y where the target is expected, pixels.
        size: w, h of the target, pixels; sqrt(w*h) is the unit of `max_gap`.
        min_share: components below this share of the main one's area are removed.
        max_gap: components further from the main one than this are removed.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not width:
        return mask
    window = slice(top, top + height), slice(left, left + width)  # there is nothing beside it, and it may be small
    part = mask[window]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(part.astype(np.uint8), connectivity=8)
    main, cleaned = 1, mask
    if count > 2:
        # the floor lets area decide among components that are all far off
        first = (left, top)
        away = (2.0 * (first[i] + np.arange(part.shape[1 - i]) - center[i]) / size[i] for i in (0, 1))
        x, y = (1e-6 + np.exp(-0.5 * distance**2) for distance in away)
        main = 1 + int(np.bincount(labels.ravel(), np.outer(y, x).ravel(), minlength=count)[1:].argmax())
        areas = stats[:, cv2.CC_STAT_AREA]
        near = _gaps(labels, main) <= max_gap * math.sqrt(size[0] * size[1])
        cleaned = np.zeros_like(mask)
        cleaned[window] = ((areas >= min_share * areas[main]) & near)[labels] & part
    if np.count_nonzero(np.diff(cleaned.ravel())) <= MAX_RUNS:
        return cleaned
    largest = (labels == main).astype(np.uint8)
    contours, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    filled[window] = cv2.drawContours(np.zeros_like(largest), contours, -1, 1, cv2.FILLED) > 0
    return filled


def parse_region(region: object, shape: tuple[int, int]) -> ParsedRegion:
    """Understand and check a region given by a user.

    Args:
        region: a box of 4 numbers (or 2 x 2: two opposite corner pixels); a polygon as n x 2 array (or n x 1 x 2, as
            OpenCV's contours) or 6, 8, ... numbers; or a mask H x W (or H x W x 1, or H x W x 3 of equal channels).
            Each may have dimensions of 1 before these, and be a tensor.
        shape: height and width of the image.

    Raises:
        RegionError: no such region, not finite, empty, outside the image, or far larger than any image.
    """
    if callable(getattr(region, "detach", None)):  # a tensor of PyTorch, which may be on a GPU, or want gradients
        region = region.detach().cpu()  # type: ignore[attr-defined]
    try:
        values = np.asarray(region)
        if values.dtype.kind not in "biufU":  # texts may be numbers; complex numbers, dates and objects are none
            raise ValueError
        values = _plain(values, (shape[0], shape[1]))
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise RegionError(
            f"the region {_shown(region)} is not numeric; give x, y, w, h, a polygon's points, or a mask"
        ) from error
    if numbers.ndim == 2 and (values.dtype == np.bool_ or numbers.shape[1] != 2 or numbers.shape == tuple(shape)):
        return _parse_mask(values, numbers, shape)
    if not np.isfinite(numbers).all():
        raise RegionError(f"the region {_shown(numbers)} holds NaN or infinity; give finite numbers")
    if numbers.size and np.abs(numbers).max() > FURTHEST:
        raise RegionError(f"the region {_shown(numbers)} is too large; give pixels, none beyond {FURTHEST:,.0f}")
    if numbers.shape == (4,):
        return _check_covers(_parse_box(numbers, shape), shape)
    if numbers.ndim == 1 and numbers.size >= 6 and numbers.size % 2 == 0:
        numbers = numbers.reshape(-1, 2)
    if numbers.ndim == 2 and numbers.shape[1] == 2 and len(numbers) >= 3:
        return _check_covers(_parse_polygon(numbers, shape), shape)
    raise RegionError(
        f"a region of shape {values.shape} is not understood; give x, y, w, h, n x 2 points with n >= 3, or a mask "
        f"of the image's size {shape[0]} x {shape[1]}"
    )


def _plain(values: NDArray, shape: tuple[int, int]) -> NDArray:
    """A region without the dimensions that other libraries give it; what is none of these is returned as it is."""
    while values.ndim > 2 and values.shape[0] == 1 and values.shape[:2] != shape:
        values = values[0]
    if values.ndim == 3:
        if values.shape[:2] == shape and (values.shape[2] == 1 or np.all(values == values[:, :, :1])):
            return values[:, :, 0]
        if values.shape[1:] == (1, 2):
            return values[:, 0]
    elif values.ndim == 2 and values.dtype.kind in "iuf" and values.shape != shape:
        if values.shape == (1, 4):
            return values[0]
        if values.shape == (2, 2):
            (left, top), (right, bottom) = values.min(0), values.max(0)
            return np.array([left, top, right - left + 1, bottom - top + 1], np.float64)
    return values


def _shown(region: object) -> str:
    """A region in a message: its first numbers, or its beginning, on one line."""
    if not (isinstance(region, np.ndarray) and region.dtype == np.float64):
        return " ".join(reprlib.repr(region).split())
    numbers = [f"{number:.6g}" for number in region.ravel()[:8]]  # a rotated box whole
    return f"[{', '.join(numbers + ['...'] * (region.size > 8))}]"


def _check_inside(box: Box, shape: tuple[int, int], what: str) -> None:
    x, y, width, height = box
    if x > shape[1] - 1 or y > shape[0] - 1 or x + width <= 0 or y + height <= 0:
        raise RegionError(f"the {what} lies outside the image of {shape[1]} x {shape[0]} pixels; give one inside it")


def _check_covers(parsed: ParsedRegion, shape: tuple[int, int]) -> ParsedRegion:
    if not parsed.to_mask(shape).any():
        box = ", ".join(f"{value:g}" for value in parsed.box)
        raise RegionError(
            f"the {parsed.kind} around {box} covers no pixel of the image of {shape[1]} x {shape[0]} pixels; "
            "give a larger one, or one further inside"
        )
    return parsed


def _parse_box(numbers: NDArray[np.float64], shape: tuple[int, int]) -> ParsedRegion:
    x, y, width, height = (float(value) for value in numbers)
    text = f"box {x:g}, {y:g}, {width:g}, {height:g}"
    if width <= 0 or height <= 0:
        raise RegionError(f"the {text} has no area; give x, y, w, h with w and h above zero")
    _check_inside((x, y, width, height), shape, text)
    return ParsedRegion("box", (x, y, width, height))


def _parse_polygon(points: NDArray[np.float64], shape: tuple[int, int]) -> ParsedRegion:
    bounding = box_from_polygon(points)
    text = f"polygon {_shown(points)}"
    if polygon_area(points) <= 0 and min(bounding[2], bounding[3]) <= 1:
        raise RegionError(f"the {text} has no area; give at least three points that are not on one line")
    _check_inside(bounding, shape, text)
    if _crossings(points, shape[0]) > MOST_CROSSINGS:
        raise RegionError(f"the {text} of {len(points):,} points crosses itself too often to be filled; give a mask")
    return ParsedRegion("polygon", box_of_equal_area(points), polygon=points)


def _parse_mask(values: NDArray, numbers: NDArray[np.float64], shape: tuple[int, int]) -> ParsedRegion:
    if numbers.shape != tuple(shape):
        raise RegionError(
            f"the mask has {numbers.shape[1]} x {numbers.shape[0]} pixels, the image {shape[1]} x {shape[0]}; "
            "give a mask of the image's size"
        )
    if not np.isfinite(numbers).all():
        raise RegionError("the mask holds NaN or infinity; give zeros and ones")
    mask = values.copy() if values.dtype == np.bool_ else _one_object(numbers, whole=values.dtype.kind in "iu")
    if not mask.any():
        raise RegionError("the mask is empty; mark the target with ones")
    return ParsedRegion("mask", box_from_mask(mask), mask=mask)


def _one_object(numbers: NDArray[np.float64], *, whole: bool) -> Mask:
    """The object in a mask of numbers H x W: the pixels of its only value that is not 0, 255 beside another being void.

    As in the files of `tracker.data.masks`, except that several ids are not several targets here.

    Args:
        numbers: finite.
        whole: whether they came as whole numbers.
    """
    found = np.unique(numbers[numbers != 0])
    if len(found) and found[0] < 0:
        raise RegionError("the mask holds negative numbers (scores?); give zeros and ones, as in: scores > 0")
    if len(found) == 2 and found[1] == VOID and found[0] not in SOFT:
        found = found[:1]
    if len(found) > 1 or (len(found) and not whole and found[0] < 1):
        if not whole and found[-1] <= 1:
            raise RegionError("the mask holds numbers between 0 and 1 (probabilities?); give it as: mask > 0.5")
        if found[-1] == VOID and len(found) > 1 and found[-2] >= SOFT.start:
            raise RegionError("the mask holds values between 0 and 255 (soft borders?); give it as: mask > 127")
        shown = ", ".join(f"{value:g}" for value in found[:5]) + (", ..." if len(found) > 5 else "")
        raise RegionError(f"the mask holds several values ({shown}); give one target, as in: mask == {found[0]:g}")
    return numbers == found[0] if len(found) else numbers > 0
