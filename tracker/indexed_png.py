"""Masks of object ids as indexed PNG files: the id is the pixel's value, the palette gives every object a colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.files import replacing

# colours of DAVIS's official masks: PASCAL VOC's, where 191 stands for its 192; object ids from 22 on are grey
COLOURS = (
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
    (64, 0, 0), (191, 0, 0), (64, 128, 0), (191, 128, 0), (64, 0, 128), (191, 0, 128), (64, 128, 128), (191, 128, 128),
    (0, 64, 0), (128, 64, 0), (0, 191, 0), (128, 191, 0), (0, 64, 128), (128, 64, 128),
)  # fmt: skip
PALETTE = bytes(value for colour in COLOURS for value in colour) + bytes(
    level for level in range(len(COLOURS), 256) for _ in range(3)
)


def write_ids(path: Path, ids: NDArray[np.uint8]) -> None:
    """Write object ids H x W as a PNG file with DAVIS's palette, in one go; raises OSError where that fails."""
    image = Image.fromarray(np.ascontiguousarray(ids, np.uint8))
    image.putpalette(PALETTE)  # turns a grey image into one of indices
    with replacing(path) as draft:
        image.save(draft, format="PNG")
