"""The folder that a run fills: which files there are, and that all of them are complete in the end."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from tracker.errors import UserError
from tracker.files import replace_file
from tracker.media.exports import COCO, CVAT, MOTS, CocoExport, CvatExport, MotsExport, TextExport
from tracker.media.frames import Frame
from tracker.media.masks import MaskFolder
from tracker.media.mp4 import Mp4Writer, h264_encoder
from tracker.media.overlay import overlay
from tracker.media.recording import moment
from tracker.media.report import PAGE, TEMPORARY, PageRecording
from tracker.media.tables import BOXES, RECORDS, Tables, polygons_name
from tracker.media.truth import Truth
from tracker.media.webm import VideoWriter
from tracker.tracking.result import Result

VIDEO, MASKS, MP4, SUMMARY = "overlay.webm", "masks", "overlay.mp4", "summary.json"
TASK = "dmb_task.json"  # of one of many videos: of what its results were made
KINDS = ("video", "masks", "boxes", "page", "mp4", "coco", "mots", "cvat")
WHOLE = (MP4, COCO, MOTS, CVAT)  # appear when they are complete, and are hidden drafts until then
DRAFT = rf"\.({'|'.join(map(re.escape, WHOLE))})\.\w{{8}}"  # what a killed process leaves
NAMES = (VIDEO, BOXES, RECORDS, PAGE, TEMPORARY, SUMMARY, TASK, *WHOLE)
OURS = re.compile("|".join((*map(re.escape, NAMES), r"polygons_\d+\.txt", DRAFT)))
OUR_MASK = re.compile(r"\d{5,}\.png")


class OutputError(OSError):
    """The folder cannot be used; the message says what to do."""


def check_kinds(kinds: Iterable[str]) -> None:
    """Make sure that results can be written in these kinds.

    Args:
        kinds: as `Outputs` takes them.

    Raises:
        UserError: one of them is unknown, or what it needs is missing.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"'{kind}' is no kind of results; choose from {', '.join(KINDS)}")
        if kind == "mp4":
            h264_encoder()


