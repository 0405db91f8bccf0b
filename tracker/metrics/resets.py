"""The reset-based protocol of VOT2013 to VOT2019: failures, accuracy and expected average overlap (EAO).

A tracker that has lost its target (overlap 0) is started again five frames later. The numbers equal those of the VOT
toolkit 0.7.4 for one repetition (`supervised` experiment). On top of them stand intervals by a bootstrap over
sequences, for one set of runs and for the difference of two: what eleven sequences cannot decide, they do not seem to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SKIPPED = 5  # frames from a failure to the next start
BURN_IN = 10  # frames from a start that do not count in the accuracy, the start among them
BOUNDS = (50, 250)  # lengths over which the EAO is taken, frames at stride 1 (vot_workspace/stacks/dev.yaml)
DRAWS = 4000  # of the bootstrap
LEVEL = 0.95


@dataclass(frozen=True)
class Fragment:
    """One start and what followed.

    Attributes:
        start: the frame in which the tracker was started, counted in the frames of its run.
        overlaps: of each tracked frame after it, the failed one left out.
        errors: distance of the answer's center from the truth's, in sqrt(area) of the truth, likewise.
        failed: it ended in a failure, not with the sequence.
    """

    start: int
    overlaps: list[float]
    errors: list[float]
    failed: bool

    @property
    def failure(self) -> int | None:
        """The frame that failed."""
        return self.start + len(self.overlaps) + 1 if self.failed else None


@dataclass(frozen=True)
class Run:
    """One sequence, every `stride`-th frame from frame `first` on.

    Attributes:
        sequence: its name.
        stride: frames from one to the next.
        first: number of the first frame in the sequence.
        frames: that were to be tracked, the first included.
        fragments: starts in order.
        segmented: frames in which a mask was decoded.
        seconds: spent on tracking.
    """

    sequence: str
    stride: int
    first: int
    frames: int
    fragments: list[Fragment]
    segmented: int
    seconds: float

    @property
    def key(self) -> tuple[str, int, int]:
        """What was run."""
        return self.sequence, self.stride, self.first

    @property
    def failures(self) -> list[int]:
        """Frames of the sequence that failed."""
        found = [fragment.failure for fragment in self.fragments]
        return [self.first + self.stride * frame for frame in found if frame is not None]

    @property
    def longest(self) -> int:
        """Frames of its longest fragment, the start included."""
        return max(len(fragment.overlaps) + 1 for fragment in self.fragments)

    @property
    def accurate(self) -> list[float]:
        """Overlaps that count in the accuracy."""
        return [value for fragment in self.fragments for value in fragment.overlaps[BURN_IN - 1 :]]

    def curve(self, length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums over fragments for the EAO curve: of the average overlaps up to each length, and of their weights."""
        total, weight = np.zeros(length), np.zeros(length)
        for fragment in self.fragments:
            # of the start the toolkit counts the length, not the overlap
            averages = np.cumsum(fragment.overlaps) / np.arange(1, len(fragment.overlaps) + 1)
            known = min(length, len(averages) + 1)
            total[1:known] += averages[: known - 1]
            if fragment.failed:
                # beyond a failure the overlap is zero
                beyond = np.arange(len(averages) + 1, length)
                total[beyond] += np.sum(fragment.overlaps) / np.maximum(beyond, 1)
                weight += 1.0
            else:
                weight[:known] += 1.0
        return total, weight

    def document(self) -> dict[str, Any]:
        """For JSON."""
        rows = [
            {
                "start": fragment.start,
                "failed": fragment.failed,
                "overlaps": [round(value, 4) for value in fragment.overlaps],
                "errors": [round(value, 3) for value in fragment.errors],
            }
            for fragment in self.fragments
        ]
        facts = {name: getattr(self, name) for name in ("sequence", "stride", "first", "frames", "segmented")}
        return facts | {"seconds": round(self.seconds, 2), "fragments": rows}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Run:
        """What `document` wrote.

        Raises:
            KeyError, TypeError: it is another one.
        """
        return cls(**{**document, "fragments": [Fragment(**row) for row in document["fragments"]]})


