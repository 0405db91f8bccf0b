"""DMB: a segmentation-based visual tracker with a spatio-appearance memory network."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.got10k import GOT10kTracker
    from tracker.state import StateFileError
    from tracker.tracker import DMB, Result
    from tracker.videos import track_videos
    from tracker.weights import load_weights

__version__ = "0.2.0"
__all__ = ["DMB", "GOT10kTracker", "Result", "StateFileError", "__version__", "load_weights", "track_videos"]

# public name -> its module
HOMES = {
    "DMB": "tracker.tracker",
    "GOT10kTracker": "tracker.got10k",
    "Result": "tracker.tracker",
    "StateFileError": "tracker.state",
    "load_weights": "tracker.weights",
    "track_videos": "tracker.videos",
}


def __getattr__(name: str) -> object:
    # Importing torch takes seconds; `dmb --help` and the settings do without it.
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    raise AttributeError(f"module 'tracker' has no attribute '{name}'")
