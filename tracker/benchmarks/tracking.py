"""Reset-based evaluation of development sequences on workers, without the toolkit's start-ups.

What decides whether a rule of the tracker stays (`dmb validate --tracking`): many sequences, faster motion by leaving
out frames, later starts, and every number with its interval.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.cluster.engine import run_tasks
from tracker.cluster.progress import Count
from tracker.cluster.tasks import (
    Context,
    Input,
    Place,
    Task,
    TaskCancelledError,
    content_key,
    fingerprint,
    kept_tracker,
    release,
    weights_input,
)
from tracker.errors import UserError
from tracker.files import replace_file
from tracker.metrics.regions import overlap
from tracker.metrics.resets import SKIPPED, Fragment, Run
from tracker.settings import Settings

TRUTH = "groundtruth.txt"


class TrackingDataError(UserError):
    """A sequence cannot be used; the message names its file."""


class Answer(Protocol):
    """What a tracker says of one frame."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, w, h."""

    @property
    def polygon(self) -> NDArray[np.float64]:
        """4 x 2."""

    @property
    def segmented(self) -> bool:
        """Whether a mask was decoded."""


class Tracker(Protocol):
    """What is evaluated."""

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool) -> Answer:
        """Start on a target."""

    def track(self, image: NDArray[np.uint8]) -> Answer:
        """Find it in the next frame."""


@dataclass(frozen=True)
class TrackingSequence:
    """A sequence of the toolkit's format.

    Attributes:
        name: the folder's.
        images: paths of the frames.
        truth: for each frame x, y, w, h or corners n x 2.
    """

    name: str
    images: list[Path]
    truth: list[NDArray[np.float64]]

    def read(self, frame: int) -> NDArray[np.uint8]:
        """A frame, H x W x 3 RGB.

        Raises:
            TrackingDataError: it does not decode.
        """
        image = cv2.imread(str(self.images[frame]))
        if image is None:
            raise TrackingDataError(f"frame '{self.images[frame]}' is missing or damaged; restore it")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def read_sequence(folder: Path) -> TrackingSequence:
    """Read a sequence: color/00000001.jpg and so on, and one region a line in groundtruth.txt.

    Raises:
        TrackingDataError: no ground truth or images, fewer than two frames, or a line that is no box and no polygon.
    """
    path = folder / TRUTH
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise TrackingDataError(f"ground truth '{path}' cannot be read ({error}); restore it") from error
    images = sorted(path for path in (folder / "color").glob("*") if path.stem.isdecimal())
    if len(lines) < 2 or len(images) < len(lines):
        raise TrackingDataError(
            f"sequence '{folder}' has {len(images)} images and {len(lines)} lines of ground truth; it needs an image "
            "for each line and at least two"
        )
    truth = [_region(line, path, number) for number, line in enumerate(lines, 1)]
    return TrackingSequence(folder.name, images[: len(lines)], truth)


def _region(line: str, path: Path, number: int) -> NDArray[np.float64]:
    try:
        values = np.array([float(part) for part in line.replace("\t", ",").split(",")])
    except ValueError:
        values = np.empty(0)
    known = len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)
    if not (known and np.isfinite(values).all()):
        raise TrackingDataError(
            f"line {number} of '{path}' is '{line[:60]}'; it must be four numbers x,y,w,h or a polygon's corners, all "
            "finite"
        )
    return values if len(values) == 4 else values.reshape(-1, 2)


def evaluate(
    tracker: Tracker,
    sequence: TrackingSequence,
    stride: int,
    first: int,
    *,
    observe: Callable[[int, NDArray[np.uint8], NDArray[np.float64], Any, float], None] | None = None,
) -> Run:
    """Track every `stride`-th frame from `first` on, starting again after each failure.

    Boxes and polygons are asked for, as VOT2016 to VOT2019 do, and answered in the form of the truth.

    Args:
        tracker: what is evaluated.
        sequence: what it tracks.
        stride: frames from one to the next.
        first: number of the first frame.
        observe: is called with each frame's number, image, truth, answer and overlap, starts included.
    """
    frames = range(first, len(sequence.images), stride)
    fragments, index, segmented, seconds = list[Fragment](), 0, 0, 0.0
    while index < len(frames):
        start, overlaps, errors, failed = index, list[float](), list[float](), False
        for index in range(start, len(frames)):
            image, truth = sequence.read(frames[index]), sequence.truth[frames[index]]
            began = time.perf_counter()
            if index == start:
                answer = tracker.initialize(image, truth, masks=False)
                seconds += time.perf_counter() - began
                if observe is not None:
                    observe(frames[index], image, truth, answer, 1.0)
                continue
            answer = tracker.track(image)
            seconds += time.perf_counter() - began
            segmented += bool(answer.segmented)
            region = np.array(answer.box) if truth.ndim == 1 else answer.polygon
            score = overlap(region, truth, (image.shape[1], image.shape[0]))
            if observe is not None:
                observe(frames[index], image, truth, answer, score)
            if score <= 0.0:
                failed = True
                break
            overlaps.append(score)
            errors.append(center_error(region, truth))
        fragments.append(Fragment(start, overlaps, errors, failed))
        index = index + SKIPPED if failed else len(frames)
    return Run(sequence.name, stride, first, len(frames), fragments, segmented, seconds)


