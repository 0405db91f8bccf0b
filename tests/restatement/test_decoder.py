"""The decoder, the encoders' blocks and the layers they stand on against Sections III-B and III-D."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.restatement import network
from tests.restatement.comparison import assert_close
from tests.restatement.layers import Array, max_pool
from tests.restatement.layers import upsample as upsample_by_loops
from tracker.network import DMBNet, Window
from tracker.network.backbone import Bottleneck, StrideOn
from tracker.network.decoder import Decoder, upsample
from tracker.network.model import QueryFeatures, mask_logit

HEIGHT, WIDTH = 1, 2  # cells at stride 16; not square, so that rows and columns cannot be confused

PARTS = {  # the decoder's modules by the release's names
    "conv": "Decoder.convFM",
    "block.conv1": "Decoder.ResMM.conv1",
    "block.conv2": "Decoder.ResMM.conv2",
    "refine8.conv_skip": "Decoder.RF3.convFS",
    "refine8.block_skip.conv1": "Decoder.RF3.ResFS.conv1",
    "refine8.block_skip.conv2": "Decoder.RF3.ResFS.conv2",
    "refine8.block.conv1": "Decoder.RF3.ResMM.conv1",
    "refine8.block.conv2": "Decoder.RF3.ResMM.conv2",
    "refine4.conv_skip": "Decoder.RF2.convFS",
    "refine4.block_skip.conv1": "Decoder.RF2.ResFS.conv1",
    "refine4.block_skip.conv2": "Decoder.RF2.ResFS.conv2",
    "refine4.block.conv1": "Decoder.RF2.ResMM.conv1",
    "refine4.block.conv2": "Decoder.RF2.ResMM.conv2",
    "predict": "Decoder.pred2",
    "merge": "Decoder.merge",  # not of the release: there only where the map is concatenated
}


def randomize(module: nn.Module, seed: int) -> dict[str, Array]:
    """Draw all parameters and statistics, seeded, so that activations keep their size; returns them by name."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, tensor in module.state_dict().items():
        shape = tuple(tensor.shape)
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            values = rng.uniform(1e-3, 1.0, shape)  # so small that the norm's epsilon shows
        elif name.endswith("weight") and len(shape) == 1:
            values = rng.uniform(0.6, 1.4, shape)
        else:
            values = rng.standard_normal(shape) * (float(np.prod(shape[1:])) ** -0.5 if len(shape) > 1 else 0.3)
        arrays[name] = values
        tensor.copy_(torch.from_numpy(values))
    return arrays


