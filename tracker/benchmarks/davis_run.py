"""Segments the sequences of DAVIS with the tracker, and writes the masks as they are submitted.

Every object has a tracker of its own, all with one engine. What they find is merged by soft aggregation (Oh et al.,
"Video Object Segmentation using Space-Time Memory Networks", ICCV 2019), for the answer only: each tracker remembers
its own mask.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.api.loading import load_trackers
from tracker.benchmarks.validation import write_document
from tracker.cluster.engine import run_tasks
from tracker.cluster.tasks import (
    Context,
    Place,
    Task,
    TaskCancelledError,
    content_key,
    kept_tracker,
    release,
    weights_input,
)
from tracker.data.davis import DavisSequence, Source, open_davis
from tracker.data.davis_masks import DavisError
from tracker.data.masks import write_ids
from tracker.files import replace_file
from tracker.geometry.region import RegionError, box_from_mask
from tracker.settings import Settings

INITS = ("mask", "box")
RUN_FILE = "run.json"
CLAIM = 0.51  # least probability of a pixel in an object's answered mask: it is the object's unless another is surer
CERTAIN = 1e-7  # probabilities stay this far from 0 and 1


class Segmented(Protocol):
    """What is read of a tracker's answer."""

    @property
    def mask(self) -> NDArray[np.bool_]: ...


class MaskTracker(Protocol):
    """What is asked of a tracker; `tracker.tracking.tracker.DMB` is one."""

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Segmented: ...

    def track(self, image: NDArray[np.uint8]) -> Segmented: ...

    def probability(self) -> NDArray[np.float32] | None: ...


Create = Callable[[], MaskTracker]
Load = Callable[[Settings], Create]


