"""Freezes parts of the encoders, and runs what is frozen without gradients, as tracking computes it.

The front of an encoder that does not train is a third of a step's forward pass. Its copy for inference (batch norms
folded, activations and shortcuts fused, in half precision) computes the same, and nothing of it is kept for a backward
pass. What follows the front trains as ever.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy

import torch
from torch import Tensor, nn

from tracker.network import DMBNet
from tracker.network.backbone import Trunk
from tracker.network.encoders import MemoryEncoder, QueryEncoder
from tracker.network.fused import fuse

PARTS = ("conv1", "res2", "res3", "res4")  # of an encoder, in their order; the stem counts with all its convolutions


def part_of(name: str) -> str:
    """The part of an encoder that its submodule `name` belongs to; whatever is not a stage belongs to the stem."""
    return name if name in PARTS else PARTS[0]


def freeze(model: DMBNet, query_trained: Collection[str], memory_trained: Collection[str]) -> None:
    """Let only those parts of the encoders train that are named, and never the batch norms.

    Args:
        model: the network; whatever was frozen before is set anew.
        query_trained: `PARTS` of the query encoder.
        memory_trained: `PARTS` of the memory encoder.
    """
    model.requires_grad_(True)
    for encoder, trained in ((model.query_encoder, query_trained), (model.memory_encoder, memory_trained)):
        for name, part in encoder.named_children():
            part.requires_grad_(part_of(name) in trained)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.requires_grad_(False)


def frozen_parts(trunk: Trunk) -> int:
    """How many parts at an encoder's front have nothing to train."""
    children = trunk.named_children()
    training = {part_of(name) for name, child in children if any(one.requires_grad for one in child.parameters())}
    return next((number for number, part in enumerate(PARTS) if part in training), len(PARTS))


class Encoder:
    """An encoder whose frozen front is computed by a fused copy.

    No `nn.Module`: nothing saves, trains or exchanges the copy. It does not see what becomes of the encoder's numbers
    later; where another part is frozen, build another one.

    Args:
        trunk: the encoder as it is trained.
        dtype: the copy's precision, that of the training's arithmetic.
    """

    def __init__(self, trunk: QueryEncoder | MemoryEncoder, dtype: torch.dtype) -> None:
        self.trunk, self.dtype = trunk, dtype
        self.frozen = frozen_parts(trunk)
        self.front = fuse(deepcopy(trunk).eval(), dtype) if self.frozen else trunk

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Encode what the encoder's `forward` takes into features at strides 4, 8 and 16."""
        features = []
        if self.frozen:
            with torch.no_grad(), torch.autocast(inputs[0].device.type, enabled=False):
                x = self.front.pool(self.front.stem(*(part.to(self.dtype) for part in inputs)))
                for name in PARTS[1 : self.frozen]:
                    x = getattr(self.front, name)(x)
                    features.append(x)
        else:
            x = self.trunk.pool(self.trunk.stem(*inputs))
        for name in PARTS[max(1, self.frozen) :]:
            x = getattr(self.trunk, name)(x)
            features.append(x)
        return features
