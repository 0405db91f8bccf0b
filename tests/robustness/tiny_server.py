"""DMB with the tiny network, and a double that tells what it sees, for the TraX process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.doubles import Answer, StillTracker
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.settings import Settings
from tracker.trax_server import Model


def load(settings: Settings) -> Model:
    """Stand in for loading weights."""
    engine, config = tiny_engine(), settings.tracker_config(CONFIG)
    return Model(lambda: DMB(engine, config), "the tiny network")


class SeeingTracker(StillTracker):
    """Answers a box as wide as the frame's mean is high, and a pixel more."""

    def track(self, image: NDArray[np.uint8]) -> Answer:
        last = super().track(image)
        return Answer(last.mask, last.polygon, (0.0, 0.0, float(image.mean()) + 1, 10.0), 0.5)


def load_seeing(settings: Settings) -> Model:
    """Stand in for loading weights."""
    return Model(SeeingTracker, "the seeing double")
