"""Architectures: as text and back, refused where they are none, and what each model of the project has."""

from __future__ import annotations

import pytest
import torch

from tracker.checkpoints.weights import WEIGHTS_NAMES
from tracker.config import MODEL_CONFIGS, MODEL_NAMES, TrackerConfig
from tracker.network import ARCHITECTURES, Architecture, DMBNet


@pytest.mark.parametrize("architecture", [*ARCHITECTURES.values(), Architecture((1, 2, 3), 40, 24)])
def test_text_and_back(architecture: Architecture) -> None:
    assert Architecture.parse(architecture.text) == architecture


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resnet50",
        "blocks 0-1-1, values 8, decoder 8",
        "blocks 1-1-1, values 8, decoder 0",
        "blocks 1-1-999, values 8, decoder 8",
        "blocks 1-1-1, values 8, decoder 8, more",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Architecture.parse(text)


def test_every_model_has_its_architecture_configuration_and_file() -> None:
    for table in (ARCHITECTURES, MODEL_CONFIGS, WEIGHTS_NAMES):
        assert tuple(table) == MODEL_NAMES
    assert [ARCHITECTURES[name].model for name in MODEL_NAMES] == list(MODEL_NAMES)
    for name in MODEL_NAMES:
        crop = TrackerConfig.of(name).crop
        assert not any(side % 16 for side in (crop.size, crop.segment_size, crop.box_size))


@torch.no_grad()
def test_shapes_of_a_small_network() -> None:
    model = DMBNet(architecture=Architecture((1, 1, 1), 24, 8), position="concat").eval()
    image = torch.rand(1, 3, 64, 96)
    features = model.encode_query(image)
    assert features.query.shape == (1, 128, 4, 6) and features.value.shape == (1, 24, 4, 6)
    assert features.stride16.shape == (1, 1024, 4, 6), "what the correlation filter sees is the same in every network"
    keys, values = model.encode_memory(image, torch.rand(1, 1, 64, 96))
    assert keys.shape == (1, 24, 128) and values.shape == (1, 24, 24)
    features8, coarse = model.decode_coarse(features, keys, values, torch.zeros(1, 1, 4, 6))
    assert features8.shape == (1, 8, 8, 12) and coarse.shape == (1, 1, 64, 96)
