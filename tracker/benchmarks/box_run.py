"""Tracks the sequences of a box benchmark with the VOT toolkit's unsupervised experiment.

The toolkit 0.7.4 holds loaders for GOT-10k, TrackingNet and OTB, but `vot evaluate` does not use them: only its own two
formats are registered ("default" and "legacy"). Imported by hand, GOT-10k's stops with an AttributeError and
TrackingNet's looks for the frames in the wrong folder; OTB's takes the 1-based corners as 0-based and does not know the
folders Jogging and Skating2. So the sequences are offered in the toolkit's default format, by links to their images and
with 0-based boxes, and the toolkit, which is GPLv3, stays a process of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tracker.benchmarks.box_datasets import BoxDataset, BoxDatasetError, BoxSequence
from tracker.benchmarks.boxes import TrackedBoxes
from tracker.cluster.tasks import Place
from tracker.data.images import ImageError, read
from tracker.files import replace_file
from vot_workspace.dataset import FACTS, TRUTH
from vot_workspace.evaluation import ALONE, Job, Tracked, check_folder, track_sequences
from vot_workspace.toolkit import EvaluationError

COLOR = "color"  # folder of the images, below a sequence
STAGED = "%08d"  # names of links to images that are not numbered as the toolkit wants
UNKNOWN = "0"  # the toolkit's code for a frame without truth
STACK = "unsupervised.yaml"
PARTS = ("sequences", "workspace")  # folders of a run


@dataclass(frozen=True)
class BoxRun:
    """What a run has come to.

    Attributes:
        boxes: of every sequence, in the data set's convention. Where the truth is not public, it is NaN behind the
            first frame.
        threads: of each process, where the run has chosen them.
    """

    boxes: list[TrackedBoxes]
    threads: int | None


def run(
    dataset: BoxDataset,
    job: Job,
    directory: Path,
    *,
    place: Place = ALONE,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda line: None,
) -> BoxRun:
    """Track all sequences; a run that was interrupted goes on with those that are missing.

    Args:
        dataset: the sequences.
        job: the tracker; its source, stack and identity are set here.
        directory: an existing folder, in which "sequences" and "workspace" are made.
        place: where tasks run.
        environ: environment of the toolkit.
        say: is called with a line whenever a sequence is finished.

    Raises:
        BoxDatasetError: the sequences cannot be offered to the toolkit.
        EvaluationError: the toolkit or the tracker failed, or the folder holds another run.
        DatasetError: a sequence that was offered is gone.
        WorkspaceError: an evaluation is running in the folder.
    """
    sequences, workspace = (directory / part for part in PARTS)
    staged = sequences / digest(dataset)
    identity = f"{job.identity}, {dataset.name} {dataset.split}"
    names = [sequence.name for sequence in dataset.sequences]
    job = replace(job, source=staged, names=names, stack=STACK, identity=identity)
    job = replace(job, settings={**job.settings, "DMB_ANSWER": "rectangle"})  # whatever kind is set for other uses
    check_folder(workspace.resolve(), job)  # before anything is written
    stage(dataset, staged)
    with track_sequences(job, place=place, keep=workspace, environ=environ, say=say) as tracked:
        boxes = [read_result(sequence, tracked, dataset.origin) for sequence in dataset.sequences]
        return BoxRun(boxes, tracked.threads)


def digest(dataset: BoxDataset) -> str:
    """16 hexadecimal digits for what the toolkit is offered: other sequences, frames or boxes have others.

    Where the images lie makes no difference: a data set may move.
    """
    texts = [f"{name}\n{text}" for each in dataset.sequences for name, text in _texts(each, dataset).items()]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def stage(dataset: BoxDataset, directory: Path) -> None:
    """Offer the sequences in the toolkit's format, with links to their images.

    Raises:
        BoxDatasetError: links cannot be made.
    """
    for sequence in dataset.sequences:
        folder = directory / sequence.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _link_images(sequence.images, folder / COLOR)
            for name, text in _texts(sequence, dataset).items():
                replace_file(folder / name, text)
        except OSError as error:
            raise BoxDatasetError(
                f"links to the images of '{sequence.name}' cannot be made in '{directory}' ({error}); "
                "name an --output on a file system with symbolic links and space"
            ) from error


def _texts(sequence: BoxSequence, dataset: BoxDataset) -> dict[str, str]:
    """Files of a staged sequence by their names; the one that makes it a sequence comes last."""
    facts = {f"channels.{COLOR}": f"{COLOR}/{_pattern(sequence.images)}", "format": "default", "fps": dataset.fps}
    facts |= {"name": sequence.name, "length": len(sequence.images)}
    truth = "".join(f"{line}\n" for line in _truth_lines(sequence, dataset.origin))
    return {FACTS: "".join(f"{key}={value}\n" for key, value in facts.items()), TRUTH: truth}


def _truth_lines(sequence: BoxSequence, origin: int) -> list[str]:
    lines = [UNKNOWN] * len(sequence.images)
    for index, (x, y, width, height) in enumerate(sequence.truth):
        if np.isfinite((x, y, width, height)).all() and width > 0 and height > 0:
            lines[index] = f"{x - origin:.4f},{y - origin:.4f},{width:.4f},{height:.4f}"
    return lines


def _counted(images: Sequence[Path]) -> str | None:
    """The pattern of the images' own names, where they count from 1; None where they do not."""
    suffix = images[0].suffix
    for number in (f"%0{len(images[0].stem)}d", "%d"):
        if [image.name for image in images] == [(number + suffix) % (index + 1) for index in range(len(images))]:
            return number + suffix
    return None


