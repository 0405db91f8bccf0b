"""Masks as one polygon each that runs along the edges of pixels, and so holds exactly the same pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]  # x, y of the corner between four pixels; pixel 0, 0 lies between 0, 0 and 1, 1


def outline(mask: NDArray[np.bool_]) -> list[Corner]:
    """The polygon around a mask H x W bool, which is not empty.

    Several parts, and holes, are joined by lines that are walked there and back. They enclose nothing, so that the
    polygon holds the mask's pixels and no others, by the even-odd rule.

    Returns:
        At least four corners, x from 0 to W and y from 0 to H; the last one is joined with the first.
    """
    loops = _loops(mask)
    joined = list(loops[0])
    for loop in loops[1:]:
        joined += [loops[0][0], *loop, loop[0]]
    return joined


def _loops(mask: NDArray[np.bool_]) -> list[list[Corner]]:
    """Closed walks over all edges between the mask and its surroundings."""
    onward = _edges(mask)
    loops = []
    while onward:
        corner, walk = next(iter(onward)), []
        while corner in onward:  # as many edges end in a corner as begin there: a walk ends where it began
            walk.append(corner)
            ends = onward[corner]
            following = ends.pop()
            if not ends:
                del onward[corner]
            corner = following
        loops.append([one for place, one in enumerate(walk) if _turns(walk, place)])
    return loops


def _turns(walk: list[Corner], place: int) -> bool:
    before, after = walk[place - 1], walk[(place + 1) % len(walk)]
    return before[0] != after[0] and before[1] != after[1]


def _edges(mask: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """The ends of all edges by their beginning: each a pixel long, and with the mask on its right in the image."""
    onward: dict[Corner, list[Corner]] = {}
    signs = np.pad(mask, 1).astype(np.int8)
    down, right = np.diff(signs, axis=0)[:, 1:-1], np.diff(signs, axis=1)[1:-1]
    for y, x in np.argwhere(down).tolist():
        ends = ((x, y), (x + 1, y)) if down[y, x] > 0 else ((x + 1, y), (x, y))
        onward.setdefault(ends[0], []).append(ends[1])
    for y, x in np.argwhere(right).tolist():
        ends = ((x, y + 1), (x, y)) if right[y, x] > 0 else ((x, y), (x, y + 1))
        onward.setdefault(ends[0], []).append(ends[1])
    return onward