@dataclass(frozen=True)
class Interval:
    """A number with its bootstrap interval of 95%."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def decided(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0.0 or self.high < 0.0


class Table:
    """Sums by sequence, from which every score of any selection of sequences follows.

    Args:
        runs: at least one; all runs of a sequence belong together.
    """

    NAMES = ("failures per 1000 frames", "accuracy", "EAO", "center error", "segmented")

    def __init__(self, runs: Sequence[Run]) -> None:
        self.sequences = sorted({run.sequence for run in runs})
        self.strides = sorted({run.stride for run in runs})
        count = len(self.sequences)
        self._sums = np.zeros((6, count))
        self._curves = np.zeros((2, len(self.strides), count, BOUNDS[1] + 1))
        for run in runs:
            column, row = self.sequences.index(run.sequence), self.strides.index(run.stride)
            accurate = run.accurate
            errors = [value for fragment in run.fragments for value in fragment.errors]
            tracked = sum(len(fragment.overlaps) + fragment.failed for fragment in run.fragments)
            self._sums[0, column] += len(run.failures)
            self._sums[1, column] += run.frames
            # the toolkit weighs a sequence's accuracy by its length
            self._sums[2, column] += run.frames * (float(np.mean(accurate)) if accurate else 0.0)
            self._sums[3, column] += np.mean(errors) * run.frames if errors else 0.0
            self._sums[4, column] += run.segmented
            self._sums[5, column] += tracked
            # the toolkit's curve ends with the longest fragment
            longest = max(other.longest for other in runs if other.stride == self.strides[row])
            self._curves[:, row, column, :longest] += run.curve(min(longest, BOUNDS[1] + 1))

    @property
    def failures(self) -> dict[str, int]:
        """Failures by sequence."""
        return {name: int(count) for name, count in zip(self.sequences, self._sums[0], strict=True)}

    def scores(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The numbers of NAMES, where sequence i counts weights[..., i] times: ... x 5."""
        chosen = np.ones(len(self.sequences)) if weights is None else weights
        failures, frames, accuracy, errors, segmented, tracked = np.moveaxis(chosen @ self._sums.T, -1, 0)
        averages = []
        for row, stride in enumerate(self.strides):
            low, high = (max(1, round(bound / stride)) for bound in BOUNDS)
            total, weight = (chosen @ self._curves[part, row, :, low : high + 1] for part in (0, 1))
            with np.errstate(invalid="ignore"):
                averages.append(np.nanmean(np.where(weight > 0, total / np.maximum(weight, 1e-9), np.nan), axis=-1))
        return np.stack(
            [
                1000.0 * failures / frames,
                accuracy / frames,
                np.mean(averages, axis=0),
                errors / frames,
                segmented / np.maximum(tracked, 1.0),
            ],
            axis=-1,
        )

    def _draws(self) -> NDArray[np.float64]:
        count = len(self.sequences)
        return np.random.default_rng(0).multinomial(count, np.full(count, 1.0 / count), size=DRAWS).astype(np.float64)

    def intervals(self) -> dict[str, Interval]:
        """Every score with its interval over sequences."""
        return self._intervals(self.scores)

    def against(self, other: Table) -> dict[str, Interval]:
        """This table's scores minus another's of the same runs, drawn together sequence by sequence.

        Raises:
            ValueError: the other one holds other sequences or strides.
        """
        if (self.sequences, self.strides) != (other.sequences, other.strides):
            raise ValueError("the two runs differ in their sequences or strides")
        return self._intervals(lambda weights=None: self.scores(weights) - other.scores(weights))

    def _intervals(self, scores: Callable[..., NDArray[np.float64]]) -> dict[str, Interval]:
        tail = 50.0 * (1.0 - LEVEL)
        values = scores()
        low, high = np.percentile(scores(self._draws()), [tail, 100.0 - tail], axis=0)
        return {
            name: Interval(*map(float, numbers)) for name, *numbers in zip(self.NAMES, values, low, high, strict=True)
        }
