"""The material of a batch as a few arrays: made where the data are decoded, unpacked where the network trains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.training.sources import Material, Source

NONE = -1  # index of a source that a sample does without


@dataclass(frozen=True)
class Packed:
    """K different sources and how the B samples of T frames use them."""

    images: Tensor  # K x S x S x 3, uint8
    masks: Tensor  # K x S x S, uint8: 1 target, 0 background, VOID ignored
    extents: NDArray[np.float32]  # K x 2: width and height that hold image
    centres: NDArray[np.float64]  # K x 2: x, y of the target
    sizes: NDArray[np.float64]  # K: sqrt(w*h) of the target
    target: NDArray[np.int64]  # B x T, indices of sources
    background: NDArray[np.int64]  # B, or NONE
    distractor: NDArray[np.int64]  # B, or NONE
    video: NDArray[np.bool_]  # B

    def pin_memory(self) -> Packed:
        """Page-locked images, which upload while the network computes (called by DataLoader)."""
        return replace(self, images=self.images.pin_memory(), masks=self.masks.pin_memory())

    def to(self, device: torch.device) -> Packed:
        """The same with its images on `device`."""
        images, masks = self.images.to(device, non_blocking=True), self.masks.to(device, non_blocking=True)
        return replace(self, images=images, masks=masks)

    def take(self, sources: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Images N x 3 x S x S (float), masks N x 1 x S x S and extents N x 2 of the named sources (N)."""
        device = self.images.device
        rows = torch.from_numpy(sources).to(device)
        images = self.images[rows].permute(0, 3, 1, 2).float()
        return images, self.masks[rows].unsqueeze(1), torch.from_numpy(self.extents[sources]).to(device)


def pack(materials: list[Material]) -> Packed:
    """Collect the sources of some samples, each once."""
    sources: list[Source] = []
    known: dict[int, int] = {}

    def index_of(source: Source | None) -> int:
        if source is None:
            return NONE
        if id(source) not in known:
            known[id(source)] = len(sources)
            sources.append(source)
        return known[id(source)]

    target = np.array([[index_of(source) for source in material.target] for material in materials], np.int64)
    background = np.array([index_of(material.background) for material in materials], np.int64)
    distractor = np.array([index_of(material.distractor) for material in materials], np.int64)
    return Packed(
        images=torch.from_numpy(np.stack([source.image for source in sources])),
        masks=torch.from_numpy(np.stack([source.mask for source in sources])),
        extents=np.array([source.extent for source in sources], np.float32),
        centres=np.array([source.centre for source in sources], np.float64),
        sizes=np.array([source.size for source in sources], np.float64),
        target=target,
        background=background,
        distractor=distractor,
        video=np.array([material.video for material in materials]),
    )
