"""The material of a batch as a few arrays: made where the pictures are, unpacked where the network trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.training.recipes import Cut, Recipe, Still

NONE = -1  # index of a source that a sample does without


@dataclass(frozen=True)
class Packed:
    """K different sources and how the B samples of T frames use them."""

    images: Tensor  # K x S x S x 3, uint8
    masks: Tensor  # K x S x S, uint8: 1 target, 0 background, VOID ignored
    extents: NDArray[np.float32]  # K x 2: width and height that hold image
    centers: NDArray[np.float64]  # K x 2: x, y of the target
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


class Uses(NamedTuple):
    """Which sources some samples use: the last fields of `Packed`."""

    target: NDArray[np.int64]
    background: NDArray[np.int64]
    distractor: NDArray[np.int64]
    video: NDArray[np.bool_]


def sort_out(recipes: Sequence[Recipe]) -> tuple[list[Still], list[Cut], Uses]:
    """The different sources of some samples, stills first, and how the samples use them."""
    wanted: list[Still | Cut | None] = []
    for recipe in recipes:
        wanted += [*recipe.target, recipe.background, recipe.distractor]
    stills = list(dict.fromkeys(source for source in wanted if isinstance(source, Still)))
    cuts = list(dict.fromkeys(source for source in wanted if isinstance(source, Cut)))
    sources: list[Still | Cut] = [*stills, *cuts]
    index: dict[Still | Cut | None, int] = {None: NONE, **{source: place for place, source in enumerate(sources)}}
    uses = Uses(
        np.array([[index[source] for source in recipe.target] for recipe in recipes], np.int64),
        np.array([index[recipe.background] for recipe in recipes], np.int64),
        np.array([index[recipe.distractor] for recipe in recipes], np.int64),
        np.array([recipe.video for recipe in recipes]),
    )
    return stills, cuts, uses
