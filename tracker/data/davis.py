"""DAVIS 2016 and 2017 as they are distributed, or as plain folders or tar files of sequences with masks.

    ROOT/JPEGImages/480p/SEQUENCE/00000.jpg     the official layout, 2016 and 2017 alike
    ROOT/Annotations/480p/SEQUENCE/00000.png
    ROOT/ImageSets/2017/val.txt                 names of sequences; 2016: ImageSets/2016 or ImageSets/480p

    ROOT/SEQUENCE/00000.jpg and 00000.png       the plain layout, see tracker/data/sequences.py

A label holds object ids: 0 is background, 255 void. In DAVIS 2016 all objects are one, and masks of 0 and 255 alone
have no void. The objects of a sequence are those of its first label, as in the official evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tracker.data.davis_masks import DavisError, checked
from tracker.data.images import ImageError, Levels, Pixels, decode
from tracker.data.masks import VOID, Ids, MaskError, MaskReader, on_stderr
from tracker.data.sequences import (
    IMAGE_SUFFIXES,
    READ_ERRORS,
    MaskSequence,
    SequenceError,
    choose,
    open_sequences,
)

YEARS = (2016, 2017)
RESOLUTION = "480p"  # at which the official evaluation scores
LISTS = {2016: ("2016", RESOLUTION), 2017: ("2017",)}  # folders of ImageSets
MIN_FRAMES = 3  # the first and the last frame are not scored


@dataclass(frozen=True)
class Source:
    """What is tracked or scored.

    Attributes:
        root: folder of the official layout; folder or tar file of the plain one.
        year: one of YEARS.
        split: name of a list in ImageSets, or a text file with a name per line; None: "val" in the official layout, all
            sequences in the plain one.
        sequences: names, instead of a split.
        limit: most frames of a sequence, at least MIN_FRAMES; None for all.
    """

    root: Path
    year: int
    split: str | None = None
    sequences: tuple[str, ...] | None = None
    limit: int | None = None


@dataclass(frozen=True)
class DavisSequence:
    """One sequence.

    Attributes:
        images: its images.
        labels: its labels; the same as `images` in the plain layout.
        year: one of YEARS.
        limit: most frames; None for all.
    """

    images: MaskSequence
    labels: MaskSequence
    year: int
    limit: int | None = None

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self.images.name

    @cached_property
    def _files(self) -> Mapping[str, str]:
        """Image file by frame, in order."""
        paths = sorted(PurePosixPath(file) for file in self.images.files)
        files = {path.stem: path.name for path in paths if path.suffix.lower() in IMAGE_SUFFIXES}
        if len(files) < MIN_FRAMES:
            raise DavisError(
                f"'{self.images.where}' holds {len(files)} images ({', '.join(IMAGE_SUFFIXES)}); a sequence has at "
                f"least {MIN_FRAMES}, name the folder that holds the sequences"
            )
        return dict(list(files.items())[: self.limit])

    @property
    def frames(self) -> tuple[str, ...]:
        """Names of the frames ("00000", ...), in order; raises DavisError where there are fewer than MIN_FRAMES."""
        return tuple(self._files)

    def image(self, frame: str) -> NDArray[np.uint8]:
        """A frame's image H x W x 3, RGB; raises DavisError where it is missing or damaged."""
        pixels = self._pixels(frame)
        return pixels if pixels.dtype == np.uint8 else self._levels(pixels)

    def _pixels(self, frame: str) -> Pixels:
        try:
            return decode(_read(self.images, self._files[frame]), upright=False)
        except ImageError as error:
            raise DavisError(f"image '{self.images.where}/{self._files[frame]}' {error}; restore it") from error

    @cached_property
    def _levels(self) -> Levels:
        """The range of values of images with more than 8 bits, fixed by the first one."""
        levels = Levels(tell=on_stderr)
        levels(self._pixels(self.frames[0]))
        return levels

    def label(self, frame: str) -> Ids:
        """A frame's ids H x W: 0 background, 1 to `objects`, VOID; higher ids, of objects that came later, become 0.

        Raises:
            DavisError: missing, damaged, or no image of ids.
        """
        return self._understood(self._raw(frame))

    @cached_property
    def _first(self) -> Ids:
        first = self._raw(self.frames[0])
        if not first.any():
            raise DavisError(f"the first label of '{self.labels.where}' is empty; there is no object to follow")
        return first

    @cached_property
    def _has_void(self) -> bool:
        """Whether 255 is void; a first label of 0 and 255 alone is a black and white mask."""
        return self.year != 2016 or bool(np.any((self._first > 0) & (self._first < VOID)))

    @cached_property
    def objects(self) -> int:
        """How many objects the first label holds; their ids count from 1.

        Raises:
            DavisError: none, or the label is not a label of this year.
        """
        ids = self._first[self._first < VOID]
        if self.year == 2016:
            return 1
        if not ids.any():
            raise DavisError(
                f"the first label of '{self.labels.where}' holds only 0 and {VOID}, which is void in DAVIS 2017; for "
                "masks of one object use --year 2016"
            )
        return int(ids.max())

    @cached_property
    def _reader(self) -> MaskReader:
        return MaskReader(on_stderr)

    def _raw(self, frame: str) -> Ids:
        name = f"{frame}.png"
        if name not in self.labels.files:
            raise DavisError(f"label '{self.labels.where}/{name}' is missing; restore it")
        where = f"mask '{self.labels.where}/{name}'"
        try:
            return checked(self._reader.decode(_read(self.labels, name), where), where)
        except MaskError as error:
            raise DavisError(str(error)) from error

    def _understood(self, ids: Ids) -> Ids:
        void = (ids == VOID) & self._has_void
        objects = (ids > 0) & ~void if self.year == 2016 else np.where(ids <= self.objects, ids, 0)
        return np.where(void, VOID, objects).astype(np.int32)


