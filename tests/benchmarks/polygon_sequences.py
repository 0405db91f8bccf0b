"""Generated sequences in the VOT format, and a tracker that sees their target's colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.geometry.test_region import turned
from tracker.geometry.region import polygon_to_mask

SHAPE = (90, 120)


def polygon(index: int) -> np.ndarray:
    """A box of 50 x 22 pixels that moves and turns."""
    return turned(50, 22, 25 + 3 * index, (50 + 2 * index, 45))


def write_sequence(folder: Path, frames: int, *, facts: str | None = None) -> Path:
    """A bright box on dark ground, with its polygons."""
    (folder / "color").mkdir(parents=True)
    lines = []
    for index in range(frames):
        image = np.full((*SHAPE, 3), 40, np.uint8)
        image[polygon_to_mask(polygon(index), SHAPE)] = 220
        cv2.imwrite(str(folder / "color" / f"{index + 1:08d}.png"), image)
        lines.append(",".join(f"{number:.3f}" for number in polygon(index).ravel()))
    (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    (folder / "sequence").write_text("channels.color=color/%08d.png\nfps=20\n" if facts is None else facts)
    return folder


@dataclass(frozen=True)
class Seen:
    """What `BrightTracker` answers; the fields of `tracker.tracker.Result` that are read here."""

    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64]
    segmented: bool


class BrightTracker:
    """Segments what is bright. In frames of `lost` it answers a place where nothing is, in those of `unsegmented` it
    says that it has not segmented; both count frames since the initialisation.
    """

    def __init__(self, lost: tuple[int, ...] = (), unsegmented: tuple[int, ...] = ()) -> None:
        self.lost, self.unsegmented = lost, unsegmented
        self.initialisations: list[tuple[np.ndarray, bool]] = []
        self.frame = 0

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Seen:
        self.frame = 0
        self.initialisations.append((np.asarray(region), masks))
        return self._see(image)

    def track(self, image: NDArray[np.uint8]) -> Seen:
        self.frame += 1
        return self._see(image)

    def _see(self, image: NDArray[np.uint8]) -> Seen:
        mask = image[..., 0] > 128
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
        found = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
        if self.frame in self.lost:
            found = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 3.0], [0.0, 3.0]])
        return Seen(mask, found, self.frame not in self.unsegmented)
