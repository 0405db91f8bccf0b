"""Scores of the box benchmarks: GOT-10k, TrackingNet and OTB, each as its own official code computes them.

They differ in more than names: which frames count, whether sequences or frames are averaged, and what a pixel is.

- GOT-10k (`ExperimentGOT10k` of the got10k toolkit): boxes are bounded by the image, the first frame and the frames
  where the target is not visible (`cover.label` 0) do not count, and the frames of all sequences are pooled.
- TrackingNet (`metrics.py` of the TrackingNet devkit): boxes are rounded to whole pixels, every frame counts, the first
  one as the given box; curves of 21 thresholds are integrated, and sequences averaged.
- OTB (`ExperimentOTB` of the got10k toolkit, after the benchmark's MATLAB code): every annotated frame counts, the
  first as the given box; success is the mean over 21 thresholds, precision that at 20 pixels, sequences are averaged.

A box is x, y, w, h. Where its corner is counted from does not matter here, as long as result and truth agree.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

THRESHOLDS = np.linspace(0, 1, 21)  # overlaps, of TrackingNet and OTB
FINE = np.linspace(0, 1, 101)  # overlaps, of GOT-10k's success curve
PIXELS = 20.0  # precision: the share of frames whose center is at most that far off
FAR = np.linspace(0, 50, 21)  # pixels, of TrackingNet's precision curve
FAR_NORMALISED = np.linspace(0, 0.5, 21)  # in units of the true width and height


@dataclass(frozen=True)
class TrackedBoxes:
    """What a tracker has answered on one sequence, and the truth.

    Attributes:
        name: of the sequence.
        boxes: N x 4, the first row is the given box.
        truth: N x 4.
        visible: N, whether a frame may count.
        size: width and height of the images, pixels.
        seconds: N, spent on each frame; the first is the initialization.
    """

    name: str
    boxes: Boxes
    truth: Boxes
    visible: NDArray[np.bool_]
    size: tuple[int, int]
    seconds: NDArray[np.float64]

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """N: frames with a finite true box of positive width and height that may count."""
        return self.visible & np.isfinite(self.truth).all(1) & (self.truth[:, 2:] > 0).all(1)

    @property
    def frames(self) -> int:
        """N."""
        return len(self.boxes)

    @property
    def fps(self) -> float:
        """Frames per second, without the initialization; 0 where no time was measured."""
        return speed([self])


@dataclass(frozen=True)
class Scores:
    """Scores between 0 and 1 by their names.

    Attributes:
        sequences: by sequence; NaN where none of its frames counts.
        overall: of the benchmark.
        leading: the names that a paper would print.
        frames: by sequence.
        fps: by sequence, and of all under "".
        success: thresholds of the overlap, and the share of frames beyond each: the success curve.
    """

    sequences: dict[str, dict[str, float]]
    overall: dict[str, float]
    leading: tuple[str, ...]
    frames: dict[str, int]
    fps: dict[str, float]
    success: tuple[list[float], list[float]]

    def line(self) -> str:
        """The leading scores as one line of text."""
        return " ".join(f"{name} {self.overall[name]:.3f}" for name in self.leading)

    def document(self) -> dict[str, Any]:
        """Everything for JSON."""
        rows = [
            {"sequence": name, "frames": self.frames[name], **row, "fps": self.fps[name]}
            for name, row in self.sequences.items()
        ]
        curve = dict(zip(("thresholds", "rates"), self.success, strict=True))
        return {"scores": self.overall, "fps": self.fps[""], "success": curve, "sequences": rows}

    def table(self) -> str:
        """CSV: a line for each sequence, the last one for all of them."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["sequence", "frames", *self.overall, "fps"])
        for name, row in (*self.sequences.items(), ("", self.overall)):
            frames = self.frames[name] if name else sum(self.frames.values())
            numbers = ["" if np.isnan(value) else f"{value:.6f}" for value in row.values()]
            writer.writerow([name or "all", frames, *numbers, f"{self.fps[name]:.3f}"])
        return text.getvalue()


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of boxes N x 4; 0 where both are empty."""
    start = np.maximum(first[:, :2], second[:, :2])
    end = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    common = np.prod(np.maximum(end - start, 0.0), axis=1)
    union = np.prod(first[:, 2:], axis=1) + np.prod(second[:, 2:], axis=1) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def center_errors(boxes: Boxes, truth: Boxes, *, normalized: bool = False) -> NDArray[np.float64]:
    """Distances of the centers of boxes N x 4, pixels or, normalized, in units of the true width and height."""
    offsets = boxes[:, :2] + boxes[:, 2:] / 2 - truth[:, :2] - truth[:, 2:] / 2
    return np.asarray(np.linalg.norm(offsets / truth[:, 2:] if normalized else offsets, axis=1))


def bounded(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Boxes N x 4 bounded by the image as the got10k toolkit does: a corner outside moves in, and its width stays."""
    limits = np.array(size, np.float64)
    corners = np.clip(boxes[:, :2], 0.0, limits)
    return np.hstack([corners, np.clip(boxes[:, 2:], 0.0, limits - corners)])


