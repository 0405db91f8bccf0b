"""From settings to an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from tracker.api.loading import load_tracker
from tracker.settings import Settings


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts back what the test changes."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.usefixtures("threads")
def test_threads_are_those_of_pytorch_and_of_opencv(weights_file: Path) -> None:
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    chosen = Settings(weights=str(weights_file), device="cpu", threads=1)
    load_tracker(chosen)
    assert torch.get_num_threads() == cv2.getNumThreads() == 1
