"""The decoder: from the read-out and the spatial map to the target's mask (Section III-D; STM, Oh et al. 2019)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.network.architecture import Architecture

Position = Literal["add", "concat"]
POSITIONS: tuple[Position, ...] = ("add", "concat")


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling with half-pixel centers."""
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """Pre-activation block with an identity shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x h x w to the same shape."""
        return x + self.conv2(functional.relu(self.conv1(functional.relu(x))))


class Refinement(nn.Module):
    """Doubles the resolution with the help of encoder features of that resolution; C is the decoder's width."""

    def __init__(self, skip_channels: int, width: int) -> None:
        super().__init__()
        self.conv_skip = nn.Conv2d(skip_channels, width, 3, padding=1)
        self.block_skip = ResidualBlock(width)
        self.block = ResidualBlock(width)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Fuse a skip N x K x 2h x 2w with coarse features N x C x h x w into N x C x 2h x 2w."""
        return self.block(self.block_skip(self.conv_skip(skip)) + upsample(coarse, 2))


class Decoder(nn.Module):
    """Read-out, skips and spatial map to two-channel logits, coarse first.

    Half of the network's arithmetic is the refinement at stride 4, and most of the search region is background. The
    decoder therefore predicts at stride 8 for the whole region (`coarse`), and `refine` repeats the last step
    for a window only, with the same prediction layer. Weights trained without the coarse prediction (the
    authors' release) refine the whole region.

    The spatial map is the positional encoding of Table VIII. "sum" there is `position="add"`: the one channel is added
    to all C channels of the stride-16 features, 256 in the paper's network. "cat" is "concat": it becomes one more
    channel, and a 1x1 convolution makes C of them again. That convolution starts as the addition, so that training can
    go on from weights that add.

    Args:
        position: how the spatial map enters.
        architecture: its `decoder_width` is C; default: the paper's.
    """

    def __init__(self, position: Position = "add", architecture: Architecture | None = None) -> None:
        super().__init__()
        architecture = architecture or Architecture()
        width = architecture.decoder_width
        self.merge: nn.Conv2d | None = None
        if position == "concat":
            self.merge = nn.Conv2d(width + 1, width, 1)
            with torch.no_grad():
                self.merge.weight[:, :, 0, 0] = torch.cat([torch.eye(width), torch.ones(width, 1)], dim=1)
                self.merge.bias.zero_()  # type: ignore[union-attr]
        self.conv = nn.Conv2d(2 * architecture.value_channels, width, 3, padding=1)
        self.block = ResidualBlock(width)
        self.refine8 = Refinement(512, width)
        self.refine4 = Refinement(256, width)
        self.predict = nn.Conv2d(width, 2, 3, padding=1)

    def features(self, readout: Tensor, skip8: Tensor, spatial_map: Tensor) -> Tensor:
        """Decode up to stride 8.

        Args:
            readout: N x 2V x h x w, eq. 5; V is 512 in the paper's network.
            skip8: N x 512 x 2h x 2w, query features at stride 8.
            spatial_map: N x 1 x h x w.

        Returns:
            N x C x 2h x 2w.
        """
        features16 = self.block(self.conv(readout))
        if self.merge is None:
            return self.refine8(skip8, features16 + spatial_map)
        return self.refine8(skip8, self.merge(torch.cat([features16, spatial_map.to(features16.dtype)], dim=1)))

    def coarse(self, features8: Tensor) -> Tensor:
        """Predict from stride 8: N x C x 2h x 2w to logits N x 2 x 16h x 16w, background first."""
        return upsample(self.predict(functional.relu(features8)), 8)

    def refine(self, skip4: Tensor, features8: Tensor) -> Tensor:
        """Predict from stride 4, for the whole region or a window of it.

        Args:
            skip4: N x 256 x 4h x 4w, query features at stride 4.
            features8: N x C x 2h x 2w, the same window.

        Returns:
            Logits N x 2 x 16h x 16w, background first.
        """
        return upsample(self.predict(functional.relu(self.refine4(skip4, features8))), 4)