def check_folder(folder: Path, *, overwrite: bool, source: str, masks: Sequence[Path] = ()) -> None:
    """Make sure that results may go into a folder.

    Args:
        folder: where results shall go.
        overwrite: whether an earlier run's results may be replaced.
        source: as `open_source` takes it.
        masks: files and folders that the run reads besides.

    Raises:
        OutputError: it is a file, there is something in it and `overwrite` is not set, or what is read lies where
            results are replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file; name a folder with --output")
    home = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    if not os.access(home, os.W_OK | os.X_OK):
        raise OutputError(f"'{folder}' cannot be written, '{home}' does not permit it; name another with --output")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"'{folder}' is not empty; name another folder with --output, or replace with --overwrite")
    home, results = (Path(os.path.realpath(path)) for path in (folder, folder / MASKS))
    for named in (source, *map(str, masks)):
        # nothing that is read may be replaced, nor may results come to lie among it
        if any(
            results in (path, *path.parents) or (path.parent == home and OURS.fullmatch(path.name))
            for path in _read_from(named)
        ):
            raise OutputError(f"'{named}' lies where results would be overwritten; name another folder with --output")


def _read_from(named: str) -> Iterator[Path]:
    """What a user has named, and the files that it matches if it is a pattern; without links."""
    expanded = os.path.expanduser(named)
    for name in (expanded, *glob.iglob(expanded, recursive=True)):
        yield Path(os.path.realpath(name))


def remove_old(folder: Path) -> None:
    """Remove the results of an earlier run from a folder, and nothing else."""
    for path in folder.iterdir():
        if OURS.fullmatch(path.name):
            path.unlink()
    if (folder / MASKS).is_dir():
        for path in (folder / MASKS).iterdir():
            if OUR_MASK.fullmatch(path.name):
                path.unlink()


class Outputs:
    """All files of one run.

    Args:
        folder: where to; it is made, and an earlier run's results in it are removed.
        kinds: which of "video", "masks", "boxes", "page", "mp4", "coco", "mots" and "cvat".
        size: width and height of the frames, pixels.
        rate: nominal frames per second of what is added.
        object_ids: of all objects.
        step: distance of the frames that are added.
        title: of the page.
        truth: right masks, which the page compares with.
        aspect: width of a pixel where it is shown, divided by its height. The videos have square pixels, and are
            stretched; all else is in the source's pixels.

    Raises:
        OSError: a file cannot be made.
        UserError: a kind is unknown, or there is no encoder for it.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Iterable[str],
        *,
        size: tuple[int, int],
        rate: float,
        object_ids: Sequence[int],
        step: int,
        title: str,
        truth: Truth | None = None,
        aspect: float = 1.0,
    ) -> None:
        kinds = list(kinds)
        check_kinds(kinds)
        self.folder, self.count, self.truth = folder, 0, truth
        width, height = size
        self.shown = (round(width * max(aspect, 1.0)), round(height / min(aspect, 1.0)))  # size of the videos
        self.origin = 0.0  # seconds of the first frame
        self.video = self.mp4 = self.masks = self.tables = self.page = None
        self.exports: list[TextExport] = []
        folder.mkdir(parents=True, exist_ok=True)
        remove_old(folder)
        self.files: list[str] = []
        with ExitStack() as opened:  # closes them all, even if one of them cannot be closed
            if "video" in kinds:
                self.video = VideoWriter(folder / VIDEO, self.shown, rate)
                opened.callback(self.video.close)
                self.files.append(VIDEO)
            if "masks" in kinds:
                self.masks = MaskFolder(folder / MASKS)
                self.files.append(f"{MASKS}/")
            if "boxes" in kinds:
                self.tables = Tables(folder, object_ids, step)
                opened.callback(self.tables.close)
                self.files += [BOXES, RECORDS, *map(polygons_name, object_ids)]
            if "page" in kinds:
                self.page = PageRecording(folder, size, rate, title)
                opened.callback(self.page.close)
                self.files.append(PAGE)
            if "mp4" in kinds:
                self.mp4 = Mp4Writer(folder / MP4, self.shown, rate)
                opened.callback(self.mp4.close)
                self.files.append(MP4)
            if "coco" in kinds:
                self._export(opened, COCO, CocoExport(folder / COCO, size, title))
            if "mots" in kinds:
                self._export(opened, MOTS, MotsExport(folder / MOTS))
            if "cvat" in kinds:
                self._export(opened, CVAT, CvatExport(folder / CVAT, size, title, object_ids))
            self.resources = opened.pop_all()

    def _export(self, opened: ExitStack, name: str, export: TextExport) -> None:
        opened.callback(export.close)
        self.exports.append(export)
        self.files.append(name)

    def add(self, frame: Frame, answers: Mapping[int, Result]) -> None:
        """Write what was found in one frame, by object id; objects that have not started are not among the answers.

        Raises:
            OSError: something cannot be written.
            SourceError: the truth cannot be read.
        """
        self.origin = self.origin if self.count else frame.seconds
        overlaps = {} if self.truth is None else self.truth.overlaps(frame.index, answers)
        moments = [
            moment(answer, frame.index, frame.seconds, number, overlaps.get(number))
            for number, answer in answers.items()
        ]
        if self.tables is not None:
            self.tables.add(frame.index, moments)
        if self.masks is not None:
            self.masks.add(frame.index, answers, (frame.image.shape[0], frame.image.shape[1]))
        if self.video is not None or self.mp4 is not None:
            drawn = overlay(frame.image, answers)
            if drawn.shape[1::-1] != self.shown:
                drawn = np.asarray(cv2.resize(drawn, self.shown, interpolation=cv2.INTER_LINEAR), np.uint8)
            for video in (self.video, self.mp4):
                if video is not None:
                    video.add(drawn, frame.seconds - self.origin)
        for export in self.exports:
            export.add(frame.index, frame.seconds, answers)
        if self.page is not None:
            self.page.add(frame, answers, moments)
        self.count += 1

    def close(self, *, whole: bool = True) -> None:
        """Complete all files.

        Args:
            whole: the source has no frames after the last one that was added.

        Raises:
            OSError: one of them cannot be completed; the others are.
        """
        for export in self.exports:
            export.whole = whole
        self.resources.close()
        if self.page is not None and not self.page.moments and PAGE in self.files:
            self.files.remove(PAGE)  # no object has started

    def summarize(self, facts: Mapping[str, object]) -> None:
        """Write what was done, and how fast, as JSON.

        Raises:
            OSError: it cannot be written.
        """
        replace_file(self.folder / SUMMARY, json.dumps(facts, indent=2) + "\n")
        self.files.append(SUMMARY)
