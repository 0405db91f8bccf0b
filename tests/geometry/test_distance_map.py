"""The distance map by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.geometry.distance_map import distance_map


def test_zero_at_the_center_and_the_release_value_in_the_corners() -> None:
    values = distance_map(24, (11.5, 11.5), 24)
    assert values.dtype == np.float32 and values.shape == (24, 24)
    assert values[0, 0] == pytest.approx(np.hypot(11.5, 11.5) / 24, rel=1e-6)
    assert values.max() == pytest.approx(0.678, abs=1e-3)  # 0.71 at the crop's very corner


def test_x_is_the_column() -> None:
    values = distance_map(8, (6.0, 1.0), 2.0)
    assert values[1, 6] == 0
    assert values[1, 2] == pytest.approx(2.0)
    assert values[5, 6] == pytest.approx(2.0)
