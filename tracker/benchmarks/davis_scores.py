"""J and F of masks on DAVIS, with the definitions of the official evaluation for the semi-supervised task.

Neither the first frame, which is given, nor the last one is scored. Mean and recall (share of frames above 0.5) are
over the frames between, the decay is the mean of their first quarter minus the mean of their last. Scores over all are
means over the objects of all sequences. Void pixels count neither for nor against an answer.

Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tracker.benchmarks.record import TRACKER, record
from tracker.benchmarks.validation import write_document
from tracker.data.davis import DavisSequence
from tracker.data.davis_masks import DavisError, read_ids
from tracker.data.masks import VOID, Ids
from tracker.files import replace_file
from tracker.metrics.masks import boundary_similarity, overlap

RECALL_ABOVE = 0.5
BINS = 4  # of which the decay compares the first with the last
COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
FILES = ("per-sequence_results.csv", "global_results.csv", "scores.json")


@dataclass(frozen=True)
class Statistics:
    """Mean, recall and decay of a measure over frames."""

    mean: float
    recall: float
    decay: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistics:
        """The statistics of at least one frame's values, as the official code bins them: neighbors share a frame."""
        series = np.asarray(values, np.float64)
        edges = (np.round(np.linspace(1, len(series), BINS + 1) + 1e-10) - 1).astype(int)
        bins = [series[first : last + 1] for first, last in pairwise(edges)]
        decay = bins[0].mean() - bins[-1].mean()
        return cls(float(series.mean()), float((series > RECALL_ABOVE).mean()), float(decay))


@dataclass(frozen=True)
class ObjectScore:
    """One object of one sequence: its id, J and F of each scored frame."""

    sequence: str
    number: int
    regions: list[float]
    contours: list[float]

    def row(self) -> dict[str, float]:
        """The statistics by name, see COLUMNS."""
        region, contour = Statistics.of(self.regions), Statistics.of(self.contours)
        values = (region.mean, region.recall, region.decay, contour.mean, contour.recall, contour.decay)
        return dict(zip(COLUMNS, ((region.mean + contour.mean) / 2, *values), strict=True))


def score_masks(sequence: DavisSequence, folder: Path) -> list[ObjectScore]:
    """Score the masks `folder`/00001.png and so on of one sequence; those of the first and last frame are not read.

    Raises:
        DavisError: a mask is missing, damaged, of another size, or holds an id that the sequence has not.
    """
    frames = sequence.frames[1:-1]
    if not folder.is_dir():
        raise DavisError(f"there is no folder '{folder}'; the masks of a sequence are in a folder of its name")
    scores = [ObjectScore(sequence.name, number, [], []) for number in range(1, sequence.objects + 1)]
    for frame in frames:
        label = sequence.label(frame)
        answer = _answer(sequence, folder / f"{frame}.png", (label.shape[0], label.shape[1]))
        known = label != VOID
        for score in scores:
            found, wanted = known & (answer == score.number), label == score.number
            score.regions.append(overlap(found, wanted))
            score.contours.append(boundary_similarity(found, wanted))
    return scores


def _answer(sequence: DavisSequence, path: Path, shape: tuple[int, int]) -> Ids:
    """A mask's ids; for DAVIS 2016 the one object is what is not zero, be it 1 or 255."""
    ids = read_ids(path, shape)
    if sequence.year == 2016:
        return (ids > 0).astype(np.int32)
    if ids.max() > sequence.objects:
        raise DavisError(
            f"mask '{path}' holds the id {ids.max()}, but sequence '{sequence.name}' has {sequence.objects} objects; "
            "give ids as its first label has them"
        )
    return ids


@dataclass(frozen=True)
class Scores:
    """The scores of at least one object."""

    objects: list[ObjectScore]

    def overall(self) -> dict[str, float]:
        """Means over the objects, see COLUMNS."""
        rows = [score.row() for score in self.objects]
        return {name: float(np.mean([row[name] for row in rows])) for name in COLUMNS}

    def lines(self) -> Iterator[str]:
        """A table as text; its last line is `J&F 0.xxx`."""
        width = max(len("all"), *(len(score.sequence) for score in self.objects))
        yield f"{'sequence':{width}s} object frames" + "".join(f" {name:>8s}" for name in COLUMNS)
        for score in self.objects:
            start = f"{score.sequence:{width}s} {score.number:6d} {len(score.regions):6d}"
            yield start + "".join(f" {value:8.3f}" for value in score.row().values())
        overall = self.overall()
        frames = sum(len(score.regions) for score in self.objects)
        yield f"{'all':{width}s} {len(self.objects):6d} {frames:6d}" + "".join(
            f" {value:8.3f}" for value in overall.values()
        )
        yield f"J&F {overall[COLUMNS[0]]:.3f}"

    def write(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write FILES: two tables, and everything with `facts` as JSON; raises OSError where that fails."""
        rows = [{"Sequence": f"{score.sequence}_{score.number}"} | score.row() for score in self.objects]
        _write_table(folder / FILES[0], ("Sequence", *COLUMNS), rows)
        _write_table(folder / FILES[1], COLUMNS, [self.overall()])
        found = [
            {"sequence": score.sequence, "object": score.number, "frames": len(score.regions)} | score.row()
            for score in self.objects
        ]
        limit = f", first {facts['first_frames']} frames" if facts.get("first_frames") else ""
        sequences = len({score.sequence for score in self.objects})
        data = f"DAVIS {facts['year']}, {sequences} sequences, from the {facts.get('init', 'mask')}{limit}"
        tracker = TRACKER if "weights" in facts else str(facts.get("masks"))
        records = [record(facts, data, {name: self.overall()[f"{name}-Mean"] for name in ("J&F", "J", "F")}, tracker)]
        write_document(folder / FILES[2], facts | {"objects": found, "all": self.overall(), "records": records})


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()})
    replace_file(path, text.getvalue())
