"""Videos with masks of one or several objects: DAVIS, YouTube-VOS, or SEQUENCE/00000.jpg with SEQUENCE/00000.png.

They are read from a folder or straight from a tar file. Masks are PNG files with object ids, 0 for the background. 255
is the object where it is the only id (DAVIS 2016, masks in black and white), else void.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.benchmarks.sequences import (
    IMAGE_SUFFIXES,
    READ_ERRORS,
    VOID,
    MaskSequence,
    SequenceError,
    choose,
    open_sequences,
)
from tracker.training.data import DataError, Frame
from tracker.training.readers.video_folders import find_video_folders
from vot_workspace.writer import JPEG_QUALITY

JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class MaskVideo:
    """A video whose masks are decoded, and whose images are still files.

    Attributes:
        name: of the sequence.
        images: names of its images that have a mask, in order.
        labels: their object ids H x W.
        left_out: how many images without a mask there are besides.
        source: reads the images.
    """

    name: str
    images: list[str]
    labels: list[NDArray[np.uint8]]
    left_out: int
    source: MaskSequence

    def objects(self) -> list[int]:
        """Ids of the objects, without void."""
        found = set[int]().union(*(np.unique(label).tolist() for label in self.labels)) - {0}
        return sorted(found - {VOID} if len(found) > 1 else found)

    def write_image(self, index: int, path: Path) -> None:
        """Write an image as a JPEG file; one that is a JPEG file stays as it is, byte by byte.

        Raises:
            SequenceError: it does not decode, or its size is not its mask's.
        """
        name = self.images[index]
        where = f"'{self.source.where}/{name}'"
        data = _read(self.source, name)
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION  # masks are drawn on the stored pixels
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if image is None or image.shape[:2] != self.labels[index].shape:
            raise SequenceError(f"{where} is damaged, or of another size than its mask; restore it")
        if PurePosixPath(name).suffix.lower() not in JPEG:
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        path.write_bytes(data)


def _read(sequence: MaskSequence, name: str) -> bytes:
    try:
        return sequence.read(name)
    except READ_ERRORS as error:
        raise SequenceError(f"'{sequence.where}/{name}' cannot be read ({error}); restore it") from error


def _stems(sequence: MaskSequence) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the images, and of the masks, by what they share."""
    paths = [PurePosixPath(name) for name in sorted(sequence.files)]
    images = {path.stem: path.name for path in paths if path.suffix.lower() in IMAGE_SUFFIXES}
    return images, {path.stem: path.name for path in paths if path.suffix.lower() == ".png"}


def decode(sequence: MaskSequence) -> MaskVideo:
    """Read the masks of a sequence.

    Raises:
        SequenceError: fewer than two images with a mask, masks of several sizes, or damaged ones.
    """
    images, masks = _stems(sequence)
    stems = sorted(images.keys() & masks.keys())
    if len(stems) < 2:
        raise SequenceError(f"'{sequence.where}' holds fewer than two images with a mask (.png) of the same name")
    labels = []
    for stem in stems:
        try:
            labels.append(Frame(f"{sequence.name}/{stem}", b"", _read(sequence, masks[stem])).ids())
        except DataError:
            raise SequenceError(
                f"'{sequence.where}': mask '{masks[stem]}' is damaged, or holds no object ids but colours; restore it"
            ) from None
        if labels[-1].shape != labels[0].shape:
            raise SequenceError(f"'{sequence.where}': mask '{masks[stem]}' is of another size than the first one")
    return MaskVideo(sequence.name, [images[stem] for stem in stems], labels, len(images) - len(stems), sequence)


def _paired(images: Path, masks: Path) -> dict[str, MaskSequence]:
    """Sequences of two folders of folders."""

    def sequence(name: str) -> MaskSequence:
        folders = (images / name, masks / name)
        files = frozenset(path.name for folder in folders for path in folder.iterdir() if not path.name.startswith("."))

        def read(file: str) -> bytes:
            return (folders[file.endswith(".png")] / file).read_bytes()

        return MaskSequence(name, str(folders[0]), files, read)

    names = sorted(path.name for path in images.iterdir() if path.is_dir() and (masks / path.name).is_dir())
    return {name: sequence(name) for name in names}


@contextmanager
def open_videos(source: Path, names: Sequence[str] | None) -> Iterator[list[MaskSequence]]:
    """Open a set; yields its sequences, or those of the given names, undecoded.

    Raises:
        SequenceError: no such set, folder or sequence; the message says what is there.
    """
    try:
        found = find_video_folders(source) if source.is_dir() else None
        paired = _paired(found.images, found.masks) if found is not None else None
    except (DataError, OSError) as error:
        raise SequenceError(f"'{source}' cannot be read ({error}); name another folder") from error
    if paired:
        yield choose(paired, names, source)
        return
    with open_sequences(source) as sequences:
        usable = {name: item for name, item in sequences.items() if all(_stems(item))}  # not lists and the like
        if not usable:
            raise SequenceError(
                f"'{source}' holds no images with masks; name a folder or tar file with SEQUENCE/00000.jpg and "
                "SEQUENCE/00000.png, or with JPEGImages and Annotations"
            )
        yield choose(usable, names, source)
