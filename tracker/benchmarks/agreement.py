"""How well the fast network's masks agree with those of the plain one, on the same crops, maps and memories."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tracker.benchmarks.sequences import MaskSequence, SequenceError
from tracker.benchmarks.similarity import overlap
from tracker.benchmarks.speed import PlainEngine
from tracker.config import TrackerConfig
from tracker.engine import Engine
from tracker.geometry.region import box_from_mask
from tracker.network import QueryFeatures
from tracker.tracker import DMB


class WitnessEngine(Engine):
    """Answers as `Engine` does, and puts every question to a plain engine too, whose answers are only compared.

    The plain one gets the crop's pixels, the spatial map and the memory's rows of the fast one; it makes its own query
    features of them, in float32.

    Args:
        engine: whose network, device and precision are used.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.model)
        self.dtype = engine.dtype
        self.plain = PlainEngine(engine)
        self.overlaps: list[float] = []  # IoU of the two masks, of every crop that was segmented
        self._pixels: Tensor | None = None  # the crop whose query features were asked for last

    def encode_query(self, images: Tensor) -> QueryFeatures:
        """As `Engine.encode_query`."""
        self._pixels = images
        return super().encode_query(images)

    def segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As `Engine.segment`; the features are those of the last `encode_query`."""
        answer = super().segment(features, keys, values, spatial_map)
        if self._pixels is None:
            raise RuntimeError("segment was called before encode_query")
        query = self.plain.encode_query(self._pixels)
        plain = self.plain.segment(query, keys.float(), values.float(), spatial_map)
        self.overlaps.append(overlap(answer > 0.5, plain > 0.5))
        return answer


@dataclass(frozen=True)
class Agreement:
    """IoU of the fast and the plain masks of one sequence, crop by crop."""

    name: str
    overlaps: list[float]

    def line(self) -> str:
        """The numbers as text."""
        low = float(np.percentile(self.overlaps, 5))
        return (
            f"{self.name:24s} {len(self.overlaps)} crops, mean IoU {np.mean(self.overlaps):.4f}, "
            f"5% are below {low:.4f}, lowest {min(self.overlaps):.4f}"
        )


def pooled(parts: Iterable[Agreement]) -> Agreement:
    """All crops of all sequences."""
    return Agreement("all", [value for part in parts for value in part.overlaps])


def agree(
    engine: Engine, config: TrackerConfig, sequence: MaskSequence, *, from_box: bool, limit: int | None = None
) -> Agreement:
    """Track a sequence with the fast network, and compare.

    Args:
        engine: the fast network.
        config: the tracker's parameters.
        sequence: only its first mask is read.
        from_box: start from the first mask's bounding box instead of the mask.
        limit: most frames, at least 2; None for all.

    Raises:
        SequenceError: damaged, or without a target in the first frame.
    """
    witness = WitnessEngine(engine)
    tracker = DMB(witness, config)
    for index, frame in enumerate(sequence.frames(limit)):
        if index > 0:
            tracker.track(frame.image)
            continue
        if not frame.mask.any():
            raise SequenceError(f"the first mask of '{sequence.where}' is empty; there is nothing to track")
        tracker.initialize(frame.image, box_from_mask(frame.mask) if from_box else frame.mask)
    if not witness.overlaps:
        raise SequenceError(f"'{sequence.where}' has one frame only, which is not segmented; give one with more")
    return Agreement(sequence.name, witness.overlaps)
