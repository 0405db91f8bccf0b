"""The engine: devices and precision by name, and the window that is worth refining."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from tracker.checkpoints.weights import load_weights
from tracker.engine.engine import Engine, is_full, refinement_window, resolve_device, resolve_precision
from tracker.errors import DeviceError
from tracker.network import DMBNet, QueryFeatures, Window
from tracker.network.fused import FusedConv


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(DMBNet().eval().requires_grad_(False), precision="float32")


def test_devices_by_name() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:x", ""):
        with pytest.raises(DeviceError, match="use auto, cpu"):
            resolve_device(name)
    with pytest.raises(DeviceError, match="not available"):
        resolve_device("cuda:99")


def test_precision_by_name() -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("float32", cpu) is torch.float32
    assert resolve_precision("bfloat16", cpu) is torch.bfloat16
    assert resolve_precision("auto", cpu) in (torch.float32, torch.bfloat16)


def test_normalize_keeps_rgb_order(engine: Engine) -> None:
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 255
    values = engine.normalize(red)[0, :, 0, 0].tolist()
    assert values == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rel=1e-5)


def test_window_covers_what_is_possible_with_a_margin() -> None:
    probability = np.zeros((128, 128), np.float32)
    assert refinement_window(probability) is None
    probability[40:56, 64:72] = 0.5
    assert refinement_window(probability) == Window(2, 5, 8, 7)
    probability[0, 0] = probability[127, 127] = 1
    assert refinement_window(probability) == Window(0, 0, 16, 16)


def test_segment_is_a_probability_and_repeats_exactly(engine: Engine) -> None:
    crop = engine.normalize(np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8))
    features = engine.encode_query(crop)
    keys, values = engine.encode_memory(crop, np.ones((64, 64), np.float32))
    answers = [engine.segment(features, keys, values, np.zeros((4, 4), np.float32)) for _ in range(2)]
    assert answers[0].shape == (64, 64) and answers[0].dtype == np.float32
    assert ((answers[0] >= 0) & (answers[0] <= 1)).all()
    assert np.array_equal(*answers)


@pytest.mark.parametrize("coarse", [True, False])
def test_features_made_in_half_precision_are_segmented_in_float32(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, coarse: bool
) -> None:
    """As after the move from a full GPU to a CPU that has no bfloat16."""
    monkeypatch.setattr(engine.model, "coarse_prediction", coarse)
    crop = engine.normalize(np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8))
    query = Engine(engine.model, precision="bfloat16").encode_query(crop)
    assert query.query.dtype == torch.bfloat16
    keys, values = engine.encode_memory(crop, np.ones((64, 64), np.float32))
    zeros = np.zeros((4, 4), np.float32)
    half = engine.segment(QueryFeatures(*query), keys.bfloat16(), values.bfloat16(), zeros)
    whole = engine.segment(engine.encode_query(crop), keys, values, zeros)
    assert half.dtype == np.float32 and np.abs(half - whole).max() < 0.05


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_full_memory_is_recognized_by_its_words(error: Exception, full: bool) -> None:
    assert is_full(error) == full


def test_filter_features_do_not_depend_on_the_batch(engine: Engine) -> None:
    crops = engine.normalize(np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8))
    whole = engine.filter_features(crops)
    assert whole.shape == (3, 1024, 4, 4)
    assert torch.allclose(whole, torch.cat([engine.filter_features(crop) for crop in crops.split(1)]), atol=1e-4)


def test_parameters_are_held_once(weights_file: Path) -> None:
    """Once the copy that runs is made, nothing is left of the network that was read from a file."""
    engine = Engine(load_weights(weights_file), precision="bfloat16")
    given = [weakref.ref(tensor) for tensor in (*engine.model.parameters(), *engine.model.buffers())]
    architecture, position = engine.model.architecture, engine.model.position
    assert len(given) > 100 and all(reference() is not None for reference in given)
    assert {module.weight.dtype for module in engine.network.modules() if isinstance(module, FusedConv)} == {
        torch.bfloat16
    }
    gc.collect()
    assert not [reference for reference in given if reference() is not None]
    assert engine.model is engine.network
    assert (engine.model.architecture, engine.model.position) == (architecture, position)


def test_a_network_that_somebody_else_has_made_stays_as_it_was() -> None:
    torch.manual_seed(0)
    network = DMBNet().eval()  # with gradients, as in training
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    engine = Engine(network, precision="bfloat16")
    engine.encode_query(engine.normalize(np.zeros((1, 32, 32, 3), np.uint8)))
    assert engine.model is network and engine.network is not network
    assert all(parameter.requires_grad for parameter in network.parameters())
    after = network.state_dict()
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items()
    )
    storages = {parameter.data_ptr() for parameter in (*network.parameters(), *network.buffers())}
    assert not storages & {tensor.data_ptr() for tensor in (*engine.network.parameters(), *engine.network.buffers())}
