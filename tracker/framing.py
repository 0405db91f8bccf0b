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

from tracker.geometry.region import Box
from tracker.shape import polygon_area

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
    def between(
        cls, polygon: NDArray[np.float64], box: Box, given_polygon: NDArray[np.float64], given_box: Box
    ) -> Framing:
        """The framing that makes of a mask's rotated box `polygon` (4 x 2) and `box` what was given."""
        size = math.sqrt(max(polygon_area(polygon), 1.0))
        shift = (given_polygon.mean(0) - polygon.mean(0)) / size
        mine, theirs = np.array(box), np.array(given_box)
        box_shift = (theirs[:2] + theirs[2:] / 2 - mine[:2] - mine[2:] / 2) / mine[2:]
        box_scale = theirs[2:] / mine[2:]
        return cls(
            math.sqrt(max(polygon_area(given_polygon), 1.0)) / size,
            (float(shift[0]), float(shift[1])),
            (float(box_scale[0]), float(box_scale[1])),
            (float(box_shift[0]), float(box_shift[1])),
        )

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
