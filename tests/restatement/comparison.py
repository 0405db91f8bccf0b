"""How the modules' numbers are compared with the restatement's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

TOLERANCE = 1e-5


def assert_close(actual: ArrayLike, expected: ArrayLike) -> None:
    """Equal shapes, and no difference above 1e-5 of the largest expected magnitude, which must not be zero."""
    found, wanted = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert found.shape == wanted.shape
    scale = np.abs(wanted).max()
    assert scale > 0.0 and np.isfinite(scale)
    error = np.abs(found - wanted).max()
    assert error <= TOLERANCE * scale, f"differs by {error:.2e} at a scale of {scale:.2e}"
