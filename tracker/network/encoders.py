"""The query encoder and the memory encoder of the Appearance Memory Network (Section III-B)."""

from __future__ import annotations

from torch import Tensor, nn

from tracker.network.architecture import Architecture
from tracker.network.backbone import StrideOn, Trunk

KEY_CHANNELS = 128  # f/8 of eq. 2, f = 1024 (Section III-B)
FEATURE_CHANNELS = 1024  # f: the output of "Conv4_e", stride 16


class QueryEncoder(Trunk):
    """Image to features at three strides."""

    def stem(self, image: Tensor) -> Tensor:
        """The stem convolution of N x 3 x H x W (normalized): N x 64 x H/2 x W/2."""
        return self.conv1(image)  # type: ignore[no-any-return]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode N x 3 x H x W (normalized) into features at strides 4, 8 and 16."""
        return self.stages(self.stem(image))


class MemoryEncoder(Trunk):
    """Image with foreground and background mask to features at stride 16."""

    def __init__(self, *, stride_on: StrideOn, architecture: Architecture | None = None) -> None:
        super().__init__(stride_on=stride_on, architecture=architecture)
        self.conv1_m = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        self.conv1_o = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)

    def stem(self, image: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
        """The sum of the three stem convolutions N x 64 x H/2 x W/2; arguments as for `forward`."""
        return self.conv1(image) + self.conv1_m(foreground) + self.conv1_o(background)  # type: ignore[no-any-return]

    def forward(self, image: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
        """Encode an image and its two masks.

        The three stem convolutions are summed before the stem's batch norm (Section III-B, "Memory Encoder").

        Args:
            image: N x 3 x H x W, normalized.
            foreground: N x 1 x H x W, probability of the target.
            background: N x 1 x H x W, probability of everything else.

        Returns:
            N x 1024 x H/16 x W/16.
        """
        return self.stages(self.stem(image, foreground, background))[2]


class KeyValue(nn.Module):
    """Two convolutions that turn features into a key (or query) and a value (eqs. 1 and 2); V its channels."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        channels = (architecture or Architecture()).value_channels
        self.key = nn.Conv2d(FEATURE_CHANNELS, KEY_CHANNELS, 3, padding=1)
        self.value = nn.Conv2d(FEATURE_CHANNELS, channels, 3, padding=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map N x 1024 x h x w to a key N x 128 x h x w and a value N x V x h x w."""
        return self.key(features), self.value(features)
