"""The copy for inference computes what the network does, with oneDNN's fused operators and without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tracker.network import DMBNet, QueryFeatures, Window, fused
from tracker.network.fused import FusedBottleneck, FusedConv, FusedResidualBlock, folded, fuse


@pytest.fixture(scope="module")
def model() -> DMBNet:
    """With batch norms that do something."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = DMBNet().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            size = module.num_features
            module.running_mean = 0.2 * torch.randn(size, generator=generator)
            module.running_var = 0.5 + torch.rand(size, generator=generator)
            module.weight.data = 0.5 + torch.rand(size, generator=generator)
            module.bias.data = 0.2 * torch.randn(size, generator=generator)
    return model


@pytest.fixture(params=["oneDNN", "usual"])
def operators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways of computing a convolution; oneDNN's where this machine has them."""
    if request.param == "usual":
        monkeypatch.setattr(fused, "onednn_fuses", lambda dtype: False)
    elif not fused.onednn_fuses(torch.float32):
        pytest.skip("this PyTorch has no fused operators")
    yield request.param


def frame(model: DMBNet, image: Tensor, mask: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Everything that one frame computes, as float32; the network takes `dtype`."""
    with torch.inference_mode():
        features = model.encode_query(image.to(dtype))
        keys, values = model.encode_memory(image.to(dtype), mask.to(dtype))
        spatial_map = torch.linspace(0, 1, features.query[0, 0].numel()).to(dtype).view_as(features.query[:1, :1])
        features8, coarse = model.decode_coarse(features, keys, values, spatial_map)
        fine = model.refine(features, features8, Window(2, 1, 4, 5))
    return [part.float() for part in (*features, keys, values, coarse, fine)]


def difference(one: Tensor, other: Tensor) -> float:
    """Mean difference, relative to the mean magnitude."""
    return float((one - other).abs().mean() / one.abs().mean())


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_the_copy_answers_as_the_network(model: DMBNet, operators: str, size: tuple[int, int]) -> None:
    image, mask = torch.randn(1, 3, *size), torch.rand(1, 1, *size)
    copy = fuse(model, torch.float32)
    for expected, found in zip(
        frame(model, image, mask, torch.float32), frame(copy, image, mask, torch.float32), strict=True
    ):
        assert found.shape == expected.shape
        assert difference(expected, found) < 1e-5


def test_half_precision_stays_near(model: DMBNet, operators: str) -> None:
    image, mask = torch.randn(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    copy = fuse(model, torch.bfloat16)
    for expected, found in zip(
        frame(model, image, mask, torch.float32), frame(copy, image, mask, torch.bfloat16), strict=True
    ):
        assert difference(expected, found) < 0.05


def test_every_convolution_is_swapped_and_nothing_of_the_original(model: DMBNet) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = fuse(model, torch.bfloat16)
    kinds = {type(module) for module in copy.modules()}
    assert {FusedConv, FusedBottleneck, FusedResidualBlock} <= kinds
    assert not {nn.Conv2d, nn.BatchNorm2d} & {type(module) for module in copy.decoder.modules()}
    assert nn.BatchNorm2d not in kinds
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert copy.image_mean.dtype == torch.float32


def test_stride_on_the_first_convolution_is_kept(operators: str) -> None:
    torch.manual_seed(3)
    model = DMBNet(stride_on="1x1", position="concat").eval()
    image, mask = torch.randn(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    pairs = zip(
        frame(model, image, mask, torch.float32), frame(fuse(model, torch.float32), image, mask, torch.float32),
        strict=True,
    )  # fmt: skip
    assert all(difference(*pair) < 1e-5 for pair in pairs)


def test_features_survive_the_decoder(model: DMBNet, operators: str) -> None:
    """Blocks overwrite their inputs; what the caller holds must not be among them."""
    copy = fuse(model, torch.float32)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        features = copy.encode_query(image)
        held = QueryFeatures(*(part.clone() for part in features))
        keys, values = copy.encode_memory(image, torch.ones(1, 1, 64, 64))
        first = copy.segment(features, keys, values, torch.zeros(1, 1, 4, 4))
        second = copy.segment(features, keys, values, torch.zeros(1, 1, 4, 4))
    assert all(torch.equal(*pair) for pair in zip(features, held, strict=True))
    assert torch.equal(first, second)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="call eval"):
        fuse(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), torch.float32)


def test_a_norm_without_statistics_is_refused() -> None:
    with pytest.raises(ValueError, match="without running statistics"):
        folded(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
