"""A generated video, and a decoder that sees color: for tests of the tracker whose weights are random."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from tracker import DMB, Result
from tracker.config import (
    CropConfig,
    GateConfig,
    TrackerConfig,
)
from tracker.engine.engine import Engine
from tracker.network import QueryFeatures

# the rule that remembers every frame here; "paper" leaves out about half of them and has its own test
CONFIG = TrackerConfig(crop=CropConfig(size=128, segment_size=128, box_size=128), gate=GateConfig(rule="relative"))


class ColorEngine(Engine):
    """Segments by color: the target is red."""

    sees = True

    def encode_query(self, images: Tensor) -> QueryFeatures:
        image = self.model.image_std * images + self.model.image_mean  # type: ignore[operator]
        features = super().encode_query(images)
        self.encoded = [*getattr(self, "encoded", [])[-1:], (features, image)]  # two crops a frame at most
        return features

    def segment(self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: np.ndarray) -> np.ndarray:
        assert keys.shape[1] == values.shape[1] and keys.shape[1] % spatial_map.size == 0
        (image,) = (image for known, image in self.encoded if known is features)
        red = (image[0, 0] > 0.7) & (image[0, 1] < 0.35)
        return (red & self.sees).float().numpy() * np.float32(0.9)


def scene(x: float, y: float, angle: float = 20.0, width: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A red rotated rectangle with a dark stripe on a textured background, and its mask."""
    small = np.random.default_rng(0).integers(40, 160, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(small, (240, 180), interpolation=cv2.INTER_CUBIC)
    corners = np.round(cv2.boxPoints(((x, y), (width, width * 0.6), angle))).astype(np.int32)
    mask = np.zeros((180, 240), np.uint8)
    cv2.fillPoly(mask, [corners], 1)
    image[mask > 0] = (220, 20, 30)
    return image, mask > 0


PATH = [(80 + 5 * step, 70 + 3 * step, 20 + 2 * step) for step in range(8)]


def follow(dmb: DMB, region: object = None, *, masks: bool = True) -> list[Result]:
    first, mask = scene(*PATH[0])
    results = [dmb.initialize(first, mask if region is None else region, masks=masks)]
    return results + [dmb.track(scene(*place)[0]) for place in PATH[1:]]


POLYGON = cv2.boxPoints(((80, 70), (40, 24), 20))
