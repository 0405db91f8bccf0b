"""The trained network: pure modules without state between calls."""

from tracker.network.model import DMBNet, QueryFeatures, Window

__all__ = ["DMBNet", "QueryFeatures", "Window"]