def soft_aggregation(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Merge the probabilities of n objects, each on its own, into those of background and objects together.

    The background's probability is that of being none of them; odds are compared, and sum to one.

    Args:
        probabilities: n x H x W in [0, 1].

    Returns:
        (n + 1) x H x W, the background first.
    """
    background = np.prod(1.0 - probabilities, axis=0, keepdims=True)
    every = np.concatenate([background, probabilities]).clip(CERTAIN, 1.0 - CERTAIN)
    odds = every / (1.0 - every)
    return np.asarray(odds / odds.sum(0), np.float32)


def _claim(answer: Segmented, probability: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """What an object brings to the aggregation, H x W: nothing outside its mask, which is cleaned.

    A mask that was not segmented but moved yields to every other one.
    """
    sure = np.float32(CLAIM) if probability is None else np.maximum(probability, np.float32(CLAIM))
    return np.where(answer.mask, sure, np.float32(0.0)).astype(np.float32)


def segment(create: Create, sequence: DavisSequence, init: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Follow all objects of a sequence; yields frames and their ids H x W, 0 for the background.

    Args:
        create: makes a tracker.
        sequence: the sequence; only its first label is read.
        init: "mask" or "box", what the trackers start from. With masks the first answer is the label.

    Raises:
        DavisError: damaged, or without an object.
    """
    first = sequence.frames[0]
    label = sequence.label(first)
    numbers = [number for number in range(1, sequence.objects + 1) if np.any(label == number)]
    trackers = {number: create() for number in numbers}
    for frame in sequence.frames:
        image = sequence.image(frame)
        if image.shape[:2] != label.shape:
            raise DavisError(
                f"frame '{frame}' of '{sequence.name}' is {image.shape[1]} x {image.shape[0]} pixels, the first label "
                f"{label.shape[1]} x {label.shape[0]}; restore them"
            )
        if frame != first:
            claims = [_claim(tracker.track(image), tracker.probability()) for tracker in trackers.values()]
        else:
            claims = [_start(tracker, image, label == number, init, sequence.name)
                      for number, tracker in trackers.items()]  # fmt: skip
        merged = soft_aggregation(np.stack(claims)).argmax(0)
        yield frame, np.array([0, *numbers], np.uint8)[merged]


def _start(
    tracker: MaskTracker, image: NDArray[np.uint8], mask: NDArray[np.bool_], init: str, name: str
) -> NDArray[np.float32]:
    try:
        answer = tracker.initialize(image, mask if init == "mask" else box_from_mask(mask))
    except RegionError as error:
        raise DavisError(f"an object of sequence '{name}' cannot be followed: {error}") from error
    return mask.astype(np.float32) if init == "mask" else _claim(answer, tracker.probability())


@dataclass(frozen=True)
class Run:
    """Everything that a process needs to know.

    Attributes:
        source: what is tracked.
        init: of INITS.
        output: folder of the masks.
        settings: of the tracker.
        load: makes trackers; where there are several processes, a function of a module.
    """

    source: Source
    init: str
    output: Path
    settings: Settings
    load: Load = load_trackers

    def is_done(self, sequence: DavisSequence) -> bool:
        """Whether all masks of a sequence are there."""
        folder = self.output / sequence.name
        return all((folder / f"{frame}.png").is_file() for frame in sequence.frames)

    def write(self, create: Create, sequence: DavisSequence, on_frame: Callable[[], None]) -> None:
        """Segment a sequence and write its masks; raises DavisError and OSError."""
        folder = self.output / sequence.name
        folder.mkdir(parents=True, exist_ok=True)
        for frame, ids in segment(create, sequence, self.init):
            write_ids(folder / f"{frame}.png", ids)
            on_frame()


def track_sequence(argument: tuple[Run, str], context: Context) -> dict[str, bytes]:
    """Segment one sequence on a worker; returns the masks' files by name, and tells every frame.

    Raises:
        DavisError: damaged input.
        WeightsError, DeviceError: of the loading.
        TaskCancelledError: the result is wanted no more.
    """
    run, name = argument
    create = kept_tracker(run.load, run.settings, context)

    def on_frame() -> None:
        context.tell(1)
        if context.cancelled():
            raise TaskCancelledError

    with open_davis(run.source) as sequences:
        (sequence,) = [each for each in sequences if each.name == name]
        replace(run, output=context.scratch).write(create, sequence, on_frame)
    return {path.name: path.read_bytes() for path in sorted((context.scratch / name).iterdir())}


def track_all(
    run: Run, sequences: Sequence[DavisSequence], place: Place, on_frames: Callable[[int], None]
) -> Generator[str, None, None]:
    """Segment sequences and write their masks; yields their names as they are finished.

    Args:
        run: what and how.
        sequences: of `run.source`.
        place: where.
        on_frames: is called with the number of frames that are done.

    Raises:
        DavisError: damaged input.
        WeightsError, DeviceError: of the loading.
        ClusterError: the cluster cannot be used.
        OSError: a mask cannot be written.
    """
    inputs = weights_input(run.settings.weights)
    identity = [release(), run.source, run.init, {**asdict(run.settings), "weights": [each.digest for each in inputs]}]
    tasks = []
    for sequence in sequences:
        cost = len(sequence.frames) * max(sequence.objects, 1)
        key, gpu = content_key(identity, sequence.name), run.settings.device != "cpu"
        tasks.append(Task(sequence.name, key, track_sequence, (run, sequence.name), cost, inputs, gpu))
    count = 0

    def told(task: Task, frames: int) -> None:
        nonlocal count
        count += frames
        on_frames(count)

    with closing(run_tasks(tasks, place, told=told)) as finished:
        for done in finished:
            if done.error is not None:
                raise done.error
            folder = run.output / done.task.label
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in done.value.items():
                replace_file(folder / name, content)
            yield done.task.label


def check_folder(output: Path, conditions: dict[str, Any], names: Sequence[str]) -> None:
    """Make sure that masks in a run's folder were made under the same conditions, and note these there.

    Raises:
        DavisError: there are masks of other conditions, or of unknown ones.
        OSError: the folder cannot be written.
    """
    path = output / RUN_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["conditions"]
        if not isinstance(before, dict):
            raise TypeError
    except FileNotFoundError:
        foreign = next((name for name in names if (output / name).exists()), None)
        if foreign is not None:
            raise DavisError(
                f"'{output}' holds '{foreign}' but no {RUN_FILE} that tells how it was made; name another folder"
            ) from None
        output.mkdir(parents=True, exist_ok=True)
        write_document(path, {"conditions": conditions})
        return
    except (ValueError, KeyError, TypeError) as error:
        raise DavisError(f"'{path}' is damaged; name another folder, or remove this one") from error
    for name in dict.fromkeys((*before, *conditions)):
        if before.get(name) != conditions.get(name):
            raise DavisError(
                f"'{output}' holds masks made with {name} {_text(before.get(name))}, and this run has "
                f"{_text(conditions.get(name))}; name another folder, or remove this one"
            )


def _text(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
