"""Clicks on a target, and beside it: from points to its mask, by Box2Seg from boxes that grow around them.

How large the target is a click does not say. Box2Seg is asked with squares of several sizes around the points; what it
sees there, not cut to the square, gives the next box. The smallest square whose mask holds the right points, and of
which the network is sure, shows the target: among things of one kind a larger one shows several of them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import ClickConfig, TrackerConfig
from tracker.engine.engine import Engine
from tracker.geometry.clicks import Clicks
from tracker.geometry.crop import search_crop
from tracker.geometry.region import Box, Mask, RegionError, box_from_mask, box_to_mask
from tracker.tracking.spatial_map import SpatialMaps

Segment = Callable[[Box, Mask], NDArray[np.float32]]


def mask_of_clicks(
    engine: Engine, maps: SpatialMaps, image: NDArray[np.uint8], clicks: Clicks, config: TrackerConfig
) -> Mask:
    """The mask H x W of what was clicked on, in an image H x W x 3.

    Raises:
        RegionError: nothing is seen around the points.
    """
    shape = (image.shape[0], image.shape[1])
    engine.begin(image)

    def segment(box: Box, prompt: Mask) -> NDArray[np.float32]:
        x, y, width, height = box
        center = (x + (width - 1) / 2, y + (height - 1) / 2)
        size = (max(width, config.crop.min_target), max(height, config.crop.min_target))
        crop = search_crop(center, size, config.crop.box_factor, config.crop.box_size)
        pixels = engine.pixels(image, crop)
        keys, values = engine.encode_memory(pixels, crop.mask_to_crop(prompt))
        probability = engine.segment(engine.encode_query(pixels), keys, values, maps.make(crop, center, size))
        return crop.mask_to_image(probability, shape)

    return grow(clicks, segment, shape, config.click)


def grow(clicks: Clicks, segment: Segment, shape: tuple[int, int], config: ClickConfig) -> Mask:
    """Grow boxes of several sizes around clicks, from the smallest one on, and choose one of the masks.

    Args:
        clicks: in an image H x W.
        segment: the probability H x W of the target, from its box and a mask H x W of it.
        shape: height and width.
        config: parameters.

    Raises:
        RegionError: no box has grown to a mask that holds a point on the target.
    """
    (left, top), (right, bottom) = clicks.on.min(0), clicks.on.max(0)
    open_to = ~_near_beside(clicks, shape, config)
    best: tuple[float, Mask] | None = None
    for share in config.sides:
        side = share * min(shape)
        width, height = max(right - left + 1, side), max(bottom - top + 1, side)
        box: Box = ((left + right + 1 - width) / 2, (top + bottom + 1 - height) / 2, width, height)
        for _ in range(config.rounds):
            probability = segment(box, box_to_mask(box, shape) & open_to)
            mask = _clicked_parts((probability > 0.5) & open_to, clicks)
            if not mask.any():
                break
            box = box_from_mask(mask)
        else:
            sure, agreement = float(probability[mask].mean()), _agreement(mask, clicks)
            if agreement == 1.0 and sure >= config.sure:
                return mask
            if best is None or agreement + sure > best[0]:
                best = agreement + sure, mask
    if best is None:
        where = ", ".join(f"{x:g},{y:g}" for x, y in clicks.on)
        raise RegionError(f"nothing is seen around the point {where}; give a box, or another point")
    return best[1]


def _near_beside(clicks: Clicks, shape: tuple[int, int], config: ClickConfig) -> Mask:
    """The pixels H x W that are much nearer to a point beside the target than to any point on it."""
    if not len(clicks.beside):
        return np.zeros(shape, np.bool_)
    rows, columns = np.mgrid[: shape[0], : shape[1]]

    def distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.min([np.hypot(columns - x, rows - y) for x, y in points], axis=0)

    return np.asarray(distance(clicks.beside) < config.beside * distance(clicks.on))


def _at(mask: NDArray, points: NDArray[np.float64]) -> NDArray:
    """What a mask or labels H x W are at points n x 2."""
    columns, rows = np.floor(points + 0.5).astype(int).T
    return np.asarray(mask[rows, columns])


def _clicked_parts(mask: Mask, clicks: Clicks) -> Mask:
    """The connected parts of a mask H x W that hold a point on the target."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    wanted = [label for label in set(_at(labels, clicks.on).tolist()) if label]
    return np.asarray(np.isin(labels, wanted))


def _agreement(mask: Mask, clicks: Clicks) -> float:
    """The share of the points on the target that a mask H x W holds, less that of the points beside it."""
    inside = [float(_at(mask, points).mean()) if len(points) else 0.0 for points in (clicks.on, clicks.beside)]
    return inside[0] - inside[1]
