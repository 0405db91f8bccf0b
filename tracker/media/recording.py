"""What was tracked, frame by frame, without the pixels: what the writers of boxes and the HTML page work from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.tracking.result import Result


@dataclass(frozen=True)
class Moment:
    """One object in one frame.

    Attributes:
        frame: number of the frame in its source, from 0.
        seconds: time of the frame in its source.
        object_id: from 1, in the order in which the objects were given.
        polygon: 4 x 2, the rotated box: x, y of pixel centers, clockwise from top-left.
        box: x, y, w, h of the axis-aligned box.
        confidence: 0 (lost) to 1 (certain).
        segmented: the mask was segmented in this frame; otherwise it is the last one, moved.
        remembered: the frame went into the appearance memory.
        uncertainty: of the localization, as the quality gate judged it; None in the first frame.
        average: what the gate compared it with; None in the first frame.
        reason: the gate's decision in words; empty in the first frame.
        overlap: intersection over union with a known truth, 0 to 1; None where there is none.
    """

    frame: int
    seconds: float
    object_id: int
    polygon: NDArray[np.float64]
    box: tuple[float, float, float, float]
    confidence: float
    segmented: bool
    remembered: bool
    uncertainty: float | None
    average: float | None
    reason: str
    overlap: float | None = None


def moment(result: Result, frame: int, seconds: float, object_id: int = 1, overlap: float | None = None) -> Moment:
    """The record of one answer of the tracker; the arguments are those of `Moment`."""
    decision = result.decision
    return Moment(
        frame=frame,
        seconds=seconds,
        object_id=object_id,
        polygon=result.polygon,
        box=result.box,
        confidence=result.confidence,
        segmented=result.segmented,
        remembered=result.remembered,
        uncertainty=None if decision is None else decision.uncertainty,
        average=None if decision is None else decision.average,
        reason="" if decision is None else decision.reason,
        overlap=overlap,
    )
