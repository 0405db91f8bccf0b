"""Folders on disks that are too small or may not be written to; the fixtures that need root are left out without it."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOM = 256  # kB that fit in


@dataclass(frozen=True)
class Cramped:
    """A folder into which little fits.

    Attributes:
        folder: an empty one.
        number: of the system's error.
    """

    folder: Path
    number: int

    @property
    def words(self) -> str:
        """Of the system's error."""
        return os.strerror(self.number)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory at `folder`; the test is left out where that is not allowed."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file may become larger than `size` bytes: a write beyond it fails in its middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def cramped(folder: Path, kind: str, room: int = ROOM) -> Iterator[Cramped]:
    """A folder for `room` kB: "a full disk" is a real one, "a limit" holds for every file, and needs no root."""
    folder.mkdir()
    if kind == "a limit":
        with files_of_at_most(room * 1024):
            yield Cramped(folder, errno.EFBIG)
    else:
        with mounted(folder, f"size={room}k"):
            yield Cramped(folder, errno.ENOSPC)


@contextmanager
def sealed(folder: Path) -> Iterator[Path]:
    """A folder that exists and cannot be written to: read-only for root, without permission for everybody else."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield folder
        finally:
            folder.chmod(0o755)
        return
    with mounted(folder, "ro,size=64k"):
        yield folder


def fill(folder: Path) -> Path:
    """Take all room that is left on a disk; returns the file that holds it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast
