"""Videos with masks of one or several objects: DAVIS, YouTube-VOS, or SEQUENCE/00000.jpg with SEQUENCE/00000.png.

They are read from a folder or straight from a tar file. Masks are PNG files with object ids, 0 for the background. 255
is the object where it is the only id (DAVIS 2016, masks in black and white), else void.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2

from tracker.data import images
from tracker.data.images import ImageError, Levels
from tracker.data.masks import VOID, Ids, MaskError, MaskReader, on_stderr, values_of
from tracker.data.sequences import (
    IMAGE_SUFFIXES,
    READ_ERRORS,
    MaskSequence,
    SequenceError,
    choose,
    open_sequences,
)
from tracker.training.data import DataError
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
        levels: brings images with more than 8 bits to 8 bit.
    """

    name: str
    images: list[str]
    labels: list[Ids]
    left_out: int
    source: MaskSequence
    levels: Levels = field(default_factory=lambda: Levels(tell=on_stderr))

    def objects(self) -> list[int]:
        """Ids of the objects, without void."""
        found = set[int]().union(*map(values_of, self.labels))
        return sorted(found - {VOID} if len(found) > 1 else found)

    def write_image(self, index: int, path: Path) -> None:
        """Write an image as a JPEG file; one that is a JPEG file stays as it is, byte by byte.

        Raises:
            SequenceError: it does not decode, or its size is not its mask's.
        """
        name = self.images[index]
        where = f"'{self.source.where}/{name}'"
        data = _read(self.source, name)
        try:
            pixels = images.decode(data, upright=False)
        except ImageError as error:
            raise SequenceError(f"{where} {error}; restore it") from error
        if pixels.shape[:2] != self.labels[index].shape:
            raise SequenceError(f"{where} differs in size from its mask; restore it")
        if PurePosixPath(name).suffix.lower() not in JPEG:
            bgr = cv2.cvtColor(self.levels(pixels), cv2.COLOR_RGB2BGR)
            data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
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
    labels: list[Ids] = []
    reader = MaskReader(on_stderr)
    for stem in stems:
        try:
            labels.append(reader.decode(_read(sequence, masks[stem]), f"mask '{sequence.where}/{masks[stem]}'"))
        except MaskError as error:
            raise SequenceError(str(error)) from error
        if labels[-1].shape != labels[0].shape:
            raise SequenceError(f"'{sequence.where}': mask '{masks[stem]}' differs in size from the first one")
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
