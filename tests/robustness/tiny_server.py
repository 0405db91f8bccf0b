"""DMB with the tiny network, for the TraX process."""

from __future__ import annotations

from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.settings import Settings
from tracker.trax_server import Model


def load(settings: Settings) -> Model:
    """Stand in for loading weights."""
    engine, config = tiny_engine(), settings.tracker_config(CONFIG)
    return Model(lambda: DMB(engine, config), "the tiny network")
