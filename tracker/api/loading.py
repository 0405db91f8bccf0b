"""From settings to a tracker: finds the weights, loads them, chooses device, precision and threads.

Nothing heavy is imported before a tracker is wanted, so that commands can name these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.settings import Settings
    from tracker.tracking.tracker import DMB


def load_tracker(settings: Settings) -> DMB:
    """Make the tracker that `settings` ask for, with the usual configuration of the network that its weights hold.

    A number of threads counts for the whole process.

    Raises:
        WeightsError: no usable weights file.
        DeviceError: no such device.
    """
    import cv2
    import torch

    from tracker.checkpoints.weights import find_weights, load_weights
    from tracker.config import TrackerConfig
    from tracker.engine.engine import Engine, resolve_device
    from tracker.tracking.tracker import DMB

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
        cv2.setNumThreads(settings.threads)
    device = resolve_device(settings.device)
    weights = find_weights(settings.weights, model=settings.model)
    engine = Engine(load_weights(weights, device), precision=settings.precision, graphs=settings.graphs)
    return DMB(engine, settings.tracker_config(TrackerConfig.of(engine.model.architecture.model)))


def load_trackers(settings: Settings) -> Callable[[], DMB]:
    """As `load_tracker`; what is returned makes any number of trackers that share one engine."""
    dmb = load_tracker(settings)
    return partial(type(dmb), dmb.engine, dmb.config)
