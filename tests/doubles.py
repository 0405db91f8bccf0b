"""Trackers without a network, and the real TraX process with one of them in it: `python -m tests.doubles`.

The environment variable DOUBLE picks the tracker.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.geometry.region import box_from_mask, parse_region, polygon_from_box
from tracker.settings import Settings
from tracker.trax_server import Model, main


@dataclass(frozen=True)
class Answer:
    """What a tracker answers; the fields of `tracker.tracking.tracker.Result` that TraX needs."""

    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64]
    box: tuple[float, float, float, float]
    confidence: float
    segmented: bool = False


class StillTracker:
    """Answers the first region forever; its confidence falls by a tenth per frame."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Answer:
        parsed = parse_region(region, image.shape[:2])
        polygon = polygon_from_box(parsed.box) if parsed.polygon is None else parsed.polygon
        box = parsed.box if parsed.kind == "box" else box_from_mask(parsed.to_mask(image.shape[:2]))
        self.answer = Answer(parsed.to_mask(image.shape[:2]), polygon, box, 1.0)
        return self.answer

    def track(self, image: NDArray[np.uint8]) -> Answer:
        assert self.answer is not None
        last = self.answer
        self.answer = Answer(last.mask, last.polygon, last.box, last.confidence - 0.1)
        return self.answer


class ColorTracker(StillTracker):
    """Tells what it sees: its box is mean red, mean green, mean blue + 1, height of the image."""

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Answer:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        answer = super().initialize(image, region, masks=masks)
        red, green, blue = (float(image[..., channel].mean()) for channel in range(3))
        return Answer(answer.mask, answer.polygon, (red, green, blue + 1, float(image.shape[0])), 0.5)


class BrokenTracker(StillTracker):
    """Has a bug."""

    def track(self, image: NDArray[np.uint8]) -> Answer:
        raise KeyError("no such thing")


class InfiniteTracker(StillTracker):
    """Answers what nobody can use."""

    def track(self, image: NDArray[np.uint8]) -> Answer:
        assert self.answer is not None
        nowhere = (float("nan"),) * 4
        return Answer(self.answer.mask, self.answer.polygon, nowhere, float("nan"))


TRACKERS: Mapping[str, Callable[[], StillTracker]] = {
    "still": StillTracker,
    "color": ColorTracker,
    "broken": BrokenTracker,
    "infinite": InfiniteTracker,
}


def load(settings: Settings) -> Model:
    """Stand in for loading weights."""
    name = os.environ.get("DOUBLE", "still")
    with contextlib.suppress(OSError):
        os.write(2, b"loading\n")
    if name == "missing":
        from tracker.checkpoints.weights import WeightsError  # torch comes with it: seconds

        raise WeightsError("no weights found; restore them")
    return Model(TRACKERS[name], f"the double '{name}'")


if __name__ == "__main__":
    sys.exit(main(load=load))
