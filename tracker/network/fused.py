"""A copy of the network for inference: batch norms folded into convolutions, activations and shortcuts fused.

The modules of `backbone`, `encoders` and `decoder` stay as they are trained; `fuse` swaps the ones that cost time for
the twins below, which compute the same. On a CPU the twins hand convolution, bias, shortcut and ReLU to oneDNN as one
operation on weights that were laid out for it once. PyTorch's own compiler calls the same operators, which need no
compiler on the user's machine. Where they are missing, PyTorch's usual ones do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tracker.network.backbone import Bottleneck, Trunk
from tracker.network.decoder import ResidualBlock
from tracker.network.encoders import MemoryEncoder

INPUT_CELLS = 32  # a side, of the input that oneDNN is told to expect

Size = tuple[int, ...]
Network = TypeVar("Network", bound=nn.Module)


class FusedConv(nn.Module):
    """A convolution with what follows it, in one operation where that is possible.

    Args:
        conv: the convolution; a batch norm after it is folded already.
        dtype: of its weights and of what it is given.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        weight = conv.weight.detach().to(dtype)
        # oneDNN's strided 1x1 convolutions are slow where the input is not of the size that was told it (`_lay_out`)
        self.step = conv.stride[0] if conv.kernel_size == (1, 1) else 1
        stride = (1, 1) if self.step > 1 else conv.stride
        self.geometry = cast(Size, conv.padding), stride, conv.dilation, conv.groups
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self._use(weight)

    def _use(self, weight: Tensor) -> None:
        # a stem's few channels gain nothing from another layout
        self.in_one = weight.device.type == "cpu" and weight.shape[1] >= 16 and onednn_fuses(weight.dtype)
        self.weight = (
            _lay_out(weight, *self.geometry) if self.in_one else weight.contiguous(memory_format=torch.channels_last)
        )

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickle, which do not know oneDNN's layout: with plain weights."""
        return vars(self) | {"weight": self.weight.to_dense() if self.in_one else self.weight}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._use(state["weight"])

    def forward(self, x: Tensor, *, relu: bool = False) -> Tensor:
        """Map N x inputs x H x W to N x outputs x H/stride x W/stride."""
        if self.step > 1:
            x = x[..., :: self.step, :: self.step].contiguous(memory_format=torch.channels_last)
        padding, stride, dilation, groups = self.geometry
        if self.in_one:
            then = "relu" if relu else "none"
            return cast(
                Tensor,
                torch.ops.mkldnn._convolution_pointwise(
                    x, self.weight, self.bias, padding, stride, dilation, groups, then, [], ""
                ),
            )
        y = functional.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        return y.relu_() if relu else y

    def add_to(self, shortcut: Tensor, x: Tensor, *, relu: bool = False) -> Tensor:
        """Add the convolved `x` to `shortcut`, in its place: the caller needs it no more. Without stride."""
        padding, stride, dilation, groups = self.geometry
        if self.in_one:
            then = "relu" if relu else None
            return cast(
                Tensor,
                torch.ops.mkldnn._convolution_pointwise_.binary(
                    shortcut, x, self.weight, self.bias, padding, stride, dilation, groups, "add", 1.0, then, [], ""
                ),
            )
        y = shortcut.add_(functional.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups))
        return y.relu_() if relu else y


def _lay_out(weight: Tensor, padding: Size, stride: Size, dilation: Size, groups: int) -> Tensor:
    """Bring weights into the layout that oneDNN computes with.

    It asks for the input's size; without it, it may take a layout that is several times as slow. For convolutions
    without stride any size from 8 cells a side does.
    """
    size = (1, weight.shape[1], INPUT_CELLS, INPUT_CELLS)
    reorder: Callable[..., Tensor] = torch._C._nn.mkldnn_reorder_conv2d_weight
    return reorder(weight.to_mkldnn(), padding, stride, dilation, groups, size)


