"""From settings to an engine: finds the weights, loads them, chooses device, precision and threads."""

from __future__ import annotations

from pathlib import Path

import cv2
import torch

from tracker.config import TrackerConfig
from tracker.engine import Engine, resolve_device
from tracker.settings import Settings
from tracker.weights import find_weights, load_weights


def build_engine(settings: Settings) -> tuple[Engine, Path]:
    """Load the network that `settings` ask for. A number of threads counts for the whole process.

    Returns:
        The engine, and the file its weights came from.

    Raises:
        WeightsError: no usable weights file.
        DeviceError: no such device.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
        cv2.setNumThreads(settings.threads)
    device = resolve_device(settings.device)
    weights = find_weights(settings.weights, model=settings.model)
    engine = Engine(load_weights(weights, device), precision=settings.precision, graphs=settings.graphs)
    return engine, weights


def build_config(settings: Settings, engine: Engine) -> TrackerConfig:
    """The usual configuration of the engine's network, with what `settings` choose."""
    return settings.tracker_config(TrackerConfig.of(engine.model.architecture.model))
