"""Indexed masks as DAVIS has them: one PNG a frame, whose palette shows every object in a colour of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.tracker import Result


def davis_palette() -> list[int]:
    """The 256 colours of PASCAL VOC and DAVIS, r, g, b one after the other: bits of the id spread over the channels."""
    colours = []
    for number in range(256):
        for channel in range(3):
            bits = ((number >> (3 * place + channel) & 1) << (7 - place) for place in range(3))
            colours.append(sum(bits))
    return colours


def drawing_order(answers: Mapping[int, Result]) -> list[int]:
    """Object ids from the one that others cover to the one on top: the surest, and of equals the one given first."""
    ranks = {number: rank for rank, number in enumerate(answers)}
    return sorted(answers, key=lambda number: (answers[number].confidence, -ranks[number]))


def index_masks(answers: Mapping[int, Result]) -> NDArray[np.uint8]:
    """All objects in one image H x W: their ids, 0 is background. Where masks overlap, the surer object wins."""
    first = next(iter(answers.values()))
    ids = np.zeros(first.mask.shape, np.uint8)
    for number in drawing_order(answers):
        ids[answers[number].mask] = number
    return ids


class MaskFolder:
    """Writes `00000.png`, ..., named by the number of the frame, each in one go.

    Args:
        folder: where to; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.palette = davis_palette()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, frame: int, answers: Mapping[int, Result]) -> None:
        """Write the mask of one frame.

        Raises:
            OSError: it cannot be written.
        """
        image = Image.fromarray(index_masks(answers))
        image.putpalette(self.palette)
        path = self.folder / f"{frame:05d}.png"
        temporary = path.with_name(f".{path.name}.tmp")
        image.save(temporary, format="PNG")
        os.replace(temporary, path)
        self.count += 1
