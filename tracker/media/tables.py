"""What was tracked as text: CSV and JSON lines of everything, and a file of polygons per object as VOT has them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from tracker.media.recording import Moment

BOXES, RECORDS = "boxes.csv", "result.jsonl"
HEADER = (
    "frame", "time", "object", "x", "y", "w", "h", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "confidence",
    "segmented", "remembered", "uncertainty", "average", "reason",
)  # fmt: skip
UNKNOWN = "0"  # line of a VOT file for a frame about which nothing is known


def polygons_name(object_id: int) -> str:
    """Name of the file of one object's polygons."""
    return f"polygons_{object_id}.txt"


def _finite(value: float | None, digits: int = 6) -> float | None:
    """A number that CSV and JSON can hold; None for infinity, and where there is none."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


def row(moment: Moment) -> list[object]:
    """The values under HEADER; times in seconds, lengths in pixels."""
    numbers = [_finite(value, 3) for value in (*moment.box, *moment.polygon.ravel())]
    named = [moment.frame, _finite(moment.seconds), moment.object_id]
    sure = [_finite(moment.confidence), int(moment.segmented), int(moment.remembered)]
    return [*named, *numbers, *sure, _finite(moment.uncertainty), _finite(moment.average), moment.reason]


def record(moment: Moment) -> dict[str, object]:
    """The same as an object for JSON."""
    return {
        "frame": moment.frame,
        "time": _finite(moment.seconds),
        "object": moment.object_id,
        "box": [_finite(value, 3) for value in moment.box],
        "polygon": [[_finite(value, 3) for value in corner] for corner in moment.polygon],
        "confidence": _finite(moment.confidence),
        "segmented": moment.segmented,
        "remembered": moment.remembered,
        "uncertainty": _finite(moment.uncertainty),
        "average": _finite(moment.average),
        "reason": moment.reason,
    }


class Tables:
    """Writes the files, and every frame to the disk at once: what is written survives whatever comes.

    Args:
        folder: where to.
        object_ids: of all objects.
        step: distance of the frames that are tracked.

    Raises:
        OSError: a file cannot be made.
    """

    def __init__(self, folder: Path, object_ids: Sequence[int], step: int) -> None:
        self.step, self.last = step, -1
        with ExitStack() as opened:
            self.boxes = self._open(opened, folder / BOXES)
            self.records = self._open(opened, folder / RECORDS)
            self.polygons = {number: self._open(opened, folder / polygons_name(number)) for number in object_ids}
            self.resources = opened.pop_all()
        self.csv = csv.writer(self.boxes, lineterminator="\n")
        self.csv.writerow(HEADER)

    @staticmethod
    def _open(opened: ExitStack, path: Path) -> TextIO:
        return opened.enter_context(path.open("w", encoding="utf-8", newline="", buffering=1))

    def add(self, frame: int, moments: Iterable[Moment]) -> None:
        """Append what was found in one frame.

        In the VOT files a frame that was left out has a line of its own, and so has one before an object starts.

        Raises:
            OSError: it cannot be written.
        """
        missing = 0 if self.last < 0 else (frame - self.last) // self.step - 1
        self.last = frame
        lines = dict.fromkeys(self.polygons, UNKNOWN)
        for moment in moments:
            self.csv.writerow(row(moment))
            self.records.write(json.dumps(record(moment), allow_nan=False) + "\n")
            lines[moment.object_id] = ",".join(f"{value:.3f}" for value in moment.polygon.ravel())
        for number, line in lines.items():
            self.polygons[number].write(f"{UNKNOWN}\n" * missing + f"{line}\n")

    def close(self) -> None:
        """Close the files."""
        self.resources.close()
