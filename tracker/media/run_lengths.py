"""Masks as COCO's run lengths: pixels column by column, runs of zeros and ones in turn, zeros first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OFFSET = 48  # character of the value 0
BITS = 5  # of a number in one character; the sixth says that more follow


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """The runs of a mask H x W bool, pixels; their sum is H * W. The first one is 0 where the first pixel is set."""
    pixels = mask.ravel(order="F")
    changes: NDArray[np.intp] = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs: list[int] = np.diff(changes, prepend=0, append=pixels.size).tolist()
    return [0, *runs] if pixels.size and pixels[0] else runs


def compressed(mask: NDArray[np.bool_]) -> str:
    """The runs of a mask H x W bool as COCO and MOTS write them in text: ASCII, without spaces.

    From the fourth run on, a run is the difference to the last one of its kind. A number is cut into groups of five
    bits, the lowest first, until what is left is the sign of the last group.
    """
    runs, text = run_lengths(mask), bytearray()
    for place, run in enumerate(runs):
        number = run - runs[place - 2] if place > 2 else run
        while True:
            group = number & 0x1F
            number >>= BITS
            if number == (-1 if group & 0x10 else 0):
                text.append(OFFSET + group)
                break
            text.append(OFFSET + (group | 0x20))
    return text.decode("ascii")