@functools.cache
def onednn_fuses(dtype: torch.dtype) -> bool:
    """Whether this PyTorch, on this CPU, has the fused operators in a precision, and they answer as expected."""
    if not torch.backends.mkldnn.is_available():
        return False
    geometry = ((0, 0), (1, 1), (1, 1), 1)  # padding, stride, dilation, groups
    try:
        weight, bias = _lay_out(torch.ones(1, 1, 1, 1, dtype=dtype), *geometry), torch.ones(1, dtype=dtype)
        x = torch.full((1, 1, 2, 2), -3.0, dtype=dtype)
        lone = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *geometry, "relu", [], "")
        added = torch.ops.mkldnn._convolution_pointwise_.binary(
            torch.full_like(x, 5.0), x, weight, bias, *geometry, "add", 1.0, None, [], ""
        )
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool((lone == 0.0).all() and (added == 3.0).all())


class FusedBottleneck(nn.Module):
    """The twin of `Bottleneck`. Its input is overwritten where it is the shortcut."""

    def __init__(self, block: Bottleneck, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv1 = FusedConv(folded(block.conv1, block.bn1), dtype)
        self.conv2 = FusedConv(folded(block.conv2, block.bn2), dtype)
        self.conv3 = FusedConv(folded(block.conv3, block.bn3), dtype)
        self.downsample: FusedConv | None = None
        if block.downsample is not None:
            conv, norm = block.downsample
            self.downsample = FusedConv(folded(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm)), dtype)

    def forward(self, x: Tensor) -> Tensor:
        """As `Bottleneck.forward`."""
        y = self.conv2(self.conv1(x, relu=True), relu=True)
        return self.conv3.add_to(x if self.downsample is None else self.downsample(x), y, relu=True)


class FusedResidualBlock(nn.Module):
    """The twin of the decoder's `ResidualBlock`. Its input is overwritten."""

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv1, self.conv2 = FusedConv(block.conv1, dtype), FusedConv(block.conv2, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """As `ResidualBlock.forward`."""
        return self.conv2.add_to(x, self.conv1(functional.relu(x), relu=True))


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution that does what `conv` and then `norm`, in evaluation mode, do."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    result = deepcopy(conv)
    result.weight, result.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return result


def _fold_stem(trunk: Trunk) -> None:
    """Fold the stem's batch norm; the memory encoder's three stem convolutions are summed before it."""
    norm = trunk.bn1
    trunk.conv1 = folded(trunk.conv1, norm)
    if isinstance(trunk, MemoryEncoder):
        for name in ("conv1_m", "conv1_o"):
            conv = folded(getattr(trunk, name), norm)
            conv.bias = None  # the norm's shift counts once
            setattr(trunk, name, conv)
    trunk.bn1 = nn.Identity()  # type: ignore[assignment]


def fuse(model: Network, dtype: torch.dtype) -> Network:
    """Copy a network for inference in one precision, on the device where it is.

    The copy takes and gives tensors of `dtype`, except for `normalize`; it has no gradients, and does not see what
    becomes of the original's parameters later.

    Args:
        model: in evaluation mode.
        dtype: float32, bfloat16 or float16.

    Raises:
        ValueError: the network is in training mode, where batch norms cannot be folded.
    """
    if model.training:
        raise ValueError("the network is in training mode; call eval() first")
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    with torch.no_grad():
        network = deepcopy(model, shared)  # modules only: most parameters are replaced
        for trunk in [module for module in network.modules() if isinstance(module, Trunk)]:
            _fold_stem(trunk)
        _swap(network, dtype)
        for module in network.modules():  # what is left becomes a copy, too
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.to(dtype, copy=True), requires_grad=False))
            for name, buffer in list(module.named_buffers(recurse=False)):
                # pixel values need more than half precision's digits
                setattr(module, name, buffer.to(buffer.dtype if name.startswith("image_") else dtype, copy=True))
    return network


def _swap(module: nn.Module, dtype: torch.dtype) -> None:
    for name, child in module.named_children():
        if isinstance(child, Bottleneck):
            setattr(module, name, FusedBottleneck(child, dtype))
        elif isinstance(child, ResidualBlock):
            setattr(module, name, FusedResidualBlock(child, dtype))
        elif isinstance(child, nn.Conv2d):
            setattr(module, name, FusedConv(child, dtype))
        else:
            _swap(child, dtype)
