"""What a crop showed: the decoded mask, and what is needed to remember it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tracker.geometry.crop import Crop
from tracker.tracking.shape import Shape


@dataclass(frozen=True)
class View:
    """What one crop showed.

    Attributes:
        expected: x, y where the target was expected, image pixels.
        crop: the crop.
        pixels: its pixels, normalized, 1 x 3 x S x S.
        probability: the decoded mask S x S.
        shape: the target's shape in the image; None where there is too little of it.
        leaks: the mask went on where it was cut off, so that it may be that of a larger thing around the target.
    """

    expected: tuple[float, float]
    crop: Crop
    pixels: Tensor
    probability: NDArray[np.float32]
    shape: Shape | None
    leaks: bool

    @property
    def certainty(self) -> float:
        """Mean probability of the mask's pixels, 0.5 to 1; 0 without a shape."""
        if self.shape is None:
            return 0.0
        inside = self.probability > 0.5
        return float(self.probability[inside].mean()) if inside.any() else 0.5