def speed(tracked: Sequence[TrackedBoxes]) -> float:
    """Frames per second over all sequences, without the initializations; 0 where no time was measured."""
    seconds = sum(float(one.seconds[1:].sum()) for one in tracked)
    return sum(one.frames - 1 for one in tracked) / seconds if seconds > 0 else 0.0


def got10k(tracked: Sequence[TrackedBoxes]) -> Scores:
    """Average overlap AO, and success rates SR50 and SR75: the share of frames that overlap by more than 0.5, 0.75."""
    found = {}
    for one in tracked:
        counts = one.visible & np.isfinite(one.truth).all(1)
        counts[0] = False
        found[one.name] = overlaps(bounded(one.boxes[counts], one.size), bounded(one.truth[counts], one.size))

    def row(values: NDArray[np.float64]) -> dict[str, float]:
        if not len(values):
            return dict.fromkeys(("AO", "SR50", "SR75"), float("nan"))
        return {"AO": float(values.mean()), "SR50": _above(values, 0.5), "SR75": _above(values, 0.75)}

    pooled = np.concatenate(list(found.values()))
    rows = {name: row(values) for name, values in found.items()}
    curve = _curve([pooled[:, None] > FINE], FINE)
    return _scores(tracked, rows, row(pooled), ("AO", "SR50", "SR75"), curve)


def trackingnet(tracked: Sequence[TrackedBoxes]) -> Scores:
    """Success, Precision and NormalizedPrecision.

    Success is the area under the curve of the share of frames with at least some overlap; NormalizedPrecision that of
    the share whose center is off by at most some part of the true size, up to 0.5. Precision is the share at 20 pixels;
    PrecisionArea, the area under its curve up to 50 pixels, is what the devkit calls precision.
    """
    rows, reached = {}, []
    for one in tracked:
        counts = one.annotated & (np.round(one.truth[:, 2:]) > 0).all(1)
        boxes, truth = np.round(one.boxes[counts]), np.round(one.truth[counts])
        common = overlaps(boxes, truth)
        errors, normalized = center_errors(boxes, truth), center_errors(boxes, truth, normalized=True)
        reached.append(common[:, None] >= THRESHOLDS)
        rows[one.name] = {
            "Success": _area(reached[-1]),
            "Precision": _share(errors <= PIXELS),
            "NormalizedPrecision": _area(normalized[:, None] <= FAR_NORMALISED),
            "PrecisionArea": _area(errors[:, None] <= FAR),
        }
    curve = _curve(reached, THRESHOLDS)
    return _scores(tracked, rows, _means(rows), ("Success", "Precision", "NormalizedPrecision"), curve)


def otb(tracked: Sequence[TrackedBoxes]) -> Scores:
    """Success, the area under the curve of the share of frames with more than some overlap; Precision at 20 pixels."""
    rows, reached = {}, []
    for one in tracked:
        boxes, truth = one.boxes[one.annotated], one.truth[one.annotated]
        reached.append(overlaps(boxes, truth)[:, None] > THRESHOLDS)
        rows[one.name] = {
            "Success": _share(reached[-1]),
            "Precision": _share(center_errors(boxes, truth) <= PIXELS),
        }
    return _scores(tracked, rows, _means(rows), ("Success", "Precision"), _curve(reached, THRESHOLDS))


def _share(true: NDArray[np.bool_]) -> float:
    return float(true.mean()) if true.size else float("nan")


def _above(values: NDArray[np.float64], threshold: float) -> float:
    return _share(values > threshold)


def _area(reached: NDArray[np.bool_]) -> float:
    """Area under the curve of shares over thresholds, N x T, by the trapezoidal rule; the thresholds span 1."""
    if not len(reached):
        return float("nan")
    curve = reached.mean(0)
    return float((curve[:-1] + curve[1:]).mean() / 2)


def _curve(reached: Sequence[NDArray[np.bool_]], thresholds: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Thresholds T, and the shares of frames that reach them, N x T for each sequence, as a mean over the sequences."""
    shares = [one.mean(0) for one in reached if len(one)]
    return thresholds.tolist(), np.mean(shares, axis=0).tolist() if shares else []


def _means(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Means over the sequences, of those that have a score."""
    columns = next(iter(rows.values()))
    kept = {name: [row[name] for row in rows.values() if not np.isnan(row[name])] for name in columns}
    return {name: float(np.mean(values)) if values else float("nan") for name, values in kept.items()}


def _scores(
    tracked: Sequence[TrackedBoxes],
    rows: dict[str, dict[str, float]],
    overall: dict[str, float],
    leading: tuple[str, ...],
    success: tuple[list[float], list[float]],
) -> Scores:
    fps = {one.name: one.fps for one in tracked} | {"": speed(tracked)}
    return Scores(rows, overall, leading, {one.name: one.frames for one in tracked}, fps, success)
