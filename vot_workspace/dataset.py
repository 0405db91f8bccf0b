"""Finds sequences in the toolkit's format in a folder or a tar file, and provides them as folders.

A sequence is a folder with `groundtruth.txt` and, where no `sequence` file says otherwise, images `color/00000001.jpg`
and so on. Its name is the folder's.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tracker.errors import UserError
from vot_workspace.writer import anchors

TRUTH = "groundtruth.txt"
FACTS = "sequence"  # the file that tells the toolkit where the images are
ANCHORS = "anchor.value"  # the file that tells the toolkit where multi-start evaluation starts
READ_ERRORS = (OSError, tarfile.TarError, EOFError, zlib.error)


class DatasetError(UserError):
    """There are no usable sequences; the message names the folder or file."""


def _folders(source: Path) -> dict[str, Path]:
    root = source / "sequences" if (source / "sequences").is_dir() else source
    return {path.name: path for path in sorted(root.iterdir()) if (path / TRUTH).is_file()}


def _inside(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Members with their paths; those that lead out of the tar file are passed over."""
    for member in tar:
        path = PurePosixPath(member.name)
        if not path.is_absolute() and ".." not in path.parts:
            yield member, path


def _tar_folders(tar: tarfile.TarFile) -> dict[str, PurePosixPath]:
    found = [path.parent for _, path in _inside(tar) if path.name == TRUTH and path.parent.name]
    return {path.name: path for path in sorted(found)}


def sequence_names(source: Path) -> list[str]:
    """Names of the sequences in a folder (or in its sub-folder `sequences`) or in a tar file.

    Raises:
        DatasetError: no such folder or file, or no sequences in it.
    """
    try:
        if source.is_dir():
            names = list(_folders(source))
        else:
            with tarfile.open(source) as tar:
                names = list(_tar_folders(tar))
    except FileNotFoundError:
        raise DatasetError(f"'{source}' does not exist; name a folder of VOT sequences or a tar file") from None
    except READ_ERRORS as error:
        raise DatasetError(f"'{source}' is not a readable folder or tar file ({error}); name another one") from error
    if not names:
        raise DatasetError(f"'{source}' holds no VOT sequences; each is a folder with '{TRUTH}' and 'color' images")
    return names


def choose(source: Path, names: Sequence[str] | None) -> list[str]:
    """Check chosen names against what is there; without names, all of them.

    Raises:
        DatasetError: see `sequence_names`; or there is no such sequence (the message lists the known ones).
    """
    known = sequence_names(source)
    for name in names or ():
        if name not in known:
            raise DatasetError(f"there is no sequence '{name}' in '{source}'; it holds: {', '.join(known)}")
    return list(dict.fromkeys(names or known))


def provide(source: Path, names: Sequence[str], directory: Path) -> dict[str, Path]:
    """Provide sequences as folders that the toolkit can read.

    Those of a folder are used where they are, those of a tar file are extracted.

    Args:
        source: see `sequence_names`.
        names: of the sequences.
        directory: where new sequence folders are made; those that are there already stay.

    Returns:
        The absolute path of each sequence.

    Raises:
        DatasetError: damaged, or without images.
    """
    directory = directory.resolve()
    try:
        if not source.is_dir():
            with tarfile.open(source) as tar:
                for name in names:
                    if not (directory / name).is_dir():
                        _extract(tar, name, directory)
            return {name: directory / name for name in names}
        folders = {name: path.resolve() for name, path in _folders(source).items()}
        return {name: with_facts(folders[name], directory / name) for name in names}
    except READ_ERRORS as error:
        raise DatasetError(f"the sequences of '{source}' cannot be read ({error}); restore them") from error


def _extract(tar: tarfile.TarFile, name: str, directory: Path) -> None:
    """Extract one sequence; it appears under its name when it is complete."""
    parent = _tar_folders(tar)[name]
    members = [member for member, path in _inside(tar) if path.is_relative_to(parent)]
    with tempfile.TemporaryDirectory(dir=directory, prefix=".unpacking_") as unpacked:
        tar.extractall(unpacked, members=members, filter="data")
        folder = Path(unpacked, parent)
        if not (folder / FACTS).is_file():
            (folder / FACTS).write_text(_facts(folder))
        os.replace(folder, directory / name)


def with_facts(folder: Path, target: Path) -> Path:
    """Let the toolkit read a sequence that may lack its `sequence` file.

    Args:
        folder: the sequence's.
        target: where a folder of links with such a file is made if it is missing.

    Returns:
        The folder that can be read.

    Raises:
        DatasetError: without images.
    """
    if (folder / FACTS).is_file():
        return folder
    return _beside(folder, target, FACTS, _facts(folder))


def with_anchors(folder: Path, target: Path) -> Path:
    """Let the toolkit start in the middle of a sequence that may not say where; see `vot_workspace.writer.anchors`.

    Args:
        folder: the sequence's.
        target: where a folder of links with a file of anchors is made if it is missing; may be `folder` itself.

    Returns:
        The folder that can be read.

    Raises:
        DatasetError: the ground truth is unreadable, or the target is to be seen in none of its frames.
    """
    if (folder / ANCHORS).is_file():
        return folder
    try:
        lines = (folder / TRUTH).read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise DatasetError(f"the ground truth of '{folder}' cannot be read ({error}); restore it") from error
    values = anchors([_shows(line) for line in lines])
    if not any(values):
        raise DatasetError(f"no frame of sequence '{folder}' shows its target; leave it out")
    return _beside(folder, target, ANCHORS, "".join(f"{value}\n" for value in values))


def _shows(line: str) -> bool:
    """Whether a line of ground truth is a region; a single number, or NaN, stands where there is none."""
    return "," in line and "nan" not in line.lower()


def _beside(folder: Path, target: Path, name: str, text: str) -> Path:
    """Put a file beside what is in a folder, in a folder of links if that is another one; returns the latter."""
    if target != folder:
        target.mkdir(exist_ok=True)
        for entry in folder.iterdir():
            link = target / entry.name
            if link.exists():
                continue
            try:
                link.symlink_to(entry)
            except OSError:  # a file system without links
                if entry.is_dir():
                    shutil.copytree(entry, link)
                else:
                    shutil.copyfile(entry, link)
    if not (target / name).is_file():
        (target / name).write_text(text)
    return target


def _facts(folder: Path) -> str:
    images = sorted(path for path in (folder / "color").glob("*") if path.stem.isdecimal())
    if not images:
        raise DatasetError(f"sequence '{folder}' has neither a file '{FACTS}' nor images 'color/00000001.jpg'")
    return f"channels.color=color/%0{len(images[0].stem)}d{images[0].suffix}\nformat=default\nfps=20\n"
