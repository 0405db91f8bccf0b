"""Generated frames: a red target on a smooth, colored background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
HEIGHT, WIDTH = 90, 120
SHAPE = (HEIGHT, WIDTH)
TARGET = (40.0, 30.0, 30.0, 24.0)  # x, y, w, h in the first frame
RED = (225, 25, 35)


def background(height: int = HEIGHT, width: int = WIDTH) -> Image:
    """A smooth texture H x W x 3."""
    small = np.random.default_rng(0).integers(40, 150, (9, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def frame(index: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Image:
    """Frame `index` of a video in which the target moves by a pixel or two per frame, round and round."""
    image = background(height, width)
    angle = 2 * np.pi * index / 40
    x, y = TARGET[0] + 10 * np.sin(angle), TARGET[1] + 10 * (1 - np.cos(angle))
    left, top = round(x), round(y)
    image[max(0, top) : top + int(TARGET[3]), max(0, left) : left + int(TARGET[2])] = RED
    return image


def target_mask() -> NDArray[np.bool_]:
    """The target of the first frame, H x W."""
    return np.all(frame() == RED, axis=2)
