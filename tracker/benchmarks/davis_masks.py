"""Masks of object ids as PNG files, read from any tool that writes them; `tracker.indexed_png` writes them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.errors import UserError

DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # of Pillow, for damaged files


class DavisError(UserError):
    """DAVIS, masks to be scored, or a run's folder are not as they must be; the message says what to do."""


def decode_ids(data: bytes, where: str) -> NDArray[np.uint8]:
    """Decode a PNG file to object ids H x W.

    Palette images hold ids as their indices, grey ones as their values, black and white ones (1 bit) are 0 and 1.
    Colour images are understood where they show only greys, as a few labels of DAVIS 2016 do.

    Raises:
        DavisError: damaged, or no image of ids; the message names `where`.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode, values = image.mode, np.asarray(image)
    except DECODE_ERRORS as error:
        raise DavisError(f"mask '{where}' is damaged or no image; restore it") from error
    if mode in ("P", "L", "1"):
        return values.astype(np.uint8)
    colours = {"LA": 1, "RGB": 3, "RGBA": 3}.get(mode)
    if colours is None or np.any(values[..., :colours] != values[..., :1]):
        raise DavisError(f"mask '{where}' is a colour or 16-bit image; give object ids as palette or grey values")
    return np.asarray(values[..., 0], np.uint8)


def read_ids(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a mask of object ids H x W.

    Args:
        path: a PNG file.
        shape: H and W that it must have.

    Raises:
        DavisError: missing, damaged, no image of ids, or of another size.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DavisError(f"mask '{path}' is missing; give SEQUENCE/00000.png for every frame") from None
    except OSError as error:
        raise DavisError(f"mask '{path}' cannot be read ({error}); restore it") from error
    ids = decode_ids(data, str(path))
    if ids.shape != shape:
        found, wanted = (f"{size[1]} x {size[0]}" for size in (ids.shape, shape))
        raise DavisError(f"mask '{path}' has {found} pixels, its label has {wanted}; give masks of the label's size")
    return ids
