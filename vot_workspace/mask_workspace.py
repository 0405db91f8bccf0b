"""Turns videos with masks into workspaces: rotated boxes with resets, or masks with several starts.

Every object becomes a sequence that starts where it is first seen. Where it is not to be seen later, the ground truth
is empty and `absent.tag` is 1.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.config import BoxFitConfig
from tracker.data.sequences import SequenceError
from tracker.geometry.region import edge_angle
from tracker.geometry.rotated_box import fit_rotated_box
from vot_workspace.configuration import OWN_TRACKERS, SEQUENCES, is_workspace, write_workspace
from vot_workspace.layout import LIST
from vot_workspace.mask_videos import MaskVideo, decode, open_videos
from vot_workspace.writer import (
    WorkspaceError,
    encode_mask,
    encode_polygon,
    is_visible,
    write_lines,
    write_texts,
)

FORMS = {"polygon": "polygons.yaml", "mask": "masks.yaml"}  # form of the ground truth -> stack
ABSENT = {"polygon": "0,0,0,0", "mask": "m0,0,0,0,0"}  # ground truth where there is no target
SHORTEST = 2  # frames of a sequence


@dataclass(frozen=True)
class Target:
    """One object of a video.

    Attributes:
        name: of its sequence.
        masks: H x W, from the first frame that shows it.
        start: that frame.
        visible: whether each frame shows it: more than a line, which the toolkit takes for empty.
    """

    name: str
    masks: list[NDArray[np.bool_]]
    start: int
    visible: list[bool]


def targets(video: MaskVideo, say: Callable[[str], None]) -> list[Target]:
    """The objects of a video that can be tracked; what is left out is said."""
    found = []
    ids = video.objects()
    for number in ids:
        name = video.name if len(ids) == 1 else f"{video.name}_{number}"
        masks = [label == number for label in video.labels]
        visible = [is_visible(mask) for mask in masks]
        start = visible.index(True) if any(visible) else len(masks)
        if len(masks) - start < SHORTEST:
            say(f"left out {name}: it is seen in no frame but the last one")
            continue
        found.append(Target(name, masks[start:], start, visible[start:]))
    if not ids:
        say(f"left out {video.name}: its masks are empty")
    return found


def regions(target: Target, form: str) -> Iterator[str]:
    """The lines of the ground truth."""
    angle: float | None = None
    for mask, visible in zip(target.masks, target.visible, strict=True):
        if not visible:
            yield ABSENT[form]
        elif form == "mask":
            yield encode_mask(mask)
        else:
            polygon = fit_rotated_box(mask, BoxFitConfig(), angle)
            assert polygon is not None  # of a visible target
            angle = edge_angle(polygon)
            yield encode_polygon(polygon)


def write_target(folder: Path, target: Target, form: str, images: Sequence[Path], fps: int) -> None:
    """Write a sequence's folder; it appears under its name when it is complete.

    Args:
        folder: its name is the sequence's.
        target: the object.
        form: of the ground truth, a key of FORMS.
        images: the video's JPEG files; they are linked, not copied, where the file system can do so.
        fps: frames per second.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing_", dir=folder.parent) as scratch:
        unfinished = Path(scratch, folder.name)
        (unfinished / "color").mkdir(parents=True)
        for index, image in enumerate(images[target.start :], 1):
            path = unfinished / "color" / f"{index:08d}.jpg"
            try:
                os.link(image, path)
            except OSError:
                shutil.copyfile(image, path)
        height, width = target.masks[0].shape
        write_texts(unfinished, list(regions(target, form)), target.visible, (width, height), fps)
        if not all(target.visible):
            write_lines(unfinished / "absent.tag", [int(not visible) for visible in target.visible])
        os.replace(unfinished, folder)


def _existing(workspace: Path, form: str) -> list[str]:
    """Sequences that a workspace holds from before.

    Raises:
        WorkspaceError: it is not a workspace of this form, or damaged.
    """
    if is_workspace(workspace, FORMS[form]):
        names = workspace / SEQUENCES / LIST
        return names.read_text(encoding="utf-8").splitlines() if names.is_file() else []
    if workspace.is_dir():
        expected = (SEQUENCES, Path(OWN_TRACKERS).name)
        others = [path.name for path in workspace.iterdir() if path.name not in expected and path.name[0] != "."]
    else:
        others = [workspace.name] if workspace.exists() else []
    if others:
        raise WorkspaceError(f"'{workspace}' holds other files ({others[0]}); name a new folder")
    return []


def make_mask_workspaces(
    source: Path,
    workspaces: dict[str, Path],
    *,
    names: Sequence[str] | None = None,
    fps: int = 20,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Make workspaces, or add sequences to them; sequences that are there already stay as they are.

    Args:
        source: see `vot_workspace.mask_videos`.
        workspaces: folders by form, keys of FORMS.
        names: of the videos; None for all.
        fps: frames per second, of importance in realtime experiments.
        say: is called with a line for every sequence.

    Returns:
        The number of sequences in each.

    Raises:
        SequenceError: the source is damaged, holds nothing to track, or two of its videos give one name.
        WorkspaceError: a folder holds something else.
    """
    listed = {form: _existing(workspace, form) for form, workspace in workspaces.items()}
    origins: dict[str, str] = {}  # videos by the names of their sequences
    with open_videos(source, names) as sequences:
        for sequence in sequences:
            video = decode(sequence)
            if video.left_out:
                say(f"{video.name}: {video.left_out} images without a mask are left out")
            found = targets(video, say)
            if not found:
                continue
            for target in found:
                other = origins.setdefault(target.name, video.name)
                if other != video.name:
                    raise SequenceError(
                        f"videos '{other}' and '{video.name}' of '{source}' both become a sequence '{target.name}'; "
                        "rename one of them, or make a workspace for each with --sequences-only"
                    )
            home = next(iter(workspaces.values()))
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".frames_", dir=home) as scratch:
                _write_video(video, found, workspaces, Path(scratch), fps, say)
            for form in workspaces:
                listed[form] += [target.name for target in found]
    for form, workspace in workspaces.items():
        if not listed[form]:
            raise SequenceError(f"'{source}' holds no object that is seen in more than one frame")
        write_workspace(workspace, stack=FORMS[form], sequences=list(dict.fromkeys(listed[form])))
    return len(set(next(iter(listed.values()))))


def _write_video(
    video: MaskVideo,
    found: Sequence[Target],
    workspaces: dict[str, Path],
    scratch: Path,
    fps: int,
    say: Callable[[str], None],
) -> None:
    """Write the sequences of one video; the images are written once and linked."""
    new = [
        (target, form, folder)
        for target in found
        for form, workspace in workspaces.items()
        if not (folder := workspace / "sequences" / target.name).exists()
    ]
    images = [scratch / f"{index:08d}.jpg" for index in range(len(video.images))]
    if new:
        for index, path in enumerate(images):
            video.write_image(index, path)
    for target, form, folder in new:
        write_target(folder, target, form, images, fps)
    for target in found:
        begin = f", from image {video.images[target.start]}" if target.start else ""
        gone = target.visible.count(False)
        away = f", absent in {gone} of them" if gone else ""
        written = any(target is other for other, _, _ in new)
        say(f"{target.name}: {len(target.masks)} frames{begin}{away}" + ("" if written else " (there already)"))
