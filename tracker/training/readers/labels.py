"""Tells whether 255 in a sequence's masks is its one object (DAVIS 2016) or void (DAVIS 2017, YouTube-VOS)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tracker.data.masks import VOID
from tracker.training.data import DataError, Frame

LOOKED_AT = 5  # masks of a sequence, at most; the first one settles it unless it is empty or holds 255 alone
HALF = 0.5  # share of the brightest value from which on a black and white mask is the object


def with_label_kind(frames: list[Frame]) -> list[Frame]:
    """Mark the frames as black and white masks of one object where 255 is their masks' only id."""
    found: set[int] = set()
    for index in sorted(set(np.linspace(0, len(frames) - 1, LOOKED_AT).astype(int).tolist())):
        try:
            found |= set(np.unique(frames[index].ids()).tolist()) - {0}
        except DataError:
            continue  # is reported when it is drawn
        if found - {VOID}:
            return frames
    return [replace(frame, object_above=HALF) for frame in frames] if found else frames
