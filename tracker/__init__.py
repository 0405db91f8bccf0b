"""DMB: a segmentation-based visual tracker with a spatio-appearance memory network."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.api.got10k import GOT10kTracker
    from tracker.api.videos import track_videos
    from tracker.checkpoints.weights import load_weights
    from tracker.tracking.result import Result
    from tracker.tracking.state import StateFileError
    from tracker.tracking.tracker import DMB

__version__ = "0.2.0"
__all__ = ["DMB", "GOT10kTracker", "Result", "StateFileError", "__version__", "load_weights", "track_videos"]

# public name -> its module
HOMES = {
    "DMB": "tracker.tracking.tracker",
    "GOT10kTracker": "tracker.api.got10k",
    "Result": "tracker.tracking.result",
    "StateFileError": "tracker.tracking.state",
    "load_weights": "tracker.checkpoints.weights",
    "track_videos": "tracker.api.videos",
}


def __getattr__(name: str) -> object:
    # Importing torch takes seconds; `dmb --help` and the settings do without it.
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    raise AttributeError(f"module 'tracker' has no attribute '{name}'")