def release_names(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The decoder's parameters by the release's names."""
    split = {name: name.rsplit(".", 1) for name in arrays}
    return {f"{PARTS[part]}.{kind}": arrays[name] for name, (part, kind) in split.items()}


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder().double()


@pytest.fixture(scope="module")
def parameters(decoder: Decoder) -> Mapping[str, Array]:
    return release_names(randomize(decoder, 0))


@pytest.fixture(scope="module")
def inputs() -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {
        "readout": rng.standard_normal((1024, HEIGHT, WIDTH)),
        "stride8": rng.standard_normal((512, 2 * HEIGHT, 2 * WIDTH)),
        "stride4": rng.standard_normal((256, 4 * HEIGHT, 4 * WIDTH)),
        "spatial_map": rng.uniform(0.2, 1.0, (1, HEIGHT, WIDTH)),
    }


@pytest.fixture(scope="module")
def features8(inputs: dict[str, Array], parameters: Mapping[str, Array]) -> Array:
    return network.decode_to_stride8(inputs["readout"], inputs["stride8"], inputs["spatial_map"], parameters)


def batch(array: Array) -> Tensor:
    return torch.from_numpy(array)[None]


@torch.no_grad()
def test_features_at_stride_8(
    decoder: Decoder, parameters: Mapping[str, Array], inputs: dict[str, Array], features8: Array
) -> None:
    found = decoder.features(*(batch(inputs[name]) for name in ("readout", "stride8", "spatial_map")))
    assert_close(found[0], features8)
    without = network.decode_to_stride8(inputs["readout"], inputs["stride8"], None, parameters)
    assert np.abs(without - features8).max() > 0.1, "the map would not be missed"
    # "none": the tracker hands over zeros
    found = decoder.features(batch(inputs["readout"]), batch(inputs["stride8"]), torch.zeros(1, 1, HEIGHT, WIDTH))
    assert_close(found[0], without)


@torch.no_grad()
def test_concatenated_map(inputs: dict[str, Array], parameters: Mapping[str, Array], features8: Array) -> None:
    decoder = Decoder("concat").double()
    start = {name: tensor.numpy().copy() for name, tensor in decoder.state_dict().items() if "merge" in name}
    readout, stride8, spatial_map = (inputs[name] for name in ("readout", "stride8", "spatial_map"))
    weights = release_names(randomize(decoder, 8))
    found = decoder.features(batch(readout), batch(stride8), batch(spatial_map))
    assert_close(found[0], network.decode_to_stride8(readout, stride8, spatial_map, weights, position="concat"))
    # before any training it adds
    weights = {**parameters, **release_names(start)}
    assert_close(network.decode_to_stride8(readout, stride8, spatial_map, weights, position="concat"), features8)


@torch.no_grad()
def test_logits_from_stride_4(
    decoder: Decoder, parameters: Mapping[str, Array], inputs: dict[str, Array], features8: Array
) -> None:
    found = decoder.refine(batch(inputs["stride4"]), batch(features8))
    assert_close(found[0], network.decode_to_stride4(features8, inputs["stride4"], parameters))


@torch.no_grad()
def test_logits_from_stride_8(decoder: Decoder, parameters: Mapping[str, Array], features8: Array) -> None:
    assert_close(decoder.coarse(batch(features8))[0], network.predict_coarse(features8, parameters))


@torch.no_grad()
def test_mask_is_the_second_softmax() -> None:
    logits = np.random.default_rng(2).normal(0.0, 2.0, (2, 3, 5))
    expected = network.mask_probability(logits)
    assert_close(torch.sigmoid(mask_logit(batch(logits)))[0, 0], expected)
    p = np.exp(logits[1]) / np.exp(logits).sum(0)
    assert_close(expected, p**2 / (p**2 + (1.0 - p) ** 2))


@torch.no_grad()
def test_window_is_refined_and_the_rest_stays_coarse() -> None:
    """The refinement sees the window alone: zeros, not features, surround it."""
    model = DMBNet(coarse_prediction=True).double().eval()
    weights = release_names(randomize(model.decoder, 3))
    rng = np.random.default_rng(4)
    shapes = {"query": (128, 1), "value": (512, 1), "stride4": (256, 4), "stride8": (512, 2), "stride16": (1024, 1)}
    query = network.Query(*(rng.standard_normal((c, 2 * s, s)) for c, s in shapes.values()))
    keys, values = [rng.standard_normal((128, 2, 1))], [rng.standard_normal((512, 2, 1))]
    spatial_map = rng.uniform(0.2, 1.0, (1, 2, 1))
    rows = [batch(array[0].reshape(len(array[0]), -1).T.copy()) for array in (keys, values)]
    features = QueryFeatures(*(batch(array) for array in query))
    found = model.segment(features, rows[0], rows[1], batch(spatial_map), Window(top=1, left=0, height=2, width=1))

    readout = network.read(query.query, query.value, keys, values)
    features8 = network.decode_to_stride8(readout, query.stride8, spatial_map, weights)
    expected = network.mask_probability(network.predict_coarse(features8, weights))
    fine = network.decode_to_stride4(features8[:, 1:3, 0:1], query.stride4[:, 2:6, 0:2], weights)
    expected[8:24, 0:8] = network.mask_probability(fine)
    assert_close(torch.sigmoid(found)[0, 0], expected)


@torch.no_grad()
@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
@pytest.mark.parametrize(("inputs", "width", "stride"), [(6, 4, 2), (6, 3, 1), (12, 3, 1)])
def test_bottleneck(stride_on: StrideOn, inputs: int, width: int, stride: int) -> None:
    block = Bottleneck(inputs, width, stride=stride, stride_on=stride_on).double().eval()
    parameters = {f"block.{name}": values for name, values in randomize(block, inputs).items()}
    x = np.random.default_rng(5).standard_normal((inputs, 4, 7))
    expected = network.bottleneck(x, parameters, "block", stride=stride, stride_on=stride_on)
    assert (expected > 0.0).mean() > 0.3
    assert_close(block(batch(x))[0], expected)
    if stride == 2:
        other = network.bottleneck(x, parameters, "block", stride=2, stride_on={"3x3": "1x1", "1x1": "3x3"}[stride_on])
        assert np.abs(other - expected).max() > 0.1


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_has_half_pixel_centers(factor: int) -> None:
    x = np.random.default_rng(6).standard_normal((2, 2, 3))
    assert_close(upsample(batch(x), factor)[0], upsample_by_loops(x, factor))


def test_pooling_by_loops_sees_nothing_outside() -> None:
    """On negative numbers zeros outside would win; checked here since the network pools behind a ReLU."""
    x = -1.0 - np.random.default_rng(7).random((2, 6, 4))
    assert_close(nn.functional.max_pool2d(batch(x), 3, stride=2, padding=1)[0], max_pool(x))
