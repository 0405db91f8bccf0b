"""Boxes that change no faster than targets do.

A mask loses an arm in one frame and finds it in the next, and its box jumps with it. Where only boxes are wanted the
answer is therefore not the box of the mask at hand: its center lies between the filter's peak and the mask's center,
and its sides follow the mask's box slowly, drawn a little towards those of the first box, scaled as the target has
grown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.config import SteadyConfig
from tracker.geometry.region import Box

Polygon = NDArray[np.float64]


@dataclass(frozen=True)
class SteadyBox:
    """A rotated box and an upright one, and those of the first frame.

    Attributes:
        edges: 2 x 2, the vectors from the rotated box's first corner to its second and to its last one.
        size: width and height of the upright box.
        first_edges: `edges` of the first frame.
        first_size: `size` of the first frame.
    """

    edges: NDArray[np.float64]
    size: NDArray[np.float64]
    first_edges: NDArray[np.float64]
    first_size: NDArray[np.float64]

    @classmethod
    def of(cls, polygon: Polygon, box: Box) -> SteadyBox:
        """The boxes of the first frame: corners 4 x 2, and x, y, w, h."""
        edges, size = _edges(polygon), np.array(box[2:], np.float64)
        return cls(edges, size, edges, size)

    def follow(self, polygon: Polygon, box: Box, scale: float, config: SteadyConfig) -> SteadyBox:
        """Follow a mask's boxes.

        Args:
            polygon: its rotated box 4 x 2.
            box: its upright box x, y, w, h.
            scale: by which the target's sides have grown since the first frame.
            config: how fast.
        """
        seen = _nearest(polygon, self.edges)
        first = _nearest(_corners(np.zeros(2), scale * self.first_edges), seen)
        lengths, expected = (np.maximum(np.linalg.norm(edges, axis=1), 1e-6) for edges in (seen, first))
        drawn = seen * ((expected / lengths) ** config.first_share)[:, None]
        side = np.log(np.maximum(box[2:], 1.0)) * (1.0 - config.first_share)
        side += np.log(np.maximum(scale * self.first_size, 1.0)) * config.first_share
        size = np.exp((1.0 - config.gain) * np.log(np.maximum(self.size, 1.0)) + config.gain * side)
        edges = (1.0 - config.gain) * self.edges + config.gain * drawn
        return SteadyBox(edges, size, self.first_edges, self.first_size)

    def polygon_at(self, center: tuple[float, float]) -> Polygon:
        """The rotated box 4 x 2 around a place x, y."""
        return _corners(np.array(center), self.edges)

    def box_at(self, center: tuple[float, float]) -> Box:
        """The upright box x, y, w, h around a place x, y."""
        width, height = (float(side) for side in self.size)
        return center[0] - (width - 1) / 2, center[1] - (height - 1) / 2, width, height


def between(peak: tuple[float, float], seen: tuple[float, float], share: float) -> tuple[float, float]:
    """The place at `share` of the way from the filter's peak to the center of what was seen."""
    return peak[0] + share * (seen[0] - peak[0]), peak[1] + share * (seen[1] - peak[1])


def center_of(box: Box) -> tuple[float, float]:
    """The middle of a box x, y, w, h, where coordinates are those of pixel centers."""
    return box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2


def _edges(polygon: Polygon) -> NDArray[np.float64]:
    return np.stack([polygon[1] - polygon[0], polygon[3] - polygon[0]])


def _corners(center: NDArray[np.float64], edges: NDArray[np.float64]) -> Polygon:
    first = center - edges.sum(0) / 2
    return np.stack([first, first + edges[0], first + edges[0] + edges[1], first + edges[1]])


def _nearest(polygon: Polygon, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The edges of a rotated box, from that of its corners which makes them most like other edges."""
    turned = [_edges(np.roll(polygon, turn, axis=0)) for turn in range(4)]
    return min(turned, key=lambda one: math.fsum(np.linalg.norm(one - edges, axis=1)))
