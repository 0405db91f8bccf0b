"""ResNet-50 up to stride 16, whole or with fewer blocks, in both conventions of where its strides sit.

Why our own: the original ResNet puts the stride of a stage on the first 1x1 convolution of its first block,
torchvision's (and with it the authors' release) on the 3x3 one. Weights of the one give silent nonsense in the
other, so the convention is an explicit argument, and checkpoints state it. Parameter names below each stage are
torchvision's.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from tracker.network.architecture import Architecture

StrideOn = Literal["1x1", "3x3"]
STRIDE_CONVENTIONS: tuple[StrideOn, ...] = ("1x1", "3x3")


class Bottleneck(nn.Module):
    """The 1x1 - 3x3 - 1x1 residual block (He et al. 2016)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, *, stride: int, stride_on: StrideOn) -> None:
        super().__init__()
        outputs = width * self.expansion
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map N x inputs x H x W to N x 4*width x H/stride x W/stride."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


def residual_stage(inputs: int, width: int, blocks: int, *, stride: int, stride_on: StrideOn) -> nn.Sequential:
    """One ResNet stage: `blocks` bottlenecks, the first of which carries the stride."""
    layers = [Bottleneck(inputs, width, stride=stride, stride_on=stride_on)]
    outputs = width * Bottleneck.expansion
    layers += [Bottleneck(outputs, width, stride=1, stride_on=stride_on) for _ in range(blocks - 1)]
    return nn.Sequential(*layers)


class Trunk(nn.Module):
    """Stem and three stages; the two encoders differ only in what they feed to the stem."""

    def __init__(self, *, stride_on: StrideOn, architecture: Architecture | None = None) -> None:
        super().__init__()
        blocks = (architecture or Architecture()).blocks
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.res2 = residual_stage(64, 64, blocks[0], stride=1, stride_on=stride_on)
        self.res3 = residual_stage(256, 128, blocks[1], stride=2, stride_on=stride_on)
        self.res4 = residual_stage(512, 256, blocks[2], stride=2, stride_on=stride_on)

    def pool(self, stem: Tensor) -> Tensor:
        """From the stem convolution N x 64 x H/2 x W/2 to the first stage's input N x 64 x H/4 x W/4."""
        return functional.max_pool2d(functional.relu(self.bn1(stem)), 3, stride=2, padding=1)

    def stages(self, stem: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run everything after the stem convolution.

        Args:
            stem: N x 64 x H/2 x W/2, the (summed) output of the stem convolutions.

        Returns:
            The features at stride 4 (256 channels), 8 (512) and 16 (1024).
        """
        stride4 = self.res2(self.pool(stem))
        stride8 = self.res3(stride4)
        stride16 = self.res4(stride8)
        return stride4, stride8, stride16
