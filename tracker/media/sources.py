"""From what a user names to a source of frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracker.media.camera import open_camera
from tracker.media.container import STREAM_ADVICE, open_stream, open_video
from tracker.media.frames import Source, SourceError, Warn
from tracker.media.pictures import SUFFIXES, open_folder, open_image, open_pattern

MAGIC = "*?["  # characters of a pattern
CAMERA_DIGITS = 4  # of a camera's number, at most


@contextmanager
def open_source(text: str, *, rate: float | None = None, warn: Warn) -> Iterator[Source]:
    """Open a source.

    Args:
        text: a video file, a folder of images, a pattern of image files, a camera's number (where no file or folder has
            that name), or "-".
        rate: frames per second of images; None for the default.
        warn: takes a sentence for everything that could not be read.

    Raises:
        SourceError: there is no such source, or it is unusable.
    """
    path = Path(os.path.expanduser(text))
    camera = text.isdecimal() and len(text) <= CAMERA_DIGITS and not path.exists()
    if rate is not None and (text == "-" or camera or (path.is_file() and not _is_image(path))):
        raise SourceError("--fps is for images; this source has times of its own, leave it out")
    if text == "-":
        if sys.stdin.isatty():
            raise SourceError(f"standard input is a terminal; {STREAM_ADVICE}")
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as raw, open_stream(raw, warn) as source:
            yield source
    elif camera:
        with open_camera(int(text), warn) as source:
            yield source
    elif path.is_dir():
        yield open_folder(path, rate, warn)
    elif any(character in text for character in MAGIC) and not path.exists():
        yield open_pattern(str(path), rate, warn)
    elif not path.exists():
        raise SourceError(
            f"'{text}' does not exist; name a video file, a folder of images, a pattern such as 'frames/*.jpg', "
            "a camera's number, or - for standard input"
        )
    elif _is_image(path):
        yield open_image(path, warn)
    else:
        with open_video(path, warn) as source:
            yield source


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
