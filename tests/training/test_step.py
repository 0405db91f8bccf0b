"""The step's windows: where the refined part of a prediction lies."""

from __future__ import annotations

import numpy as np
import torch

from tracker.training.step import cut, draw_windows


def test_windows_stay_inside_and_near_their_targets() -> None:
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 127, (50, 2))
    for (x, y), window in zip(centers, draw_windows(centers, 16, 0.6, rng), strict=True):
        assert 0 <= window.top <= 16 - window.height and 0 <= window.left <= 16 - window.width
        assert window.left * 8 <= x <= (window.left + window.width) * 8
        assert window.top * 8 <= y <= (window.top + window.height) * 8


def test_a_window_is_cut_from_every_grid_at_the_same_place() -> None:
    rng = np.random.default_rng(1)
    windows = draw_windows(np.array([[40.0, 90.0]], np.float32), 16, 0.5, rng)
    ramp = torch.arange(128.0).view(1, 1, 1, 128).expand(1, 1, 128, 128)
    coarse = ramp[..., ::8, ::8]
    fine, rough = cut(ramp, windows, 8), cut(coarse, windows, 1)
    assert fine.shape == (1, 1, 64, 64) and rough.shape == (1, 1, 8, 8)
    assert torch.equal(fine[..., ::8, ::8], rough)
