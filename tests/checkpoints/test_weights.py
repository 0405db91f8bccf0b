"""Weights: found in three places, verified, and refused with one sentence when they are wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tracker.checkpoints import weights
from tracker.checkpoints.weights import (
    WEIGHTS_NAME,
    WeightsError,
    find_weights,
    load_weights,
    read_weights,
    save_weights,
    weights_directories,
)
from tracker.network import ARCHITECTURES, Architecture, DMBNet


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(DMBNet(stride_on="3x3"), path, {"stage": "test"})
    return path


def test_round_trip_keeps_numbers_and_facts(file: Path) -> None:
    torch.manual_seed(0)
    original = DMBNet(stride_on="3x3").state_dict()
    model = load_weights(file)
    assert model.stride_on == "3x3"
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor.float(), original[name].float(), atol=1e-3), name
    _, metadata = read_weights(file)
    assert metadata["stage"] == "test"
    assert file.stat().st_size < 95e6


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, file: Path, number: float) -> None:
    tensors, metadata = weights.read_tensors(file)
    tensors["decoder.predict.bias"][0] = number
    path = tmp_path / "diverged.safetensors"
    weights.write_tensors(tensors, path, metadata)
    with pytest.raises(WeightsError, match=r"diverged.*predict\.bias that are infinite or not a number; use another"):
        load_weights(path)


def test_the_option_wins_over_the_environment_and_that_over_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, environment, checkout = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    checkout.mkdir()
    for path in (option, environment, checkout / weights.WEIGHTS_NAME):
        path.touch()
    monkeypatch.setattr(weights, "weights_directories", lambda: (checkout, tmp_path / "none"))
    assert find_weights(option, {"DMB_WEIGHTS": str(environment)}) == option
    assert find_weights(None, {"DMB_WEIGHTS": str(environment)}) == environment
    assert find_weights(None, {}) == checkout / weights.WEIGHTS_NAME
    (checkout / weights.WEIGHTS_NAME).unlink()
    with pytest.raises(WeightsError, match=r"option.*DMB_WEIGHTS.*dmb_r50\.safetensors"):
        find_weights(None, {})


def test_a_named_file_that_is_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors.*DMB_WEIGHTS"):
        find_weights(None, {"DMB_WEIGHTS": str(tmp_path / "gone.safetensors")})


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02}q\x00."])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.safetensors.*not a readable safetensors"):
        load_weights(path)


def test_a_truncated_file_is_refused(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"short\.safetensors"):
        load_weights(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "flipped.safetensors"
    content = bytearray(file.read_bytes())
    content[-5000] ^= 4
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"flipped\.safetensors.*damaged"):
        load_weights(path)


def test_safetensors_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"other\.safetensors.*not a DMB weights file"):
        load_weights(path)


def test_another_network_is_named_by_its_first_differences(tmp_path: Path, file: Path) -> None:
    tensors = load_file(file)
    tensors["extra"] = torch.zeros(1)
    del tensors["decoder.predict.bias"]
    tensors["decoder.predict.weight"] = torch.zeros(3)
    with pytest.raises(WeightsError, match=r"missing decoder\.predict\.bias.*unexpected extra.*\(3,\) instead"):
        weights.fill_model(DMBNet(), tensors, tmp_path / "x")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of another architecture than the paper's."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(DMBNet(architecture=Architecture((1, 1, 2), 32, 16)), path)
    return path


def test_a_file_states_its_architecture_and_becomes_that_network(file: Path, small: Path) -> None:
    model = load_weights(small)
    assert model.architecture == Architecture((1, 1, 2), 32, 16) and model.architecture.model == "compact"
    assert (len(model.query_encoder.res4), len(model.memory_encoder.res3)) == (2, 1)
    assert model.decoder.predict.weight.shape == (2, 16, 3, 3)
    assert model.memory_key_value.value.out_channels == 32
    assert read_weights(file)[1]["architecture"] == ARCHITECTURES["full"].text


def test_a_file_that_states_no_architecture_holds_the_papers(tmp_path: Path, file: Path) -> None:
    tensors, metadata = weights.read_tensors(file)
    del metadata["architecture"]
    weights.write_tensors(tensors, tmp_path / "older", metadata)
    assert load_weights(tmp_path / "older").architecture == ARCHITECTURES["full"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blocks 1-1-2, values 32, decoder 24", r"another network than one of blocks 1-1-2.*instead of \(24,"),
        ("blocks 1-1-1, values 32, decoder 16", r"unexpected memory_encoder\.res4\.1"),
        ("blocks 1-1-1, values 32, decoder 999999", r"states the architecture 'blocks.*not know; use a newer one"),
        ("transformer\x1b[2J", r"states the architecture 'transformer\\x1b\[2J'.*does not know"),
    ],
)
def test_a_wrong_architecture_is_one_sentence(tmp_path: Path, small: Path, text: str, words: str) -> None:
    tensors, metadata = weights.read_tensors(small)
    weights.write_tensors(tensors, tmp_path / "w", metadata | {"architecture": text})
    with pytest.raises(WeightsError, match=words) as caught:
        load_weights(tmp_path / "w")
    assert "\n" not in str(caught.value)


def test_a_model_is_its_own_file_and_a_named_file_must_be_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path, small: Path
) -> None:
    monkeypatch.setattr(weights, "weights_directories", lambda: (tmp_path, tmp_path / "none"))
    for name in weights.WEIGHTS_NAMES.values():
        (tmp_path / name).touch()
    assert find_weights(None, {"DMB_MODEL": "compact"}).name == "dmb_compact.safetensors"
    assert find_weights(None, {"DMB_MODEL": "compact"}, model="full").name == "dmb_r50.safetensors"
    assert find_weights(small, {}, model="compact") == find_weights(small, {}) == small
    assert find_weights(file, {"DMB_MODEL": "full"}) == file
    in_conflict = [(small, {}, "full"), (file, {"DMB_MODEL": "compact"}), (None, {"DMB_WEIGHTS": f"{file}"}, "compact")]
    for arguments in in_conflict:
        with pytest.raises(WeightsError, match=r"a (full|compact) network, and the (full|compact) model is asked for"):
            find_weights(*arguments)  # type: ignore[arg-type]
    (tmp_path / "dmb_compact.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"compact model has no weights here: '.*dmb_compact\.safetensors' does not"):
        load_weights(model="compact")


def test_saving_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.safetensors"
    path.write_bytes(b"old")

    def fail(*arguments: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(weights, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(DMBNet(), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["old.safetensors"]


def test_the_committed_weights_load_and_are_those_of_the_model_card() -> None:
    directory = weights_directories()[0]
    load_weights(directory / WEIGHTS_NAME)
    _, metadata = read_weights(directory / WEIGHTS_NAME)
    assert metadata["checksum"] in (directory / "MODEL_CARD.md").read_text()
