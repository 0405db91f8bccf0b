"""A network of a few thousand numbers with the interface of `DMBNet`, and a tracker around it.

It sees colors: features are random projections of mean colors, values hold the mask that was remembered, and the real
attention reads them. So a colored target is really tracked, by the real memories, gate,
filter and geometry, at about a hundredth of the real network's cost.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker import DMB
from tracker.config import AppearanceConfig, CropConfig, FilterConfig, TrackerConfig
from tracker.engine.engine import Engine
from tracker.network import Architecture, DMBNet, QueryFeatures
from tracker.network.model import IMAGE_MEAN, IMAGE_STD, STRIDE
from tracker.network.reader import read_memory, to_rows

CHANNELS = 16  # of the features at stride 16
SIDE = 64  # crop pixels
FINE = 4  # stride of queries, keys and values, pixels
SHARPNESS = 12.0  # of the attention: colors that differ do not answer for each other
# with four cells a side a region closer than the usual one would hold too little around the target
CONFIG = TrackerConfig(
    crop=CropConfig(size=SIDE, segment_factor=CropConfig.factor, segment_size=SIDE, box_size=SIDE),
    appearance=AppearanceConfig(max_frames=4),
    filter=FilterConfig(
        projection_channels=4, initial_gn_iterations=2, initial_cg_iterations=4, sample_capacity=40, upsampling=4
    ),
)


class TinyNet(nn.Module):
    """Stands in for `DMBNet`; its cells are as large, its channels few."""

    stride_on = "3x3"
    coarse_prediction = False
    position = "add"
    spatial_map = "distance"
    checksum = None  # from no weights file
    architecture = Architecture()  # so that the usual configuration is taken for its own

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.colors = nn.Parameter(torch.randn(CHANNELS, 3, generator=generator), requires_grad=False)
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("image_std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1))

    def normalize(self, image: Tensor) -> Tensor:
        """RGB N x 3 x S x S, 0 to 255, to the network's input."""
        return (image / 255.0 - self.image_mean) / self.image_std  # type: ignore[operator]

    def query_encoder(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at "strides" 4, 8 and 16; only the last are used."""
        cells = functional.avg_pool2d(image, STRIDE)
        features = torch.relu(torch.einsum("kc,nchw->nkhw", self.colors, cells))
        return features, features, features

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Queries and values on a grid of stride 4, and what the filter sees at stride 16."""
        color = functional.avg_pool2d(image, FINE)
        query = torch.cat([2.0 * SHARPNESS * color, torch.ones_like(color[:, :1])], dim=1)
        return QueryFeatures(query, color, color, color, self.query_encoder(image)[2])

    def encode_memory(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Keys, of which a query's product is highest for its own color, and the share of target as values."""
        color, share = functional.avg_pool2d(image, FINE), functional.avg_pool2d(mask, FINE)
        key = torch.cat([color, -SHARPNESS * (color**2).sum(1, keepdim=True)], dim=1)
        return to_rows(key), to_rows(share.expand(-1, 3, -1, -1))

    def segment(self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: Tensor) -> Tensor:
        """The mask's logit N x 1 x S x S: the share of target where the memory has the same color, less far off."""
        readout = read_memory(features.query, features.value, keys, values)[:, :1]
        far = functional.interpolate(spatial_map, size=readout.shape[-2:], mode="bilinear")
        return functional.interpolate(8.0 * (readout - 0.5) - far, scale_factor=FINE, mode="bilinear")


def tiny_engine() -> Engine:
    """An engine with the tiny network, in float32 on the CPU."""
    return Engine(cast(DMBNet, TinyNet().eval()), precision="float32")


def tiny_tracker(config: TrackerConfig = CONFIG) -> DMB:
    """A tracker with the tiny network."""
    return DMB(tiny_engine(), config)
