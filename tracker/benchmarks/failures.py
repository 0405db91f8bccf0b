"""Where the tracker fails on sequences with masks: stretches of frames, and pictures of what happened there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.benchmarks.masks import draw
from tracker.data.images import decode
from tracker.data.sequences import MaskSequence, SequenceError
from tracker.geometry.region import box_from_mask
from tracker.metrics.masks import overlap

if TYPE_CHECKING:
    from tracker.tracking.result import Result
    from tracker.tracking.tracker import DMB

TRUTH = (0, 255, 255)  # color of the label's outline, RGB
WIDTH = 400  # of one picture, pixels
CAPTION = 40  # height of the words under it, pixels
QUALITY = 92  # of JPEG, in which pictures wait until it is known whether they are needed


@dataclass(frozen=True)
class Watched:
    """One frame: what was answered, beside the label.

    Attributes:
        index: of the frame, from 0.
        overlap: IoU with the label.
        visible: the label shows the target.
        uncertainty: of the localization; 1 in the first frame, in which nothing is localized.
        segmented: the mask was segmented here, and not moved.
        picture: JPEG file of the frame, its answer filled, its label outlined.
    """

    index: int
    overlap: float
    visible: bool
    uncertainty: float
    segmented: bool
    picture: bytes

    def words(self) -> tuple[str, str]:
        """The caption, in two lines."""
        state = "" if self.segmented else ", not segmented"
        absent = "" if self.visible else ", no target"
        return f"frame {self.index}: IoU {self.overlap:.2f}{absent}", f"1/peak {self.uncertainty:.1f}{state}"


@dataclass(frozen=True)
class Stretch:
    """Frames in a row whose overlap is low, from `first` to `last`; `frames` are all frames of the sequence."""

    name: str
    frames: Sequence[Watched]
    first: int
    last: int

    @property
    def mean(self) -> float:
        """Mean overlap of the stretch."""
        return float(np.mean([frame.overlap for frame in self.frames[self.first : self.last + 1]]))

    @property
    def recovers(self) -> bool:
        """Whether good frames follow."""
        return self.last + 1 < len(self.frames)

    def shown(self) -> list[Watched]:
        """The last good frame before it, the first bad one, the worst one, and the one after, or the last."""
        inside = self.frames[self.first : self.last + 1]
        worst = min(inside, key=lambda frame: frame.overlap).index
        indices = {max(0, self.first - 1), self.first, worst, min(self.last + 1, len(self.frames) - 1)}
        return [self.frames[index] for index in sorted(indices)]


def watch(tracker: DMB, sequence: MaskSequence, *, from_box: bool, limit: int | None = None) -> Iterator[Watched]:
    """Track a sequence; yields what happened in every frame.

    Args:
        tracker: is initialized on the first frame.
        sequence: the sequence.
        from_box: start from the first mask's bounding box instead of the mask.
        limit: most frames, at least 2; None for all.

    Raises:
        SequenceError: damaged, or without a target in the first frame.
    """
    for index, frame in enumerate(sequence.frames(limit)):
        if index == 0:
            if not frame.mask.any():
                raise SequenceError(f"the first mask of '{sequence.where}' is empty; there is nothing to track")
            result = tracker.initialize(frame.image, box_from_mask(frame.mask) if from_box else frame.mask)
        else:
            result = tracker.track(frame.image)
        decision = result.decision
        yield Watched(
            index=index,
            overlap=overlap(frame.known(result.mask), frame.mask),
            visible=bool(frame.mask.any()),
            uncertainty=1.0 if decision is None else decision.uncertainty,
            segmented=result.segmented,
            picture=_picture(frame.image, result, frame.mask),
        )


def stretches(name: str, frames: Sequence[Watched], *, below: float, least: int) -> list[Stretch]:
    """The stretches with at least `least` frames in a row whose overlaps are below `below`.

    Bad frames with fewer than `least` good ones between them belong to one stretch.
    """
    found: list[Stretch] = []
    start: int | None = None
    bad = [frame.overlap < below for frame in frames]
    for index in range(len(bad) + 1):
        if index < len(bad) and bad[index]:
            start = index if start is None else start
        elif start is not None and not any(bad[index : index + least]):
            last = max(place for place in range(start, min(index, len(bad))) if bad[place])
            if max(sum(run) for _, run in groupby(bad[start : last + 1])) >= least:
                found.append(Stretch(name, frames, start, last))
            start = None
    return found


def strip(frames: Sequence[Watched]) -> NDArray[np.uint8]:
    """Pictures of some frames side by side with captions, RGB."""
    columns = []
    for frame in frames:
        picture = decode(frame.picture)
        words = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
        for line, text in enumerate(frame.words()):
            cv2.putText(words, text, (4, 16 + 18 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        columns += [np.vstack([picture, words]), np.full((picture.shape[0] + CAPTION, 4, 3), 255, np.uint8)]
    return np.hstack(columns[:-1]).astype(np.uint8)


def _picture(image: NDArray[np.uint8], result: Result, label: NDArray[np.bool_]) -> bytes:
    drawn = draw(image, result.mask, result.polygon)
    contours, _ = cv2.findContours(label.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, TRUTH, max(1, round(image.shape[1] / WIDTH)), cv2.LINE_AA)
    small = cv2.resize(drawn, (WIDTH, max(1, round(WIDTH * image.shape[0] / image.shape[1]))),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded[1].tobytes()


def table(found: Sequence[Stretch], picture_of: Callable[[Stretch], str]) -> str:
    """The stretches as a Markdown table with their pictures' names."""
    header = ("sequence", "frames", "mean IoU", "1/peak at its start", "afterwards", "picture")
    rows = [header, ("---",) * len(header)]
    for stretch in found:
        rows.append(
            (
                stretch.name,
                f"{stretch.first}-{stretch.last} of {len(stretch.frames) - 1}",
                f"{stretch.mean:.2f}",
                f"{stretch.frames[stretch.first].uncertainty:.1f}",
                "good again" if stretch.recovers else "low to the end",
                f"[{picture_of(stretch)}]({picture_of(stretch)})",
            )
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
