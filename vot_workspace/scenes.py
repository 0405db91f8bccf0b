"""Photographic material of the demo sequences: cut-outs and backgrounds from scikit-image's wheel.

scikit-image carries a few photographs in its package, so that nothing is downloaded. Objects are cut out by
GrabCut from a rough outline; the result is deterministic for one version of OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data.images import ImageError, read

CUT_OUT_SIZE = 160  # longer side of a cut-out, pixels


@dataclass(frozen=True)
class CutOut:
    """An object: RGB image H x W x 3 and its mask H x W."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Outline:
    """Where an object is in a photograph: an ellipse that holds it (center, half axes, degrees), in pixels."""

    photograph: str
    center: tuple[float, float]
    axes: tuple[float, float]
    angle: float
    sure: float  # share of the axes within which everything is object


OBJECTS = {
    "cat": Outline("chelsea.png", (222, 122), (112, 100), 0, 0.96),
    "cup": Outline("coffee.png", (330, 180), (225, 165), 0, 0.6),
    "astronaut": Outline("astronaut.png", (222, 105), (62, 92), 0, 0.75),
    "motorcycle": Outline("motorcycle_left.png", (360, 285), (300, 190), 0, 0.35),
}
BACKGROUNDS = {
    "gravel": "gravel.png",
    "grass": "grass.png",
    "brick": "brick.png",
    "workshop": "motorcycle_left.png",
    "launch": "rocket.jpg",
    "cabin": "astronaut.png",
}
TINTS = {"gravel": (1.0, 0.95, 0.88), "grass": (0.75, 1.0, 0.6), "brick": (1.0, 0.72, 0.6)}  # of the gray textures


def _read(name: str) -> NDArray[np.uint8]:
    import skimage.data

    path = Path(skimage.data.__file__).parent / name
    try:
        return read(path)
    except ImageError as error:
        raise FileNotFoundError(f"'{path}' {error}: scikit-image came without its photographs; reinstall it") from error


@cache
def cut_out(name: str) -> CutOut:
    """Cut an object out of its photograph, CUT_OUT_SIZE pixels long."""
    outline = OBJECTS[name]
    image = _read(outline.photograph)
    marks = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    center = tuple(map(int, outline.center))
    for share, value in ((1.0, cv2.GC_PR_FGD), (outline.sure, cv2.GC_FGD)):
        axes = (int(outline.axes[0] * share), int(outline.axes[1] * share))
        cv2.ellipse(marks, center, axes, outline.angle, 0, 360, int(value), -1)
    cv2.setRNGSeed(0)
    models = (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(image[..., ::-1].copy(), marks, (0, 0, 0, 0), *models, 5, cv2.GC_INIT_WITH_MASK)
    mask = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[largest, :4])
    part = (slice(y, y + height), slice(x, x + width))
    scale = CUT_OUT_SIZE / max(width, height)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    shape = (labels[part] == largest).astype(np.float32)
    mask_resized = cv2.resize(shape, size, interpolation=cv2.INTER_AREA) > 0.5
    return CutOut(cv2.resize(image[part], size, interpolation=cv2.INTER_AREA), mask_resized)  # type: ignore[arg-type]


@cache
def background(name: str) -> NDArray[np.uint8]:
    """A photograph to move over, at least 480 pixels on each side."""
    image = _read(BACKGROUNDS[name])
    if name in TINTS:
        image = np.clip(image * np.array(TINTS[name]), 0, 255).astype(np.uint8)
    scale = max(480 / min(image.shape[:2]), 640 / max(image.shape[:2]))
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)  # type: ignore[return-value]
