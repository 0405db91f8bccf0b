"""Sequences with a mask for every frame, read from a folder of folders or straight from a tar file.

Both hold `SEQUENCE/00000.jpg` (or `.jpeg`, `.webp`) and a mask of the same name, `SEQUENCE/00000.png`: the object is
what is not zero. Folders around SEQUENCE in a tar file do not matter. Where the masks hold several ids, 255 is void:
nobody knows what is there, and it counts neither for nor against an answer. Masks of 0 and 255 alone have no void.
Which files are masks, and of what: `tracker.data.masks`.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tracker.data.images import ImageError, Levels, decode
from tracker.data.masks import VOID, MaskError, MaskReader, Note, covers_edges, on_stderr, split
from tracker.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".webp")
READ_ERRORS = (OSError, tarfile.TarError, EOFError, zlib.error)


class SequenceError(UserError):
    """A sequence is missing or damaged; the message names it."""


@dataclass(frozen=True)
class LabelledFrame:
    """One frame: RGB image H x W x 3, the target's mask H x W, and the void pixels H x W (None: there are none)."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    void: NDArray[np.bool_] | None = None

    def known(self, answer: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """An answer H x W without its void pixels. The label has none, so both are compared outside of the void."""
        return answer if self.void is None else answer & ~self.void


@dataclass(frozen=True)
class MaskSequence:
    """One sequence.

    Attributes:
        name: of the sequence.
        where: folder, or tar file and folder in it; for messages.
        files: names of its files.
        read: returns a file's bytes; raises OSError where that fails.
    """

    name: str
    where: str
    files: frozenset[str]
    read: Callable[[str], bytes]

    def frames(self, limit: int | None = None, note: Note = on_stderr) -> Iterator[LabelledFrame]:
        """Yield the frames in the order of their names, at most `limit` of them.

        Args:
            limit: most frames; None for all.
            note: takes a sentence about masks and pictures that can be read in more than one way.

        Raises:
            SequenceError: fewer than two images, a mask is missing, or a file does not decode.
        """
        images = sorted(name for name in self.files if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES)
        if len(images) < 2:
            raise SequenceError(
                f"'{self.where}' holds fewer than two images ({', '.join(IMAGE_SUFFIXES)}); name a sequence"
            )
        reader, levels = MaskReader(note), Levels(tell=note)
        several: bool | None = None  # whether ids beside 255 have been seen
        for name in images[:limit]:
            label = str(PurePosixPath(name).with_suffix(".png"))
            if label not in self.files:
                raise SequenceError(f"'{self.where}/{name}' has no mask '{label}'; restore it")
            try:
                image = levels(decode(self._bytes(name), upright=False))
                ids = reader.decode(self._bytes(label), f"mask '{self.where}/{label}'")
            except ImageError as error:
                raise SequenceError(f"'{self.where}/{name}' {error}; restore it") from error
            except MaskError as error:
                raise SequenceError(str(error)) from error
            if ids.shape != image.shape[:2]:
                raise SequenceError(f"'{self.where}/{name}' and its mask (.png) are of different sizes; restore them")
            if several is None and covers_edges(ids > 0):
                note(
                    f"the mask '{self.where}/{label}' covers the image's edges; is the object marked, and not the "
                    "background?"
                )
            several = several or bool(np.any((ids > 0) & (ids != VOID)))
            mask, void = split(ids, void=several)
            yield LabelledFrame(image, mask, void)

    def _bytes(self, name: str) -> bytes:
        try:
            return self.read(name)
        except READ_ERRORS as error:
            raise SequenceError(f"'{self.where}/{name}' cannot be read ({error}); restore it") from error


def _folder_sequence(folder: Path) -> MaskSequence:
    files = frozenset(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return MaskSequence(folder.name, str(folder), files, lambda name: (folder / name).read_bytes())


def _tar_sequences(path: Path, tar: tarfile.TarFile) -> list[MaskSequence]:
    members: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        inside = PurePosixPath(member.name)
        folder = inside.parent.name
        if not member.isfile() or inside.name.startswith(".") or folder in ("", ".."):
            continue
        files = members.setdefault(folder, {})
        if inside.name in files:
            raise SequenceError(f"'{path}' holds '{folder}/{inside.name}' more than once; name a tar file of one set")
        files[inside.name] = member

    def reader(files: Mapping[str, tarfile.TarInfo]) -> Callable[[str], bytes]:
        def read(name: str) -> bytes:
            stream = tar.extractfile(files[name])
            return stream.read() if stream is not None else b""

        return read

    return [
        MaskSequence(name, f"{path}/{name}", frozenset(files), reader(files)) for name, files in sorted(members.items())
    ]


@contextmanager
def open_sequences(source: Path) -> Iterator[dict[str, MaskSequence]]:
    """Open a folder of sequence folders, or a tar file of them; yields the sequences by name.

    Raises:
        SequenceError: no such folder or file, no tar file, or no sequences in it.
    """
    with ExitStack() as resources:
        try:
            if source.is_dir():
                folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
                found = [_folder_sequence(folder) for folder in folders]
            else:
                found = _tar_sequences(source, resources.enter_context(tarfile.open(source)))
        except FileNotFoundError:
            raise SequenceError(f"'{source}' does not exist; name a folder of sequences or a tar file") from None
        except READ_ERRORS as error:
            raise SequenceError(f"'{source}' is not a readable folder or tar file ({error}); name another") from error
        if not found:
            raise SequenceError(f"'{source}' holds no sequences; name the folder or tar file that holds their folders")
        yield {sequence.name: sequence for sequence in found}


def choose(sequences: Mapping[str, MaskSequence], names: Sequence[str] | None, source: Path) -> list[MaskSequence]:
    """Pick sequences by name; without names, all of them.

    Raises:
        SequenceError: there is no such sequence; the message lists those that are there.
    """
    for name in names or ():
        if name not in sequences:
            raise SequenceError(f"there is no sequence '{name}' in '{source}'; it holds: {', '.join(sequences)}")
    return [sequences[name] for name in dict.fromkeys(names or sequences)]
