"""From what a user names to a source of frames."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracker.data.images import SUFFIXES, Levels, Range
from tracker.media.camera import open_camera
from tracker.media.container import STREAM_ADVICE, open_stream, open_url, open_video
from tracker.media.frames import Source, SourceError, Warn
from tracker.media.pictures import open_folder, open_image, open_pattern

MAGIC = "*?["  # characters of a pattern
URL = re.compile(r"(rtsps?|rtmps?|https?|srt|udp|rtp|tcp)://", re.IGNORECASE)  # all else is a file, colons or not
CAMERA_DIGITS = 4  # of a camera's number, at most


@contextmanager
def open_source(
    text: str,
    *,
    rate: float | None = None,
    warn: Warn,
    value_range: Range | None = None,
    note: Warn | None = None,
    number: int | None = None,
) -> Iterator[Source]:
    """Open a source.

    Args:
        text: a video file, a folder of images, a pattern of image files, a camera's number (where no file or folder has
            that name), the URL of a stream (rtsp://, http:// and the like), or "-".
        rate: frames per second of images; None for the default.
        warn: takes a sentence for everything that could not be read.
        value_range: the values of pictures with more than 8 bits that become black and white, see `Levels`.
        note: takes a sentence about such pictures; `warn` by default.
        number: of the video stream in a file or stream that holds several, from 0; None for the usual one.

    Raises:
        SourceError: there is no such source, or it is unusable.
    """
    path, levels = Path(os.path.expanduser(text)), Levels(value_range, note or warn)
    stream = URL.match(text) is not None
    camera = text.isdecimal() and len(text) <= CAMERA_DIGITS and not path.exists()
    if rate is not None and (text == "-" or camera or stream or (path.is_file() and not _is_image(path))):
        raise SourceError("--fps is for images; this source has times of its own, leave it out")
    video = text == "-" or stream or (path.is_file() and not _is_image(path))
    if number is not None and not video:
        raise SourceError("--stream is for videos; images and cameras have no streams, leave it out")
    if text == "-":
        if sys.stdin.isatty():
            raise SourceError(f"standard input is a terminal; {STREAM_ADVICE}")
        with (
            open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as raw,
            open_stream(raw, warn, levels, number) as source,
        ):
            yield source
    elif camera:
        with open_camera(int(text), warn) as source:
            yield source
    elif stream:
        with open_url(text, warn, levels, number) as source:
            yield source
    elif path.is_dir():
        yield open_folder(path, rate, warn, levels)
    elif any(character in text for character in MAGIC) and not path.exists():
        yield open_pattern(str(path), rate, warn, levels)
    elif not path.exists():
        raise SourceError(
            f"'{text}' does not exist; name a video file, a folder of images, a pattern such as 'frames/*.jpg', "
            "a camera's number, the URL of a stream, or - for standard input"
        )
    elif _is_image(path):
        yield open_image(path, rate, warn, levels)
    else:
        with open_video(path, warn, levels, number) as source:
            yield source


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
