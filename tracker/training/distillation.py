"""A larger network teaches a smaller one its features: the filter and the memory find in them what they know."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tracker.checkpoints.weights import load_weights, read_weights
from tracker.network import DMBNet, QueryFeatures

# what the correlation filter, the attention and the decoder's skips see; values differ in size between architectures
IMITATED = ("stride16", "query", "stride8", "stride4")


def distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance of two features of one shape, relative to what is wanted: 0 equal, 1 as bad as zeros."""
    found, wanted = found.float(), wanted.float()
    return (found - wanted).square().mean() / wanted.square().mean().clamp(min=1e-6)


class Teacher:
    """A network that stands still; no `nn.Module`, so that nothing trains, saves or exchanges it with the pupil.

    Args:
        weights: its file.
        device: where the training runs.

    Raises:
        WeightsError: the file cannot be used.
    """

    def __init__(self, weights: Path, device: torch.device) -> None:
        self.checksum = read_weights(weights)[1]["checksum"]
        self.model: DMBNet = load_weights(weights, device)

    @torch.no_grad()
    def query(self, images: Tensor) -> QueryFeatures:
        """What it sees in normalized images N x 3 x H x W."""
        return self.model.encode_query(images)

    @torch.no_grad()
    def keys(self, images: Tensor, masks: Tensor) -> Tensor:
        """The keys N x (h*w) x 128 under which it remembers images N x 3 x H x W with masks N x 1 x H x W."""
        return self.model.encode_memory(images, masks)[0]

    def loss(self, features: QueryFeatures, images: Tensor, keys: Tensor, remembered: tuple[Tensor, Tensor]) -> Tensor:
        """How far the pupil is from it, as the mean of `distance` over features and keys.

        Args:
            features: the pupil's, of `images`.
            images: N x 3 x H x W, normalized.
            keys: the pupil's, of `remembered`.
            remembered: images M x 3 x H x W and masks M x 1 x H x W.
        """
        wanted = self.query(images)
        distances = [distance(getattr(features, name), getattr(wanted, name)) for name in IMITATED]
        distances.append(distance(keys, self.keys(*remembered)))
        return torch.stack(distances).mean()
