"""Indexed masks as DAVIS has them: one PNG a frame, whose palette shows every object in a color of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tracker.data.masks import Ids, write_ids
from tracker.tracking.result import Result


def drawing_order(answers: Mapping[int, Result]) -> list[int]:
    """Object ids from the one that others cover to the one on top: the surest, and of equals the one given first."""
    ranks = {number: rank for rank, number in enumerate(answers)}
    return sorted(answers, key=lambda number: (answers[number].confidence, -ranks[number]))


def index_masks(answers: Mapping[int, Result], shape: tuple[int, int] | None = None) -> Ids:
    """All objects in one image H x W: their ids, 0 is background. Where masks overlap, the surer object wins.

    Args:
        answers: by object id.
        shape: H x W; needed where there may be no answer.
    """
    ids = np.zeros(next(iter(answers.values())).mask.shape if shape is None else shape, np.int32)
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
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, frame: int, answers: Mapping[int, Result], shape: tuple[int, int] | None = None) -> None:
        """Write the mask of one frame; the arguments are those of `index_masks`.

        Raises:
            OSError: it cannot be written.
        """
        write_ids(self.folder / f"{frame:05d}.png", index_masks(answers, shape))
        self.count += 1
