"""Reads an ImageNet ResNet-50 up to layer3, which a training starts from."""

from __future__ import annotations

import os

from safetensors import SafetensorError, safe_open
from torch import Tensor

from tracker.checkpoints.weights import WeightsError, shown
from tracker.network import DMBNet
from tracker.network.backbone import STRIDE_CONVENTIONS, StrideOn

UNSTATED_STRIDE: StrideOn = "1x1"  # of a trunk that says nothing: the original ResNet, as Keras has it


def _read_trunk(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], StrideOn]:
    """Tensors of a trunk, float32, and its stride convention."""
    try:
        with safe_open(os.fspath(path), framework="pt") as archive:
            tensors = {name: archive.get_tensor(name).float() for name in archive.keys()}  # noqa: SIM118
            stride_on = (archive.metadata() or {}).get("stride_on", UNSTATED_STRIDE)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"trunk '{path}' is not a readable safetensors file ({error}); name another one") from error
    if stride_on not in STRIDE_CONVENTIONS:
        raise WeightsError(
            f"trunk '{path}' states the stride convention {shown(stride_on)}, expected one of "
            f"{', '.join(STRIDE_CONVENTIONS)}; convert it again"
        )
    return tensors, stride_on


def trunk_stride(path: str | os.PathLike[str]) -> StrideOn:
    """The stride convention that a trunk states, "1x1" (original ResNet) where it states none.

    Raises:
        WeightsError: the file is missing or states another one.
    """
    return _read_trunk(path)[1]


def load_trunk(model: DMBNet, path: str | os.PathLike[str]) -> None:
    """Copy an ImageNet ResNet-50 (torchvision's names, stem to layer3) into both encoders.

    Raises:
        WeightsError: the file is missing, does not hold such a trunk, or has its strides elsewhere than the model.
    """
    tensors, stride_on = _read_trunk(path)
    if stride_on != model.stride_on:
        raise WeightsError(
            f"trunk '{path}' has its strides on the {stride_on} convolutions and the network on the "
            f"{model.stride_on} ones; build the network with the trunk's convention"
        )
    renamed = {}
    for name, tensor in tensors.items():
        for theirs, ours in (("layer1.", "res2."), ("layer2.", "res3."), ("layer3.", "res4.")):
            name = name.replace(theirs, ours)
        renamed[name] = tensor
    for encoder in (model.query_encoder, model.memory_encoder):
        for name, ours in encoder.state_dict().items():
            if name in renamed and renamed[name].shape != ours.shape:
                theirs = " x ".join(map(str, renamed[name].shape))
                raise WeightsError(
                    f"trunk '{path}' is not a ResNet-50 up to layer3 ({name} is {theirs}, expected "
                    f"{' x '.join(map(str, ours.shape))}); name a file with one"
                )
        missing, unexpected = encoder.load_state_dict(renamed, strict=False)
        missing = [
            name for name in missing if not name.startswith(("conv1_m", "conv1_o")) and "num_batches" not in name
        ]
        if missing or unexpected:
            first = (missing + unexpected)[0]
            raise WeightsError(
                f"trunk '{path}' is not a ResNet-50 up to layer3 (first mismatch: {first}); name a file with one"
            )