def _pattern(images: Sequence[Path]) -> str:
    """The pattern of the names under which the images are offered."""
    return _counted(images) or STAGED + images[0].suffix


def _link_images(images: Sequence[Path], color: Path) -> None:
    """Make the folder `color`, a single link where the images count from 1."""
    if _counted(images):
        _link(color, images[0].parent)
        return
    if color.is_symlink():
        color.unlink()
    color.mkdir(exist_ok=True)
    pattern = _pattern(images)
    for index, image in enumerate(images):
        _link(color / (pattern % (index + 1)), image)


def _link(path: Path, target: Path) -> None:
    goal = str(target.resolve())
    if path.is_symlink():
        if os.readlink(path) == goal:
            return
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)  # links to single images, of a data set that was numbered otherwise
    path.symlink_to(goal)


def read_result(sequence: BoxSequence, tracked: Tracked, origin: int) -> TrackedBoxes:
    """The boxes that the toolkit has written for a sequence, in the data set's convention.

    Raises:
        EvaluationError: the result is not complete.
        BoxDatasetError: the size of an image is needed and it cannot be read.
    """
    length = len(sequence.images)
    damaged = f"the result of '{sequence.name}' in '{tracked.directory}' is damaged; delete that folder and run again"
    try:
        lines = tracked.trajectory(sequence.name)[1:]
        boxes = np.array([[float(word) for word in line.split(",")] for line in lines], np.float64).reshape(-1, 4)
        seconds = np.array(tracked.seconds(sequence.name), np.float64)
    except (OSError, ValueError) as error:
        raise EvaluationError(damaged) from error
    if len(boxes) != length - 1 or len(seconds) != length or not np.isfinite(boxes).all():
        raise EvaluationError(damaged)
    boxes[:, :2] += origin
    truth = np.full((length, 4), np.nan)
    truth[: len(sequence.truth)] = sequence.truth
    size = sequence.size or _image_size(sequence.images[0])
    return TrackedBoxes(sequence.name, np.vstack([truth[:1], boxes]), truth, sequence.visible, size, seconds)


def _image_size(path: Path) -> tuple[int, int]:
    try:
        image = read(path)
    except ImageError as error:
        raise BoxDatasetError(f"'{path}' {error}; unpack the sequence again") from error
    return image.shape[1], image.shape[0]
