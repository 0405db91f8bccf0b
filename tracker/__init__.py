"""DMB: a segmentation-based visual tracker with a spatio-appearance memory network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.tracker import DMB, Result
    from tracker.weights import load_weights

__version__ = "0.1.0"
__all__ = ["DMB", "Result", "__version__", "load_weights"]


def __getattr__(name: str) -> object:
    # Importing torch takes seconds; `dmb --help` and the settings do without it.
    if name in ("DMB", "Result"):
        from tracker import tracker

        return getattr(tracker, name)
    if name == "load_weights":
        from tracker.weights import load_weights

        return load_weights
    raise AttributeError(f"module 'tracker' has no attribute '{name}'")
