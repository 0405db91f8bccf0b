"""Box2Seg on an engine whose answers are known."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from tracker.config import Box2SegConfig
from tracker.engine.engine import Engine
from tracker.network import QueryFeatures
from tracker.tracking.box2seg import pseudo_mask


class FixedEngine:
    """Answers a given probability and records what it was asked to remember."""

    def __init__(self, probability: np.ndarray) -> None:
        self.probability = probability
        self.remembered: list[np.ndarray] = []

    def encode_memory(self, image: torch.Tensor, mask: np.ndarray) -> tuple[str, str]:
        self.remembered.append(mask)
        return "key", "value"

    def segment(self, features: object, keys: str, values: str, spatial_map: np.ndarray) -> np.ndarray:
        assert (keys, values) == ("key", "value")
        return self.probability


def segmented(probability: np.ndarray, box: np.ndarray) -> np.ndarray:
    engine = FixedEngine(probability)
    image, features = torch.zeros(1, 3, 64, 64), cast(QueryFeatures, None)
    spatial_map = np.zeros((4, 4), np.float32)
    answer = pseudo_mask(cast(Engine, engine), image, features, box, spatial_map, Box2SegConfig())
    assert engine.remembered[0] is box
    return answer


def box() -> np.ndarray:
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 16:48] = 1
    return mask


def test_the_mask_is_cut_to_the_slightly_widened_box() -> None:
    answer = segmented(np.full((64, 64), 0.8, np.float32), box())
    assert answer[30, 30] == np.float32(0.8)
    assert answer[18, 30] == np.float32(0.8)  # dilated by a kernel of 5: two pixels on each side
    assert answer[17, 30] == 0 and answer[30, 50] == 0


def test_soft_values_stay_soft() -> None:
    probability = np.zeros((64, 64), np.float32)
    probability[22:38, 20:44] = 0.9
    probability[22, 20:44] = 0.3
    assert segmented(probability, box())[22, 30] == np.float32(0.3)


def test_a_mask_that_misses_the_box_is_not_believed() -> None:
    probability = np.zeros((64, 64), np.float32)
    probability[0:10, 0:10] = 1
    probability[25:27, 20:24] = 1
    assert np.array_equal(segmented(probability, box()), box())
