"""The tracker itself on a short generated clip, with the real weights, on the device and in the arithmetic chosen."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tracker.doctor.finding import Finding, Surroundings, pip, told
from tracker.doctor.machine import settings_of

if TYPE_CHECKING:
    from tracker.tracking.tracker import DMB
    from vot_workspace.writer import Annotated

SEQUENCE, SIZE = "cat", (320, 240)  # of the demo; pixels
LENGTH, FRAMES = 45, 20  # frames of the sequence, and how many of them are tracked
LEAST_OVERLAP = 0.6  # weights that work reach about 0.9 here
NAME = "self test"


@dataclass(frozen=True)
class Measured:
    """What tracking a clip gave.

    Attributes:
        finite: boxes, polygons and confidences are finite, masks not empty.
        overlap: mean intersection over union of the masks with the true ones, without the first frame.
        milliseconds: median time of a frame, without the first.
    """

    finite: bool
    overlap: float
    milliseconds: float


def measure(dmb: DMB, clip: Sequence[Annotated]) -> Measured:
    """Track a clip, at least two frames, from its first mask."""
    import numpy as np

    from tracker.metrics.masks import overlap

    dmb.initialize(clip[0].image, clip[0].mask)
    finite, overlaps, times = True, [], []
    for frame in clip[1:]:
        start = time.perf_counter()
        result = dmb.track(frame.image)
        times.append(time.perf_counter() - start)
        numbers = np.concatenate([np.ravel(result.polygon), result.box, [result.confidence]])
        finite = finite and bool(np.isfinite(numbers).all() and result.mask.any())
        overlaps.append(overlap(result.mask, frame.mask))
    return Measured(finite, float(np.mean(overlaps)), 1000 * float(np.median(times)))


def judge(measured: Measured, how: str) -> Finding:
    """From numbers to a finding; `how` names device and arithmetic."""
    text = (
        f"{FRAMES} frames, mean overlap {measured.overlap:.2f}, {measured.milliseconds:.0f} ms per frame "
        f"({SIZE[0]} x {SIZE[1]} pixels, {how})"
    )
    if not measured.finite:
        text = f"answers that are not finite; try full precision: {text}"
        return Finding(NAME, "problem", text, "DMB_PRECISION=float32 dmb doctor")
    if not measured.overlap >= LEAST_OVERLAP:
        text = f"the target is not followed, although {LEAST_OVERLAP} is easy; are these the right weights? {text}"
        return Finding(NAME, "problem", text, "DMB_PRECISION=float32 DMB_DEVICE=cpu dmb doctor")
    return Finding(NAME, "ok", text)


def self_test(surroundings: Surroundings) -> Iterator[Finding]:
    """Track the clip, if the network can be loaded at all."""
    try:
        from tracker.api.loading import load_tracker
        from tracker.checkpoints.weights import WeightsError
        from tracker.errors import DeviceError
        from vot_workspace.demo import SCRIPTS, render
    except Exception as error:
        yield Finding(NAME, "note", f"was not made, something above is missing ({told(error)})")
        return
    try:
        dmb = load_tracker(settings_of(surroundings.environ))
    except (WeightsError, DeviceError) as error:
        yield Finding(NAME, "note", f"was not made, the network cannot be loaded: {error}")
        return
    try:
        clip = list(islice(render(SEQUENCE, SCRIPTS[SEQUENCE], LENGTH, SIZE), FRAMES))
    except (ImportError, OSError) as error:
        text = f"was not made, the clip's photographs are missing ({told(error)})"
        yield Finding(NAME, "problem", text, pip("--force-reinstall", "scikit-image"))
        return
    arithmetic = str(dmb.engine.dtype).removeprefix("torch.")
    yield judge(measure(dmb, clip), f"{dmb.engine.device}, {arithmetic}")
