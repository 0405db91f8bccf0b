"""Generated videos with masks, in the layouts in which they are distributed."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHAPE = (40, 60)


def label(*objects: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Object ids H x W: squares of 12 pixels, each (id, left, top)."""
    ids = np.zeros(SHAPE, np.uint8)
    for number, left, top in objects:
        ids[top : top + 12, left : left + 12] = number
    return ids


def write_palette(path: Path, ids: NDArray[np.uint8]) -> None:
    """A PNG file with a palette, as DAVIS and YouTube-VOS have them."""
    image = Image.fromarray(ids)
    image.putpalette([channel for index in range(256) for channel in (index, 255 - index, 7 * index % 256)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_image(path: Path, index: int) -> None:
    """A noisy picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(index).integers(0, 256, (*SHAPE, 3)).astype(np.uint8))


def write_video(
    images: Path, masks: Path, labels: list[NDArray[np.uint8]], suffix: str = ".jpg", step: int = 1
) -> None:
    """A folder of images, and one of masks for every `step`-th."""
    for index, ids in enumerate(labels):
        write_image(images / f"{index:05d}{suffix}", index)
        if index % step == 0:
            write_palette(masks / f"{index:05d}.png", ids)


def pack(folder: Path, path: Path) -> Path:
    """A tar file of a folder's content."""
    with tarfile.open(path, "w") as tar:
        for entry in sorted(folder.iterdir()):
            tar.add(entry, entry.name)
    return path
