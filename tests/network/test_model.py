"""The network: shapes, the reader against a loop, the release's names, and the coarse-to-fine decoder."""

from __future__ import annotations

import math

import pytest
import torch

from tracker.checkpoints.weights import RELEASE_PREFIXES, release_name
from tracker.network import DMBNet, Window
from tracker.network.backbone import Bottleneck
from tracker.network.model import mask_logit
from tracker.network.reader import read_memory, to_rows


@pytest.fixture(scope="module")
def model() -> DMBNet:
    torch.manual_seed(0)
    return DMBNet().eval()


@torch.no_grad()
def test_shapes_of_one_frame(model: DMBNet) -> None:
    image = torch.rand(2, 3, 64, 96)
    features = model.encode_query(image)
    assert features.query.shape == (2, 128, 4, 6)
    assert features.value.shape == (2, 512, 4, 6)
    assert features.stride16.shape == (2, 1024, 4, 6)
    assert features.stride8.shape == (2, 512, 8, 12)
    assert features.stride4.shape == (2, 256, 16, 24)
    keys, values = model.encode_memory(image, torch.rand(2, 1, 64, 96))
    assert keys.shape == (2, 24, 128)
    assert values.shape == (2, 24, 512)
    assert model.segment(features, keys, values, torch.zeros(2, 1, 4, 6)).shape == (2, 1, 64, 96)


def test_reader_is_equations_3_to_5_written_as_loops() -> None:
    torch.manual_seed(1)
    query, query_value = torch.randn(1, 8, 2, 3, dtype=torch.float64), torch.randn(1, 5, 2, 3, dtype=torch.float64)
    keys = [torch.randn(1, 8, 2, 3, dtype=torch.float64) for _ in range(2)]
    values = [torch.randn(1, 5, 2, 3, dtype=torch.float64) for _ in range(2)]
    stacked_keys = torch.cat([to_rows(key) for key in keys], 1)
    stacked_values = torch.cat([to_rows(value) for value in values], 1)
    readout = read_memory(query, query_value, stacked_keys, stacked_values)
    for row in range(2):
        for column in range(3):
            q = query[0, :, row, column]
            weights, retrieved = [], []
            for key, value in zip(keys, values, strict=True):
                for r in range(2):
                    for c in range(3):
                        weights.append(math.exp(float(q @ key[0, :, r, c]) / math.sqrt(8)))
                        retrieved.append(value[0, :, r, c])
            expected = sum(w * v for w, v in zip(weights, retrieved, strict=True)) / sum(weights)
            assert torch.allclose(readout[0, :5, row, column], expected, atol=1e-10)
    assert torch.equal(readout[:, 5:], query_value)


def test_mask_logit_is_the_release_double_softmax() -> None:
    logits = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    p = logits.softmax(1)[:, 1:2]
    expected = p**2 / (p**2 + (1 - p) ** 2)
    assert torch.allclose(torch.sigmoid(mask_logit(logits)), expected, atol=1e-12)


@torch.no_grad()
def test_memory_encoder_sees_both_masks(model: DMBNet) -> None:
    image = torch.rand(1, 3, 32, 32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    plain = model.memory_encoder(image, mask, 1 - mask)
    assert not torch.allclose(plain, model.memory_encoder(image, mask, torch.zeros_like(mask)))
    assert not torch.allclose(plain, model.memory_encoder(image, torch.zeros_like(mask), 1 - mask))


@torch.no_grad()
def test_spatial_map_reaches_the_mask(model: DMBNet) -> None:
    image = torch.rand(1, 3, 64, 64)
    features = model.encode_query(image)
    keys, values = model.encode_memory(image, torch.ones(1, 1, 64, 64))
    near = model.segment(features, keys, values, torch.zeros(1, 1, 4, 4))
    far = model.segment(features, keys, values, torch.ones(1, 1, 4, 4))
    assert not torch.allclose(near, far)


@torch.no_grad()
def test_window_refines_inside_and_keeps_the_coarse_mask_outside(model: DMBNet) -> None:
    image = torch.rand(1, 3, 128, 128)
    features = model.encode_query(image)
    keys, values = model.encode_memory(image, torch.rand(1, 1, 128, 128))
    spatial_map = torch.zeros(1, 1, 8, 8)
    whole = model.segment(features, keys, values, spatial_map)
    _, coarse = model.decode_coarse(features, keys, values, spatial_map)
    windowed = model.segment(features, keys, values, spatial_map, Window(2, 3, 12, 10))
    inside = torch.zeros(128, 128, dtype=torch.bool)
    inside[16 : 16 + 96, 24 : 24 + 80] = True
    assert torch.equal(windowed[0, 0][~inside], coarse[0, 0][~inside])
    # away from the window's border, five 3x3 convolutions at stride 4 and the upsampling see the same inputs
    core = (slice(16 + 32, 16 + 96 - 32), slice(24 + 32, 24 + 80 - 32))
    assert torch.allclose(windowed[0, 0][core], whole[0, 0][core], atol=1e-4)
    assert not torch.allclose(windowed[0, 0][core], coarse[0, 0][core], atol=1e-4)


@pytest.mark.parametrize(("stride_on", "first", "second"), [("1x1", 2, 1), ("3x3", 1, 2)])
def test_stride_convention(stride_on: str, first: int, second: int) -> None:
    block = Bottleneck(8, 4, stride=2, stride_on=stride_on)  # type: ignore[arg-type]
    assert block.conv1.stride == (first, first)
    assert block.conv2.stride == (second, second)


def test_parameter_names_map_one_to_one_to_the_release() -> None:
    names = DMBNet().state_dict().keys()
    translated = {release_name(name) for name in names}
    assert len(translated) == len(names)
    for expected in (
        "Encoder_M.conv1_m.weight",
        "Encoder_M.conv1_o.weight",
        "Encoder_Q.res2.0.downsample.1.num_batches_tracked",
        "Encoder_Q.res4.5.conv3.weight",
        "KV_M_r4.Key.weight",
        "KV_Q_r4.Value.bias",
        "Decoder.convFM.weight",
        "Decoder.ResMM.conv2.bias",
        "Decoder.RF3.convFS.weight",
        "Decoder.RF3.ResFS.conv1.weight",
        "Decoder.RF2.ResMM.conv2.weight",
        "Decoder.pred2.weight",
    ):
        assert expected in translated
    assert all(name.startswith(tuple(RELEASE_PREFIXES.values())) for name in translated)
    assert not any("downsample" in name for name in translated if name.startswith("Decoder"))