def _read(sequence: MaskSequence, name: str) -> bytes:
    try:
        return sequence.read(name)
    except READ_ERRORS as error:
        raise DavisError(f"'{sequence.where}/{name}' cannot be read ({error}); restore it") from error


@contextmanager
def open_davis(source: Source) -> Iterator[list[DavisSequence]]:
    """Open DAVIS and yield the chosen sequences, ordered by how they were named.

    Raises:
        DavisError: no DAVIS there, no such list, or no such sequence.
    """
    images, labels = source.root / "JPEGImages", source.root / "Annotations"
    if (source.root / "DAVIS" / "JPEGImages").is_dir():
        raise DavisError(f"'{source.root}' is not DAVIS but holds it; use --root {source.root / 'DAVIS'}")
    official = images.is_dir() or labels.is_dir()
    names = source.sequences or _split(source, official)
    try:
        if not official:
            with open_sequences(source.root) as found:
                chosen = choose(found, names, source.root)
                yield [DavisSequence(each, each, source.year, source.limit) for each in chosen]
            return
        with open_sequences(images / RESOLUTION) as found, open_sequences(labels / RESOLUTION) as labeled:
            pairs = zip(choose(found, names, images), choose(labeled, names or list(found), labels), strict=True)
            yield [DavisSequence(image, label, source.year, source.limit) for image, label in pairs]
    except SequenceError as error:
        raise DavisError(str(error)) from error


def _split(source: Source, official: bool) -> tuple[str, ...] | None:
    """Names of a split's sequences; None for all."""
    if source.split is None and not official:
        return None
    split = source.split or "val"
    lists = [source.root / "ImageSets" / folder / f"{split}.txt" for folder in LISTS[source.year]]
    path = next((path for path in (*lists, Path(split)) if path.is_file()), None)
    if path is None:
        raise DavisError(
            f"there is no list '{lists[0]}' and no file '{split}'; name the sequences by --sequences, or a text file "
            "with one name per line by --split"
        )
    try:
        names = _names(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DavisError(f"list of sequences '{path}' cannot be read ({error}); restore it") from error
    if not names:
        raise DavisError(f"list of sequences '{path}' is empty; write one name per line")
    return names


def _names(lines: Sequence[str]) -> tuple[str, ...]:
    """Sequences in a list: "bear" a line, or "/JPEGImages/480p/bear/00000.jpg /Annotations/..." as in 2016."""
    entries = [PurePosixPath(line.split()[0]) for line in lines if line.strip()]
    return tuple(dict.fromkeys(entry.parent.name if entry.suffix else entry.name for entry in entries))
