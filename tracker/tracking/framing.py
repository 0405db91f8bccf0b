"""How a user frames the target: a box that was given is rarely the tightest one around the mask.

The first frame shows both, the given region and the mask that was made of it. What lies between them (the region is
larger, or off to one side) is kept in all later frames, so that answers are framed as the region was and the center of
the answers does not creep from the given one to the mask's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.geometry.region import Box, ParsedRegion, box_from_mask, box_from_polygon, polygon_area
from tracker.metrics.regions import overlap
from tracker.tracking.shape import Shape

Numbers = tuple[float, float]


@dataclass(frozen=True)
class Framing:
    """From a mask's boxes to boxes framed as the first region was.

    Attributes:
        scale: of the rotated box.
        shift: x, y of its center, in sqrt(area) of the mask's rotated box.
        box_scale: of the axis-aligned box, along x and y.
        box_shift: x, y of its center, in widths and heights of the mask's box.
    """

    scale: float = 1.0
    shift: Numbers = (0.0, 0.0)
    box_scale: Numbers = (1.0, 1.0)
    box_shift: Numbers = (0.0, 0.0)

    @classmethod
    def of_box(cls, polygon: NDArray[np.float64], box: Box, given: Box) -> Framing:
        """The framing that makes of a mask's axis-aligned `box` the given one; its rotated box 4 x 2 moves as far."""
        (scale, shift), size = _between(box, given), math.sqrt(max(polygon_area(polygon), 1.0))
        return cls(1.0, (shift[0] * box[2] / size, shift[1] * box[3] / size), scale, shift)

    @classmethod
    def of_polygon(cls, polygon: NDArray[np.float64], box: Box, given: NDArray[np.float64]) -> Framing:
        """The framing that makes of a mask's rotated box 4 x 2 one of the given one's center and area, and of its
        axis-aligned `box` that around the given one.
        """
        size = math.sqrt(max(polygon_area(polygon), 1.0))
        x, y = (given.mean(0) - polygon.mean(0)) / size
        box_scale, box_shift = _between(box, box_from_polygon(given))
        return cls(math.sqrt(max(polygon_area(given), 1.0)) / size, (float(x), float(y)), box_scale, box_shift)

    def polygon(self, polygon: NDArray[np.float64]) -> NDArray[np.float64]:
        """A mask's rotated box 4 x 2, framed."""
        center = polygon.mean(0)
        size = math.sqrt(max(polygon_area(polygon), 1.0))
        return (polygon - center) * self.scale + center + size * np.array(self.shift)

    def box(self, box: Box) -> Box:
        """A mask's axis-aligned box x, y, w, h, framed."""
        x, y, width, height = box
        center_x, center_y = x + width * (0.5 + self.box_shift[0]), y + height * (0.5 + self.box_shift[1])
        width, height = width * self.box_scale[0], height * self.box_scale[1]
        return center_x - width / 2, center_y - height / 2, width, height


def compare(seen: Shape, given: Shape, region: ParsedRegion, image_shape: tuple[int, int]) -> tuple[float, Framing]:
    """How much the first mask is what was given, and how later masks are framed as that was.

    Args:
        seen: Box2Seg's mask and its rotated box.
        given: the region as a shape.
        region: the region.
        image_shape: height and width.

    Returns:
        The overlap of the boxes, 0 to 1: rotated ones, or upright ones after a box. The framing; that of equal boxes
        where the region leaves the picture, because there is no mask of what is outside.
    """
    size, box = (image_shape[1], image_shape[0]), box_from_mask(seen.mask)
    if region.kind == "box":
        alike = overlap(np.array(box), np.array(region.box), size)
        framing = Framing.of_box(seen.polygon, box, region.box)
    else:
        alike = overlap(seen.polygon, given.polygon, size)
        framing = Framing.of_polygon(seen.polygon, box, given.polygon)
    inside = (given.polygon.min(0) > -1.0).all() and (given.polygon.max(0) < size).all()
    return alike, framing if inside else Framing()


def _between(box: Box, given: Box) -> tuple[Numbers, Numbers]:
    """What scales a box to a given one, along x and y, and how far its center is from that one's, in its sides."""
    mine, theirs = np.array(box), np.array(given)
    scale = theirs[2:] / mine[2:]
    shift = (theirs[:2] + theirs[2:] / 2 - mine[:2] - mine[2:] / 2) / mine[2:]
    return (float(scale[0]), float(scale[1])), (float(shift[0]), float(shift[1]))
