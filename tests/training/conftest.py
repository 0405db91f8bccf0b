"""Fixtures that the training's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tracker.network import DMBNet


@pytest.fixture(scope="session")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained ResNet-50 up to layer3, by torchvision's names."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    names = {"res2.": "layer1.", "res3.": "layer2.", "res4.": "layer3."}
    tensors = {}
    for name, tensor in DMBNet().query_encoder.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        if "num_batches" not in name:
            tensors[name] = tensor.contiguous()
    save_file(tensors, path)
    return path
