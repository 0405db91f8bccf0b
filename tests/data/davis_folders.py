"""A generated DAVIS in its official layout, and a tracker that follows colors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data.davis import Source
from tracker.data.masks import write_ids
from tracker.geometry.region import RegionError, parse_region
from tracker.settings import Settings

SHAPE = (40, 60)
BACKGROUND = (90, 90, 90)
COLORS = ((0, 0, 0), (220, 30, 30), (30, 220, 30), (30, 30, 220))  # by object id


def square(left: int, top: int = 10, side: int = 20, value: int = 1, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Ids H x W with one square."""
    ids = np.zeros(shape, np.uint8)
    ids[top : top + side, max(0, left) : max(0, left + side)] = value
    return ids


def picture(ids: np.ndarray) -> np.ndarray:
    """An RGB image with each object in its color."""
    image = np.full((*ids.shape, 3), BACKGROUND, np.uint8)
    for number in range(1, len(COLORS)):
        image[ids == number] = COLORS[number]
    return image


def write_davis(root: Path, sequences: Mapping[str, Sequence[np.ndarray]], year: int = 2017) -> Path:
    """Write ids of sequences as DAVIS in its official layout, all of them in the list for validation."""
    for name, frames in sequences.items():
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for index, ids in enumerate(frames):
            image = cv2.cvtColor(picture(ids), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg"), image)
            write_ids(root / "Annotations" / "480p" / name / f"{index:05d}.png", ids)
    (root / "ImageSets" / str(year)).mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / str(year) / "val.txt").write_text("\n".join(sequences) + "\n")
    return root


def write_masks(folder: Path, frames: Sequence[np.ndarray]) -> Path:
    """Write an answer's masks."""
    folder.mkdir(parents=True)
    for index, ids in enumerate(frames):
        write_ids(folder / f"{index:05d}.png", ids)
    return folder


def two_squares(index: int) -> np.ndarray:
    """Ids of two objects of 8 x 8 that move to the right."""
    return square(4 + index, 4, 8, 1) + square(30 + index, 24, 8, 2)


def source(root: Path, year: int = 2017, **options: object) -> Source:
    """What to read."""
    return Source(root, year, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Seen:
    """What `ColorFollower` answers."""

    mask: NDArray[np.bool_]


class ColorFollower:
    """Follows the color in the middle of the first region; it is 0.9 sure of that, and 0.6 of any other object."""

    def __init__(self) -> None:
        self.color = np.zeros(3)
        self.seen = np.zeros((0, 0), np.float32)

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Seen:
        mask = parse_region(region, image.shape[:2]).to_mask((image.shape[0], image.shape[1]))
        if mask.sum() < 4:
            raise RegionError("the mask is too small; give a larger one")
        self.color = np.median(image[mask], axis=0)
        return self.track(image)

    def track(self, image: NDArray[np.uint8]) -> Seen:
        own = np.abs(image.astype(float) - self.color).max(-1) < 60
        other = (np.abs(image.astype(float) - BACKGROUND).max(-1) > 60) & ~own
        self.seen = np.where(own, 0.9, np.where(other, 0.6, 0.1)).astype(np.float32)
        return Seen(self.seen > 0.5)

    def probability(self) -> NDArray[np.float32] | None:
        return self.seen


def load_followers(settings: Settings) -> type[ColorFollower]:
    """Stand in for loading weights; a function of a module, so that it can be sent to other processes."""
    return ColorFollower
