"""Frames from image files: a folder, or a pattern such as 'frames/*.jpg'."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tracker.media.frames import Frame, Source, SourceError, Warn

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
DEFAULT_RATE = 25.0  # frames per second of images, which hold no time
DAMAGED = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # Pillow calls a broken PNG a SyntaxError


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which frame2 comes before frame10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image upright, H x W x 3 RGB.

    Raises:
        one of DAMAGED.
    """
    with Image.open(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255
            return np.repeat((np.asarray(upright, np.uint32) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
        return np.asarray(upright.convert("RGB"))


def open_folder(folder: Path, rate: float | None, warn: Warn) -> Source:
    """A folder of images.

    Raises:
        SourceError: it holds none.
    """
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not paths:
        raise SourceError(f"the folder '{folder}' holds no images ({', '.join(SUFFIXES)}); name one that does")
    return _pictures(paths, folder.resolve().name, str(folder), rate, warn)


def open_pattern(pattern: str, rate: float | None, warn: Warn) -> Source:
    """Image files by a pattern.

    Raises:
        SourceError: nothing matches.
    """
    paths = [Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]
    if not paths:
        raise SourceError(f"no file matches '{pattern}'; name a video file, a folder of images or another pattern")
    return _pictures(paths, paths[0].resolve().parent.name, pattern, rate, warn)


def open_image(path: Path, warn: Warn) -> Source:
    """A single image."""
    return _pictures([path], path.stem, str(path), None, warn)


def _pictures(paths: Sequence[Path], name: str, where: str, rate: float | None, warn: Warn) -> Source:
    ordered = sorted(paths, key=lambda path: natural_key(str(path)))
    fps = rate or DEFAULT_RATE

    def frames() -> Iterator[Frame]:
        for index, path in enumerate(ordered):
            try:
                image = read_image(path)
            except DAMAGED as error:
                warn(f"frame {index}, '{path}', cannot be read ({error}); it is left out")
                continue
            yield Frame(index, index / fps, image)

    return Source(name or "frames", where, fps, len(ordered), frames)
