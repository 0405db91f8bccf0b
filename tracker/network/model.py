"""The network as the tracker and the training see it: encode, remember, read, decode."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from tracker.network.architecture import Architecture
from tracker.network.backbone import StrideOn
from tracker.network.decoder import Decoder, Position
from tracker.network.encoders import KeyValue, MemoryEncoder, QueryEncoder
from tracker.network.reader import read_memory, to_rows

IMAGE_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in [0, 1] (torchvision)
IMAGE_STD = (0.229, 0.224, 0.225)
STRIDE = 16  # pixels per cell of the attention and filter grids
SpatialMap = Literal["distance", "response"]
SPATIAL_MAPS: tuple[SpatialMap, ...] = ("distance", "response")


class QueryFeatures(NamedTuple):
    """What one pass of the query encoder yields; h, w are H/16, W/16."""

    query: Tensor  # N x 128 x h x w, Q_t of eq. 2
    value: Tensor  # N x V x h x w, V_Q,t of eq. 2; V is 512 in the paper's network
    stride4: Tensor  # N x 256 x 4h x 4w
    stride8: Tensor  # N x 512 x 2h x 2w
    stride16: Tensor  # N x 1024 x h x w: x_t of eq. 6, what the correlation filter sees


class Window(NamedTuple):
    """A rectangle of the search region, in cells of stride 8."""

    top: int
    left: int
    height: int
    width: int

    @staticmethod
    def whole(features8: Tensor) -> Window:
        """The window that covers features N x C x 2h x 2w entirely."""
        return Window(0, 0, features8.shape[-2], features8.shape[-1])

    def slices(self, factor: int) -> tuple[slice, slice]:
        """Rows and columns of the window in a grid `factor` times as fine as stride 8."""
        top, left, height, width = (factor * value for value in self)
        return slice(top, top + height), slice(left, left + width)


def mask_logit(logits: Tensor) -> Tensor:
    """Turn two-channel logits N x 2 x H x W (background first) into the mask's logit N x 1 x H x W.

    The release aggregates the softmax p of the two channels once more, as p^2 / (p^2 + (1 - p)^2): the sigmoid of
    twice their difference.
    """
    return 2.0 * (logits[:, 1:2] - logits[:, 0:1])


class DMBNet(nn.Module):
    """All trained parameters of the tracker.

    Args:
        stride_on: where the ResNet stages carry their stride, "3x3" (torchvision, authors' release) or "1x1"
            (original ResNet).
        coarse_prediction: the decoder was trained to predict at stride 8 too; without it the whole region is
            refined.
        position: how the spatial map enters the decoder.
        spatial_map: what the decoder was trained to see as spatial map: the distance to the target's center, or the
            filter's response. The network is the same; the tracker must hand over the right one.
        architecture: its sizes; default: the paper's.
    """

    def __init__(
        self,
        *,
        stride_on: StrideOn = "1x1",
        coarse_prediction: bool = True,
        position: Position = "add",
        spatial_map: SpatialMap = "distance",
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.stride_on: StrideOn = stride_on
        self.coarse_prediction = coarse_prediction
        self.position: Position = position
        self.spatial_map: SpatialMap = spatial_map
        self.memory_encoder = MemoryEncoder(stride_on=stride_on, architecture=self.architecture)
        self.query_encoder = QueryEncoder(stride_on=stride_on, architecture=self.architecture)
        self.memory_key_value = KeyValue(self.architecture)
        self.query_key_value = KeyValue(self.architecture)
        self.decoder = Decoder(position, self.architecture)
        self.checksum: str | None = None  # of the weights file that all parameters are from
        # on a device of their own, since a network to be filled may be made on "meta"
        for name, numbers in (("image_mean", IMAGE_MEAN), ("image_std", IMAGE_STD)):
            self.register_buffer(name, torch.tensor(numbers, device="cpu").view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what is trained is no weights file's any more."""
        if mode:
            self.checksum = None
        return super().train(mode)

    def normalize(self, image: Tensor) -> Tensor:
        """Turn an RGB image N x 3 x H x W with values 0..255 into the encoders' input."""
        return (image / 255.0 - self.image_mean) / self.image_std  # type: ignore[operator]

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Encode a normalized image N x 3 x H x W; H and W are multiples of 16."""
        stride4, stride8, stride16 = self.query_encoder(image)
        query, value = self.query_key_value(stride16)
        return QueryFeatures(query, value, stride4, stride8, stride16)

    def encode_memory(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a normalized image N x 3 x H x W and its mask N x 1 x H x W in [0, 1].

        Returns:
            The key N x (h*w) x 128 and the value N x (h*w) x V as rows, ready to be read.
        """
        key, value = self.memory_key_value(self.memory_encoder(image, mask, 1.0 - mask))
        return to_rows(key), to_rows(value)

    def decode_coarse(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read the memory and decode up to stride 8.

        Args:
            features: one pass of `encode_query`.
            keys: N x M x 128, rows of all remembered frames.
            values: N x M x V.
            spatial_map: N x 1 x h x w.

        Returns:
            The decoder's features N x C x 2h x 2w, C the decoder's width, and the coarse mask's logit N x 1 x H x W.
        """
        readout = read_memory(features.query, features.value, keys, values)
        features8 = self.decoder.features(readout, features.stride8, spatial_map)
        return features8, mask_logit(self.decoder.coarse(features8))

    def refine(self, features: QueryFeatures, features8: Tensor, window: Window) -> Tensor:
        """Decode a window of the mask at stride 4.

        Returns:
            The mask's logit inside the window, N x 1 x 8*height x 8*width.
        """
        rows, columns = window.slices(1)
        rows4, columns4 = window.slices(2)
        skip4 = features.stride4[..., rows4, columns4]
        return mask_logit(self.decoder.refine(skip4, features8[..., rows, columns]))

    def segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: Tensor, window: Window | None = None
    ) -> Tensor:
        """Predict the mask of the whole region, refined inside `window` (default: everywhere).

        Arguments as for `decode_coarse`.

        Returns:
            The mask's logit N x 1 x H x W.
        """
        features8, coarse = self.decode_coarse(features, keys, values, spatial_map)
        if window is None or not self.coarse_prediction:
            return self.refine(features, features8, Window.whole(features8))
        rows, columns = window.slices(8)
        coarse[..., rows, columns] = self.refine(features, features8, window).to(coarse.dtype)
        return coarse
