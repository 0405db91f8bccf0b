"""Small annotated images as files, for the tests of the readers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (60, 80)  # height and width

# a palette whose brightnesses have nothing to do with its indices
PALETTE = [0, 0, 0, 200, 10, 10, 5, 190, 20, 9, 9, 90] + [120, 130, 140] * 252


def labels(*ids: int) -> np.ndarray:
    """A mask with one square of 20 x 20 pixels per id, from left to right."""
    mask = np.zeros(SIZE, np.uint8)
    for index, value in enumerate(ids):
        mask[10:30, 5 + 25 * index : 25 + 25 * index] = value
    return mask


def image(suffix: str = ".jpg", seed: int = 0) -> bytes:
    """An image file."""
    colors = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.imencode(suffix, cv2.resize(colors, SIZE[::-1]))[1].tobytes()


def gray_png(mask: np.ndarray) -> bytes:
    """A mask as an 8-bit gray PNG file."""
    return cv2.imencode(".png", mask)[1].tobytes()


def palette_png(mask: np.ndarray, bits: int = 8) -> bytes:
    """A mask as a PNG file with a palette."""
    indexed = Image.new("P", mask.shape[::-1])
    indexed.putdata(mask.ravel().tolist())
    indexed.putpalette(PALETTE[: 3 * min(256, 2**bits)])
    stream = io.BytesIO()
    indexed.save(stream, "PNG", bits=bits)
    return stream.getvalue()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their paths inside a folder; returns the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a tar file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path
