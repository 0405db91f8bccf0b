"""Region similarity J and boundary similarity F on sequences with a mask for every frame.

J and F are means over all frames but the first, as
DAVIS defines them for one object, except that the last frame counts too. A frame whose label is empty counts 1 if the
answer is empty, else 0; this short-term tracker never answers empty.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data.sequences import MaskSequence, SequenceError
from tracker.geometry.region import box_from_mask, box_to_mask
from tracker.metrics.masks import boundary_similarity, overlap

if TYPE_CHECKING:
    from tracker.tracking.tracker import DMB

COLOR = (255, 64, 32)  # of the drawn mask, RGB


@dataclass(frozen=True)
class Score:
    """J and F of one sequence."""

    name: str
    overlaps: list[float]  # IoU of every frame but the first
    boundaries: list[float]  # boundary similarity of the same frames
    seconds: float  # spent tracking, initialization excluded
    first: float  # IoU of the mask that `initialize` answers; from a box, of Box2Seg's pseudo mask
    filled_box: float  # IoU of the first label's bounding box, filled

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

    @property
    def fps(self) -> float:
        """Frames per second of tracking."""
        return len(self.overlaps) / max(self.seconds, 1e-9)

    def line(self) -> str:
        """The numbers as text."""
        means = f"J {self.mean:.3f}  F {self.boundary_mean:.3f}  J of frames 1-10 {self.start:.3f}"
        return f"{means}  {self.fps:.2f} fps"


def draw(image: NDArray[np.uint8], mask: NDArray[np.bool_], polygon: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Draw mask and rotated box over an image, RGB."""
    drawn = image.copy()
    drawn[mask] = (0.5 * drawn[mask] + 0.5 * np.array(COLOR)).astype(np.uint8)
    cv2.polylines(drawn, [np.round(polygon).astype(np.int32)], True, (255, 255, 0), 2)
    return drawn


def run(
    tracker: DMB,
    sequence: MaskSequence,
    *,
    from_box: bool,
    limit: int | None = None,
) -> Score:
    """Track one sequence and score it.

    Args:
        tracker: a `DMB`.
        sequence: the sequence.
        from_box: initialize with the mask's bounding box instead of the mask.
        limit: most frames, at least 2; None for all.

    Raises:
        SequenceError: damaged, or without a target in the first frame.
    """
    overlaps: list[float] = []
    boundaries: list[float] = []
    seconds = first = filled_box = 0.0
    for index, frame in enumerate(sequence.frames(limit)):
        label = frame.mask
        if index == 0:
            if not label.any():
                raise SequenceError(f"the first mask of '{sequence.where}' is empty; there is nothing to track")
            box = box_from_mask(label)
            result = tracker.initialize(frame.image, box if from_box else label)
            first = overlap(frame.known(result.mask), label)
            filled_box = overlap(frame.known(box_to_mask(box, (label.shape[0], label.shape[1]))), label)
        else:
            start = time.perf_counter()
            result = tracker.track(frame.image)
            seconds += time.perf_counter() - start
            answer = frame.known(result.mask)
            overlaps.append(overlap(answer, label))
            boundaries.append(boundary_similarity(answer, label))
    return Score(sequence.name, overlaps, boundaries, seconds, first, filled_box)