def center_error(region: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Distance of two regions' centers in sqrt(area) of the second one's bounding box."""
    (low, high), (true_low, true_high) = (
        (value[:2], value[:2] + value[2:]) if value.ndim == 1 else (value.min(0), value.max(0))
        for value in (region, truth)
    )
    size = math.sqrt(max(float(np.prod(true_high - true_low)), 1.0))
    return float(np.linalg.norm((low + high - true_low - true_high) / 2.0)) / size


def tasks(sequences: Sequence[TrackingSequence], strides: Sequence[int], starts: int) -> Iterator[tuple[str, int, int]]:
    """Name, stride and first frame of all runs; start j of K lies j/(2K) into the sequence, half of which is left."""
    for sequence in sequences:
        for stride in strides:
            for start in range(starts):
                first = start * len(sequence.images) // (2 * starts)
                if len(sequence.images) - first > stride:
                    yield sequence.name, stride, first


def read_runs(path: Path) -> list[Run]:
    """Read the runs that `run_all` has kept.

    Raises:
        TrackingDataError: no such file, or another one.
    """
    try:
        rows = json.loads(path.read_text())
        return [Run.read({name: value for name, value in row.items() if name != "key"}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrackingDataError(f"'{path}' is no file of runs ({error}); name one that --runs has written") from error


def _documents(kept: Path | None) -> dict[str, dict[str, Any]]:
    """What a file of runs holds, by key; what has none is of an earlier version."""
    if kept is None or not kept.exists():
        return {}
    read_runs(kept)
    return {row.pop("key", ""): row for row in json.loads(kept.read_text())}


def _write_documents(path: Path, documents: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [{"key": key, **document} for key, document in documents.items()]
    rows.sort(key=lambda row: (row["sequence"], row["stride"], row["first"]))
    replace_file(path, json.dumps(rows))


@dataclass(frozen=True)
class Item:
    """What a worker tracks: a sequence's folder, every `stride`-th frame from `first` on, with which tracker."""

    folder: Path
    stride: int
    first: int
    settings: Settings
    make: Callable[[Settings], Tracker]


def track_item(item: Item, context: Context) -> dict[str, Any]:
    """One run, for a worker; returns its document.

    Raises:
        TrackingDataError: the sequence cannot be used.
        TaskCancelledError: the result is wanted no more.
    """
    tracker = kept_tracker(item.make, item.settings, context)

    def observe(*frame: Any) -> None:
        if context.cancelled():
            raise TaskCancelledError

    sequence = read_sequence(context.local(item.folder))
    return evaluate(tracker, sequence, item.stride, item.first, observe=observe).document()


def run_all(
    root: Path,
    names: Sequence[str],
    settings: Settings,
    make: Callable[[Settings], Tracker],
    *,
    strides: Sequence[int],
    starts: int,
    place: Place,
    kept: Path | None = None,
    say: Callable[[str], None],
) -> list[Run]:
    """Evaluate sequences, each in a process of one thread.

    Args:
        root: folder of the sequences.
        names: of the sequences.
        settings: of the tracker.
        make: makes the tracker on each worker; a function of a module.
        strides: every how many frames one is tracked.
        starts: places from which each sequence is tracked.
        place: where.
        kept: file for the runs, which is written after each of them. Those that it holds already, made by the same
            code from the same sequences, weights and settings, are not computed again.
        say: is called with a line for each run.

    Raises:
        TrackingDataError: a sequence cannot be used, or the file holds other runs.
        ClusterError: the cluster cannot be used.
    """
    sequences = {name: read_sequence(root / name) for name in names}
    seen = {name: fingerprint(root / name) for name in names}
    files = weights_input(settings.weights)
    identity: list[Any] = [release(), make.__module__, make.__qualname__, [file.digest for file in files]]
    identity.append({**asdict(settings), "weights": None})
    waiting, documents = list[Task](), _documents(kept)
    found: dict[str, dict[str, Any]] = {}
    for name, stride, first in tasks(list(sequences.values()), strides, starts):
        key = content_key(identity, name, seen[name], stride, first)
        cost = (len(sequences[name].images) - first) / stride
        if key in documents:
            found[key] = documents[key]
            continue
        folder = (root / name).absolute()
        item, gpu = Item(folder, stride, first, settings, make), settings.device != "cpu"
        label, inputs = f"{name} /{stride} from {first}", (Input(folder, seen[name]), *files)
        waiting.append(Task(label, key, track_item, item, cost, inputs, gpu))
    if documents.keys() - found.keys():
        raise TrackingDataError(
            f"'{kept}' holds runs of other sequences, strides, settings or weights, or of another version of DMB, "
            "which would be lost; name another file with --runs, or remove this one"
        )
    if found:
        say(f"{len(found)} runs are in '{kept}' already")
    failures = sum(len(Run.read(document).failures) for document in found.values())
    with (
        Count(waiting, say, len(found)) as count,
        closing(run_tasks(waiting, place, say=say)) as finished,
    ):
        for done in finished:
            if done.error is not None:
                raise done.error
            run = Run.read(done.value)
            found[done.task.key] = done.value
            if kept is not None:
                _write_documents(kept, found)
            failures += len(run.failures)
            accuracy = float(np.mean(run.accurate)) if run.accurate else math.nan
            fps = run.frames / max(run.seconds, 1e-9)
            line = f"{done.task.label:28s} failures {len(run.failures)} {run.failures}  accuracy {accuracy:.3f}"
            count.say(f"{line}  {fps:.1f} fps  ({count.step(done)}, {failures} failures)")
    return sorted(map(Run.read, found.values()), key=lambda run: run.key)
