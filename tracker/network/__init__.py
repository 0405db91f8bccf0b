"""The trained network: pure modules without state between calls."""

from tracker.network.architecture import ARCHITECTURES, Architecture
from tracker.network.model import DMBNet, QueryFeatures, Window

__all__ = ["ARCHITECTURES", "Architecture", "DMBNet", "QueryFeatures", "Window"]
