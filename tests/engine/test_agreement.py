"""The fast network's masks beside the plain one's in float32: the same crops, maps and memories, crop by crop."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from tests.conftest import CHECKOUT
from tracker.benchmarks.speed import PlainEngine
from tracker.checkpoints.weights import WEIGHTS_NAMES, load_weights
from tracker.config import TrackerConfig
from tracker.engine.engine import Engine
from tracker.metrics.masks import overlap
from tracker.network import QueryFeatures
from tracker.tracking.tracker import DMB
from vot_workspace.demo import SCRIPTS, render

LEAST_MEAN, LEAST = 0.97, 0.85  # overlap of all crops, of one; docs/BENCHMARKS.md has what real videos gave


class WitnessEngine(Engine):
    """Answers as `Engine` does in bfloat16, and asks a plain engine too, whose answers are only compared.

    The plain one gets the crop's pixels, the spatial map and the memory's rows of the fast one; it makes its own query
    features of them, in float32.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.model, precision="bfloat16")
        self.plain = PlainEngine(engine)
        self.overlaps: list[float] = []
        self._pixels: Tensor | None = None

    def encode_query(self, images: Tensor) -> QueryFeatures:
        self._pixels = images
        return super().encode_query(images)

    def segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        answer = super().segment(features, keys, values, spatial_map)
        assert self._pixels is not None
        query = self.plain.encode_query(self._pixels)
        plain = self.plain.segment(query, keys.float(), values.float(), spatial_map)
        self.overlaps.append(overlap(answer > 0.5, plain > 0.5))
        return answer


@pytest.mark.slow
@pytest.mark.parametrize("model", ["full", "compact"])
def test_the_fast_networks_masks_are_those_of_the_plain_one(model: str) -> None:
    network = load_weights(CHECKOUT / "weights" / WEIGHTS_NAMES[model])  # type: ignore[index]
    engine = WitnessEngine(Engine(network, precision="float32"))
    dmb = DMB(engine, TrackerConfig.of(model))  # type: ignore[arg-type]
    clip = list(render("cat", SCRIPTS["cat"], 8, (320, 240)))
    dmb.initialize(clip[0].image, clip[0].mask)
    for frame in clip[1:]:
        dmb.track(frame.image)
    assert len(engine.overlaps) >= len(clip) - 1
    assert np.mean(engine.overlaps) > LEAST_MEAN and min(engine.overlaps) > LEAST
