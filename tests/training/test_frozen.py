"""The frozen front of an encoder: the same features and losses, no gradients, and what follows it trains."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.training.test_synthesis import compose, drawer
from tracker.network import Architecture, DMBNet
from tracker.training.drawer import MaterialDrawer
from tracker.training.frozen import PARTS, Encoder, freeze, frozen_parts
from tracker.training.loop import build_optimizer
from tracker.training.plan import TrainingConfig
from tracker.training.step import StepConfig, TrainingStep
from tracker.training.synthesis import Batch, SynthesisConfig

__all__ = ["drawer"]  # the fixture


def network() -> DMBNet:
    """A small network whose batch norms do something, in training mode as in a run."""
    torch.manual_seed(0)
    model = DMBNet(architecture=Architecture((2, 2, 2), 8, 8))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.8, 1.2)  # type: ignore[union-attr]
            torch.nn.init.uniform_(module.weight, 0.6, 0.9)
    return model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def batch(drawer: MaterialDrawer) -> Batch:
    return compose(drawer, SynthesisConfig(size=64, frames=3, factor=(2.0, 3.0)), 2, seed=1)


@pytest.mark.parametrize("trained", [PARTS, ("res3", "res4"), ("res4",), ()])
def test_the_front_computes_the_same_and_what_follows_it_trains(trained: tuple[str, ...]) -> None:
    model = network()
    freeze(model, trained, trained)
    image, mask = torch.randn(2, 3, 64, 64), torch.rand(2, 1, 64, 64, requires_grad=True)
    for trunk, inputs in ((model.query_encoder, (image,)), (model.memory_encoder, (image, mask, 1.0 - mask))):
        assert frozen_parts(trunk) == len(PARTS) - len(trained)
        found = Encoder(trunk, torch.float32)(*inputs)
        for ours, theirs in zip(found, trunk.stages(trunk.stem(*inputs)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        assert [part.requires_grad for part in found] == [name in trained for name in PARTS[1:]]
        for early, late in pairwise(found):
            assert late.shape[-1] * 2 == early.shape[-1]


def test_a_part_that_trains_before_a_frozen_one_is_no_front() -> None:
    model = network()
    freeze(model, (), ("conv1", "res3"))
    assert frozen_parts(model.memory_encoder) == 0
    features = Encoder(model.memory_encoder, torch.float32)(torch.randn(1, 3, 64, 64), *torch.rand(2, 1, 1, 64, 64))
    features[2].sum().backward()
    assert model.memory_encoder.conv1_m.weight.grad is not None, "through res4, which stands still"
    assert model.memory_encoder.res4[0].conv1.weight.grad is None


def losses(model: DMBNet, batch: Batch, trained: tuple[str, ...], dtype: torch.dtype, *, front: bool) -> float:
    """The loss of a fixed batch, with gradients, by the front or as if everything trained.

    Args:
        model: the network.
        batch: the batch.
        trained: parts of the memory encoder that train.
        dtype: precision.
        front: whether what is frozen at the front is computed as such.
    """
    model.zero_grad()
    freeze(model, (), trained)
    step = TrainingStep(model, StepConfig(0.5, 0.6))
    if front:
        step.prepare(dtype)
    else:
        step.encode_query.frozen = step.encode_memory.frozen = 0
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = step(batch, np.random.default_rng(0))[0]
    loss.backward()
    return float(loss.detach())


def gradient(model: DMBNet, name: str) -> torch.Tensor:
    found = model.get_parameter(name).grad
    assert found is not None
    return found.clone()


DECODER, STEM = "decoder.refine4.conv_skip.weight", "memory_encoder.conv1.weight"
LAST = "memory_encoder.res4.1.conv2.weight"


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_the_loss_of_a_fixed_batch_and_its_gradients_are_the_same(
    batch: Batch, dtype: torch.dtype, within: float
) -> None:
    model = network()
    plain = losses(model, batch, PARTS, dtype, front=False)
    expected = [gradient(model, name) for name in (DECODER, STEM, LAST)]
    assert losses(model, batch, PARTS, dtype, front=True) == pytest.approx(plain, rel=within)
    for name, wanted in zip((DECODER, STEM, LAST), expected, strict=True):
        difference = (gradient(model, name) - wanted).norm() / wanted.norm()
        assert difference < (1e-3 if dtype == torch.float32 else 0.3), name


def test_through_a_frozen_front_a_remembered_prediction_teaches_the_last_stage_alone(batch: Batch) -> None:
    """The one difference with the memory encoder's front frozen: errors of the last frame do not teach the middle's."""
    model = network()
    plain = losses(model, batch, ("res4",), torch.float32, front=False)
    through = gradient(model, DECODER)
    assert losses(model, batch, ("res4",), torch.float32, front=True) == pytest.approx(plain, rel=1e-4)
    assert (gradient(model, DECODER) - through).norm() < 0.1 * through.norm()
    assert model.get_parameter(STEM).grad is None and gradient(model, LAST).abs().sum() > 0


def test_the_optimizer_computes_what_the_plain_one_does() -> None:
    """On weights in channels_last, whose gradients come in the same layout."""
    moved = []
    for fused in (True, False):
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(model, TrainingConfig(stages=(), rate=0.1))
        assert optimizer.defaults["fused"]
        optimizer.param_groups[0]["fused"] = fused
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)).square().mean().backward()
            optimizer.step()
        moved.append(model[0].weight.detach())
    torch.testing.assert_close(*moved, rtol=1e-5, atol=1e-6)
