"""The network with random weights, and a decoder in its place that sees color."""

from __future__ import annotations

import pytest
import torch

from tests.tracking.scenes import ColorEngine
from tracker.network import DMBNet


@pytest.fixture(scope="module")
def model() -> DMBNet:
    torch.manual_seed(0)
    return DMBNet().eval().requires_grad_(False)


@pytest.fixture
def engine(model: DMBNet) -> ColorEngine:
    return ColorEngine(model, precision="float32")
