"""The answer to one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.memory.quality import Decision
from tracker.tracking.localization import Point


@dataclass(frozen=True)
class Result:
    """The answer to one frame. Its arrays are read-only, since the next answers come from them: draw on a `copy()`.

    Attributes:
        mask: H x W bool, the target; never empty.
        polygon: 4 x 2, the rotated box around it, framed likewise: x, y of pixel centers, clockwise from top-left.
        box: x, y, w, h of the axis-aligned box of the mask; after a first box or polygon framed as that was, and
            where only boxes are wanted, steadied (`tracker.tracking.steadiness`).
        confidence: 0 (lost) to 1 (certain).
        frame_index: 0 for the first frame.
        segmented: the mask was segmented in this frame and believed; otherwise it is the last one, moved and scaled.
        decision: what the quality gate decided; None in the first frame.
        center: x, y where the target was expected: the filter's peak.
        remembered: this frame went into the appearance memory.
    """

    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64]
    box: tuple[float, float, float, float]
    confidence: float
    frame_index: int
    segmented: bool
    decision: Decision | None
    center: Point
    remembered: bool


def read_only(array: NDArray[Any]) -> Any:
    """A view that cannot be written to: the next answers are made from the array."""
    view = array.view()
    view.flags.writeable = False
    return view
