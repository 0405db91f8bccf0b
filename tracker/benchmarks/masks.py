"""Region similarity J and boundary similarity F on sequences with a mask for every frame.

    python -m tracker.benchmarks.masks FOLDER [SEQUENCE ...] --init mask|box [--overlays DIR]

FOLDER holds one folder per sequence with images (`00000.jpg`, `.webp`, ...) and masks of the same name (`.png`,
object = non-zero). J and F are means over all frames but the first, as DAVIS defines them for one object, except
that the last frame counts too. A frame whose label is empty counts 1 if the answer is empty, else 0; this
short-term tracker never answers empty.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.benchmarks.similarity import boundary_similarity, overlap

if TYPE_CHECKING:
    from tracker.tracker import DMB

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".webp")
COLOUR = (255, 64, 32)  # of the drawn mask, RGB


class SequenceError(ValueError):
    """A sequence is missing or damaged; the message names it."""


@dataclass(frozen=True)
class Score:
    """J and F of one sequence."""

    name: str
    overlaps: list[float]  # IoU of every frame but the first
    boundaries: list[float]  # boundary similarity of the same frames
    seconds: float  # spent tracking, initialisation excluded

    @property
    def mean(self) -> float:
        """J mean."""
        return float(np.mean(self.overlaps))

    @property
    def boundary_mean(self) -> float:
        """F mean."""
        return float(np.mean(self.boundaries))

    @property
    def start(self) -> float:
        """Mean IoU of frames 1 to 10: below 0.3 the target was lost at once."""
        return float(np.mean(self.overlaps[:10]))


def frames(folder: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Yield image H x W x 3 RGB and mask H x W of every frame, in the order of the names.

    Raises:
        SequenceError: no images, a mask is missing, or a file does not decode.
    """
    images = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if len(images) < 2:
        raise SequenceError(f"'{folder}' holds fewer than two images ({', '.join(IMAGE_SUFFIXES)}); name a sequence")
    for path in images:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
        if image is None or mask is None or mask.shape != image.shape[:2]:
            raise SequenceError(f"'{path}' or its mask (.png) is missing, damaged or of another size")
        yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask > 0  # type: ignore[misc]


def draw(image: NDArray[np.uint8], mask: NDArray[np.bool_], polygon: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Draw mask and rotated box over an image, RGB."""
    drawn = image.copy()
    drawn[mask] = (0.5 * drawn[mask] + 0.5 * np.array(COLOUR)).astype(np.uint8)
    cv2.polylines(drawn, [np.round(polygon).astype(np.int32)], True, (255, 255, 0), 2)
    return drawn


def run(tracker: DMB, folder: Path, *, from_box: bool, overlays: Path | None = None, every: int = 10) -> Score:
    """Track one sequence and score it.

    Args:
        tracker: a `DMB`.
        folder: the sequence.
        from_box: initialise with the mask's bounding box instead of the mask.
        overlays: folder for a picture of every `every`-th frame.
        every: see `overlays`.
    """
    from tracker.geometry.region import box_from_mask

    overlaps: list[float] = []
    boundaries: list[float] = []
    seconds = 0.0
    for index, (image, label) in enumerate(frames(folder)):
        if index == 0:
            if not label.any():
                raise SequenceError(f"the first mask of '{folder}' is empty; there is nothing to track")
            result = tracker.initialize(image, box_from_mask(label) if from_box else label)
        else:
            start = time.perf_counter()
            result = tracker.track(image)
            seconds += time.perf_counter() - start
            overlaps.append(overlap(result.mask, label))
            boundaries.append(boundary_similarity(result.mask, label))
        if overlays is not None and index % every == 0:
            overlays.mkdir(parents=True, exist_ok=True)
            picture = draw(image, result.mask, result.polygon)
            cv2.imwrite(str(overlays / f"{folder.name}_{index:05d}.jpg"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return Score(folder.name, overlaps, boundaries, seconds)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tracker.benchmarks.masks", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of sequences")
    parser.add_argument("sequences", nargs="*", help="names of sequences (default: all)")
    parser.add_argument("--init", choices=("mask", "box"), default="mask", help="what the tracker starts from")
    parser.add_argument("--overlays", type=Path, help="folder for pictures of every tenth frame")
    options = parser.parse_args(arguments)
    from tracker.assembly import build_engine
    from tracker.engine import DeviceError
    from tracker.settings import SettingsError, from_environment
    from tracker.tracker import DMB
    from tracker.weights import WeightsError

    try:
        names = options.sequences or sorted(path.name for path in options.folder.glob("*") if path.is_dir())
        if not names:
            raise SequenceError(f"'{options.folder}' holds no sequences")
        settings = from_environment(os.environ)
        tracker = DMB(build_engine(settings)[0], settings.tracker_config())
        scores = []
        for name in names:
            score = run(tracker, options.folder / name, from_box=options.init == "box", overlays=options.overlays)
            scores.append(score)
            speed = len(score.overlaps) / max(score.seconds, 1e-9)
            means = f"J {score.mean:.3f}  F {score.boundary_mean:.3f}  J of frames 1-10 {score.start:.3f}"
            print(f"{name:24s} {means}  {speed:.2f} fps", flush=True)
    except (SequenceError, SettingsError, WeightsError, DeviceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    region = np.mean([score.mean for score in scores])
    contour = np.mean([score.boundary_mean for score in scores])
    both = (region + contour) / 2
    print(f"{'mean':24s} J {region:.3f}  F {contour:.3f}  J&F {both:.3f}  initialised from the {options.init}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
