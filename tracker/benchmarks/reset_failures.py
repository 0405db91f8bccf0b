"""Why targets are lost in the reset-based protocol: every failure with its last good frame, and its class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.benchmarks.masks import draw
from tracker.benchmarks.tracking import TrackingSequence, evaluate
from tracker.geometry.region import polygon_from_box

if TYPE_CHECKING:
    from tracker.tracking.result import Result
    from tracker.tracking.tracker import DMB

# the classes, in the order in which they are tried
LEFT, FAST, HIDDEN, PEAK, SIZE, STALE, MASK = (
    "left the picture",
    "fast motion",
    "hidden or changed",
    "wrong peak",
    "size drift",
    "stale shape",
    "wrong mask",
)
CLASSES = (LEFT, FAST, HIDDEN, PEAK, SIZE, STALE, MASK)
MOVED = 1.0  # a target that moves further than this from one frame to the next is fast; in sqrt(w*h)
BESIDE = 0.5  # a peak further off the truth than this is a wrong one, likewise
LOST = 4.0  # 1/peak above which the filter has not found the target
DRIFTED = 3.0  # an answer whose area is off the truth's by more than this factor has drifted in size
SIDE = 320  # of one picture, pixels
CONTEXT = 5.0  # what it shows, in sqrt(w*h) of the target
CAPTION = 20  # pixels below it
TRUTH = (0, 255, 255)


@dataclass(frozen=True)
class Seen:
    """One frame as it was answered.

    Attributes:
        index: number of the frame in the sequence.
        truth: corners 4 x 2.
        result: the answer.
        overlap: with the truth.
        picture: both, SIDE x SIDE + CAPTION x 3 RGB.
    """

    index: int
    truth: NDArray[np.float64]
    result: Result
    overlap: float
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class Failure:
    """A lost target: the last frame before it, the frame itself, and its class."""

    name: str
    stride: int
    before: Seen
    failed: Seen
    kind: str

    def picture(self) -> NDArray[np.uint8]:
        """Both frames side by side, RGB."""
        return np.hstack([self.before.picture, self.failed.picture])


def corners(region: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box of four numbers, or a polygon, as corners."""
    if region.ndim == 2:
        return region
    x, y, width, height = region.tolist()
    return polygon_from_box((x, y, width, height))


def _size(points: NDArray[np.float64]) -> float:
    return math.sqrt(max(float(np.prod(np.ptp(points, axis=0) + 1)), 1.0))


def classify(
    before: NDArray[np.float64], truth: NDArray[np.float64], result: Result, image_size: tuple[int, int]
) -> str:
    """Why an answer misses its target.

    Args:
        before: corners of the truth one frame earlier.
        truth: corners of the truth.
        result: the answer.
        image_size: width and height.
    """
    size, center = _size(truth), truth.mean(0)
    low, high = truth.min(0), truth.max(0)
    inside = np.minimum(high, np.array(image_size) - 1) - np.maximum(low, 0)
    if inside.min() < 0 or np.prod(inside + 1) < 0.5 * np.prod(high - low + 1):
        return LEFT
    if math.dist(before.mean(0), center) > MOVED * size:
        return FAST
    if math.dist(result.center, center) > BESIDE * size:
        return HIDDEN if result.decision is not None and result.decision.uncertainty > LOST else PEAK
    factor = _size(np.asarray(result.polygon)) ** 2 / size**2
    if not 1.0 / DRIFTED <= factor <= DRIFTED:
        return SIZE
    return MASK if result.segmented else STALE


def _draw(image: NDArray[np.uint8], truth: NDArray[np.float64], result: Result, words: str) -> NDArray[np.uint8]:
    """The surroundings of the target: mask, rotated box, peak (cross) and truth."""
    drawn = draw(image, result.mask, result.polygon)
    scale = SIDE / max(CONTEXT * _size(truth), 16.0)
    matrix = np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]])
    matrix[:, 2] = SIDE / 2 - scale * truth.mean(0)
    part = cv2.warpAffine(drawn, matrix, (SIDE, SIDE))
    outline = (truth * scale + matrix[:, 2]).round().astype(np.int32)
    cv2.polylines(part, [outline], True, TRUTH, 1, cv2.LINE_AA)
    x, y = np.clip(np.array(result.center) * scale + matrix[:, 2], -SIDE, 2 * SIDE).round().astype(int).tolist()
    cv2.drawMarker(part, (x, y), (255, 255, 0), cv2.MARKER_CROSS, 12, 1)
    caption = np.full((CAPTION, SIDE, 3), 255, np.uint8)
    cv2.putText(caption, words, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([part, caption]).astype(np.uint8)


def find_failures(tracker: DMB, sequence: TrackingSequence, stride: int) -> Iterator[Failure]:
    """Track a sequence as `evaluate` does, and tell every failure."""
    found = list[Failure]()
    last: list[Seen] = []  # the frame before, in a list that the function below can replace

    def observe(frame: int, image: NDArray[np.uint8], truth: NDArray[np.float64], result: Result, score: float) -> None:
        here = corners(truth)
        sure = 1.0 if result.decision is None else result.decision.uncertainty
        words = f"frame {frame}: overlap {score:.2f}, 1/peak {sure:.1f}{'' if result.segmented else ', last shape'}"
        seen = Seen(frame, here, result, score, _draw(image, here, result, words))
        if score <= 0.0 and last:
            kind = classify(last[0].truth, here, result, (image.shape[1], image.shape[0]))
            found.append(Failure(sequence.name, stride, last[0], seen, kind))
        last[:] = [seen]

    evaluate(tracker, sequence, stride, 0, observe=observe)
    yield from found


def table(failures: Sequence[Failure], picture_of: Callable[[Failure], str]) -> str:
    """The classes' counts and the failures with their pictures, as Markdown."""
    counts = Counter(failure.kind for failure in failures)
    lines = ["| class | failures |", "| --- | --- |", *(f"| {kind} | {counts[kind]} |" for kind in CLASSES)]
    lines += ["", "| sequence | stride | frame | class | 1/peak | picture |", "| --- | --- | --- | --- | --- | --- |"]
    for failure in failures:
        decision, name = failure.failed.result.decision, picture_of(failure)
        sure = "" if decision is None else f"{decision.uncertainty:.1f}"
        facts = (failure.name, failure.stride, failure.failed.index, failure.kind, sure, f"[{name}]({name})")
        lines.append(f"| {' | '.join(map(str, facts))} |")
    return "\n".join(lines) + "\n"
