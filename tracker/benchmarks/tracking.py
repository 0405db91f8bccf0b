"""Reset-based evaluation of development sequences in one process per worker, without the toolkit's start-ups.

What decides whether a rule of the tracker stays (`dmb validate --tracking`): many sequences, faster motion by leaving
out frames, later starts, and every number with its interval.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

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


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """Write every overlap as JSON."""
    replace_file(path, json.dumps([run.document() for run in runs]))


def read_runs(path: Path) -> list[Run]:
    """Read what `write_runs` wrote.

    Raises:
        TrackingDataError: no such file, or another one.
    """
    try:
        return [Run.read(document) for document in json.loads(path.read_text())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrackingDataError(f"'{path}' is no file of runs ({error}); name one that --runs has written") from error


_tracker: Tracker  # of a worker process


def _begin(settings: Settings, make: Callable[[Settings], Tracker]) -> None:
    global _tracker
    _tracker = make(settings)


def _work(folder: Path, stride: int, first: int) -> Run:
    return evaluate(_tracker, read_sequence(folder), stride, first)


def run_all(
    root: Path,
    names: Sequence[str],
    settings: Settings,
    make: Callable[[Settings], Tracker],
    *,
    strides: Sequence[int],
    starts: int,
    workers: int,
    say: Callable[[str], None],
) -> list[Run]:
    """Evaluate sequences in worker processes of one thread each.

    Args:
        root: folder of the sequences.
        names: of the sequences.
        settings: of the tracker.
        make: makes the tracker in each worker.
        strides: every how many frames one is tracked.
        starts: places from which each sequence is tracked.
        workers: processes.
        say: is called with a line for each run.

    Raises:
        TrackingDataError: a sequence cannot be used.
    """
    sequences = [read_sequence(root / name) for name in names]
    lengths = {sequence.name: len(sequence.images) for sequence in sequences}
    todo = sorted(tasks(sequences, strides, starts), key=lambda task: -(lengths[task[0]] - task[2]) / task[1])
    runs, failures = list[Run](), 0
    with closing(_finished(root, todo, settings, make, workers)) as finished:
        for run in finished:
            runs.append(run)
            failures += len(run.failures)
            accuracy = float(np.mean(run.accurate)) if run.accurate else math.nan
            where, fps = f"{run.sequence} /{run.stride} from {run.first}", run.frames / max(run.seconds, 1e-9)
            line = f"{where:28s} failures {len(run.failures)} {run.failures}  accuracy {accuracy:.3f}  {fps:.1f} fps"
            say(f"{line}  ({len(runs)} of {len(todo)}, {failures} failures)")
    return sorted(runs, key=lambda run: run.key)


def _finished(
    root: Path,
    todo: Sequence[tuple[str, int, int]],
    settings: Settings,
    make: Callable[[Settings], Tracker],
    workers: int,
) -> Generator[Run, None, None]:
    """The runs as they end; with one worker in this process."""
    if workers == 1:
        tracker = make(settings)
        for name, stride, first in todo:
            yield evaluate(tracker, read_sequence(root / name), stride, first)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (settings, make)) as pool:
        futures = [pool.submit(_work, root / name, stride, first) for name, stride, first in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:  # Ctrl-C and closing too: nobody waits for the others
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise
