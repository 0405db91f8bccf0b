"""Checkpoints of other projects become ours number by number, and what cannot is refused in one sentence, unrun."""

from __future__ import annotations

import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tracker.checkpoints.conversion import Kind, convert, describe
from tracker.checkpoints.trunk import load_trunk, trunk_stride
from tracker.checkpoints.weights import WeightsError, load_weights, read_weights, release_name
from tracker.network import DMBNet
from tracker.network.backbone import Trunk


class Code:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict with numbers that tell every tensor from every other; batch norms included."""
    torch.manual_seed(1)
    return {
        name: tensor.clone() if "num_batches" in name else torch.rand(tensor.shape) + 0.1
        for name, tensor in state.items()
    }


def slim(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same names and shapes from one stored number each: a file of a few kilobytes."""
    return {name: torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}


@pytest.fixture(scope="module")
def network() -> DMBNet:
    model = DMBNet(stride_on="3x3", coarse_prediction=False)
    model.load_state_dict(filled(model.state_dict()))
    return model.eval()


@pytest.fixture(scope="module")
def release(network: DMBNet) -> dict[str, Tensor]:
    """The network in the release's names, with the buffers that its file has and nobody uses."""
    state = {release_name(name): tensor for name, tensor in network.state_dict().items()}
    assert sum("num_batches_tracked" in name for name in state) > 80
    for encoder in ("Encoder_M", "Encoder_Q"):
        state |= {f"{encoder}.mean": torch.zeros(1, 3, 1, 1), f"{encoder}.std": torch.ones(1, 3, 1, 1)}
    return state


@pytest.fixture(scope="module")
def resnet() -> dict[str, Tensor]:
    """A full ResNet-50 as torchvision names it."""
    names = {"res2.": "layer1.", "res3.": "layer2.", "res4.": "layer3."}
    state = filled(Trunk(stride_on="3x3").state_dict())
    state = {names.get(name[:5], name[:5]) + name[5:]: tensor for name, tensor in state.items()}
    return state | {"layer4.0.conv1.weight": torch.zeros(512, 1024, 1, 1), "fc.weight": torch.zeros(1000, 2048)}


def checkpoint(state: dict[str, Tensor], **facts: Any) -> dict[str, Any]:
    """What the release's training writes."""
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}
    facts = {"loss": 0.3, "minloss": 0.25, "optimizer": optimizer, "max_skip": [5]} | facts
    return {"epoch": 40, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, **facts}


def equal_in_half(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert {name for name in found if "num_batches" not in name} == {
        name for name in expected if "num_batches" not in name
    }
    for name, tensor in expected.items():
        if "num_batches" not in name:
            stored = tensor.half().float() if tensor.dim() > 1 else tensor
            torch.testing.assert_close(found[name].float(), stored, rtol=1e-3, atol=0.0, msg=name)


@pytest.mark.parametrize("form", ["release", "STM", "plain", "legacy"])
def test_a_release_comes_back_number_by_number(
    tmp_path: Path, network: DMBNet, release: dict[str, Tensor], form: str
) -> None:
    source, target = tmp_path / "source.pth.tar", tmp_path / "ours.safetensors"
    if form == "release":
        torch.save(checkpoint(release), source)
    else:
        prefix = "module." if form == "STM" else ""
        state = {prefix + name: tensor for name, tensor in release.items()}
        torch.save(state, source, _use_new_zipfile_serialization=form != "legacy")
    assert describe(source).kind is Kind.RELEASE
    written = convert(source, target)
    assert (written["stride_on"], written["coarse_prediction"]) == ("3x3", "no")
    assert written["source"] == "source.pth.tar"
    assert written.get("epoch") == ("40" if form == "release" else None)
    tensors, metadata = read_weights(target)
    assert metadata == written
    equal_in_half(tensors, network.state_dict())
    if form == "release":
        model = load_weights(target)
        assert model.stride_on == "3x3" and not model.coarse_prediction
        assert model.query_encoder.res3[0].conv2.stride == (2, 2)
        found = describe(target)
        assert (found.kind, found.verified, found.complaint) == (Kind.DMB, True, "")
        assert found.parts["query_encoder"] == sum(part.numel() for part in network.query_encoder.parameters())
        assert sum(found.parts.values()) == sum(part.numel() for part in network.parameters())


def test_a_torchvision_resnet_becomes_a_trunk(tmp_path: Path, resnet: dict[str, Tensor]) -> None:
    source, target = tmp_path / "resnet50.pth", tmp_path / "trunk.safetensors"
    torch.save(resnet, source)
    assert describe(source).kind is Kind.RESNET
    written = convert(source, target)
    assert written["stride_on"] == "3x3"
    expected = {name: tensor for name, tensor in resnet.items() if not name.startswith(("layer4", "fc"))}
    equal_in_half(load_file(target), expected)
    assert trunk_stride(target) == "3x3"
    model = DMBNet(stride_on="3x3")
    load_trunk(model, target)
    for encoder in (model.query_encoder, model.memory_encoder):
        torch.testing.assert_close(encoder.res4[5].bn2.running_var, resnet["layer3.5.bn2.running_var"])
    with pytest.raises(WeightsError, match=r"trunk\.safetensors.*3x3.*1x1"):
        load_trunk(DMBNet(stride_on="1x1"), target)
    twice = {name: torch.cat([tensor, tensor]) for name, tensor in load_file(target).items() if tensor.dim()}
    save_file(twice, tmp_path / "wide.safetensors", {"stride_on": "3x3"})
    with pytest.raises(WeightsError, match=r"wide\.safetensors' is not a ResNet-50.* is 128.*expected 64.*; name a"):
        load_trunk(model, tmp_path / "wide.safetensors")
    found = describe(target)
    assert (found.kind, found.stride_on, found.verified, found.complaint) == (Kind.TRUNK, "3x3", True, "")


def test_a_trunk_that_says_nothing_is_taken_as_the_original_resnet(tmp_path: Path, resnet: dict[str, Tensor]) -> None:
    path = tmp_path / "trunk.safetensors"
    state = {name: tensor for name, tensor in resnet.items() if not name.startswith(("layer4", "fc"))}
    state = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    save_file(state, path, metadata={"stride": "on the first convolution"})
    assert trunk_stride(path) == "1x1"
    found = describe(path)
    assert (found.kind, found.stride_on, found.verified, found.complaint) == (Kind.TRUNK, "1x1", None, "")
    save_file(state, path, metadata={"stride_on": "2x2"})
    with pytest.raises(WeightsError, match="2x2"):
        trunk_stride(path)
    assert "2x2" in describe(path).complaint


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, release: dict[str, Tensor], zipped: bool) -> None:
    source, mark = tmp_path / "evil.pth", tmp_path / "mark"
    torch.save(checkpoint(slim(release), loss=Code(mark)), source, _use_new_zipfile_serialization=zipped)
    for attempt in (lambda: convert(source, tmp_path / "out.safetensors"), lambda: describe(source)):
        with pytest.raises(WeightsError, match=r"evil\.pth.*'\w+\.system'.*not run"):
            attempt()
    assert not mark.exists()
    assert os.listdir(tmp_path) == ["evil.pth"]
    torch.load(source, weights_only=False)  # a pickle that would have run
    assert mark.exists()


def test_differences_are_listed_in_the_names_of_the_file(tmp_path: Path, release: dict[str, Tensor]) -> None:
    state = slim(release)
    del state["KV_M_r4.Key.bias"]
    state["Decoder.extra.weight"] = torch.zeros(1)
    state["Decoder.pred2.weight"] = torch.zeros(3)
    state["Decoder.pred2.bias"] = torch.zeros(2, dtype=torch.int64)
    source = tmp_path / "other.pth"
    torch.save(state, source)
    pattern = (
        r"other\.pth.*missing KV_M_r4\.Key\.bias.*unexpected Decoder\.extra\.weight.*"
        r"Decoder\.pred2\.weight is \(3,\) instead of \(2, 256, 3, 3\).*Decoder\.pred2\.bias holds no plain numbers"
    )
    with pytest.raises(WeightsError, match=pattern):
        convert(source, tmp_path / "out.safetensors")
    assert re.search(pattern, describe(source).complaint)
    assert os.listdir(tmp_path) == ["other.pth"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"layer1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}, r"layer1\.0\.conv1\.weight is \(64, 64, 3, 3\)"),
        ({"layer3.6.conv1.weight": torch.zeros(256, 1024, 1, 1)}, r"unexpected layer3\.6\.conv1"),
        ({"layer4.0.conv1.weight": None}, "without layer4"),
        ({"bn1.running_mean": None}, r"missing bn1\.running_mean"),
        ({"conv1.weight": None}, r"neither DMB, STM nor"),
    ],
    ids=["ResNet-18", "ResNet-101", "cut", "no statistics", "no stem"],
)
def test_another_resnet_is_refused(
    tmp_path: Path, resnet: dict[str, Tensor], change: dict[str, Tensor | None], reason: str
) -> None:
    state = {name: tensor for name, tensor in (slim(resnet) | change).items() if tensor is not None}
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=rf"resnet\.pth.*{reason}"):
        convert(tmp_path / "resnet.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize("number", [float("nan"), 1e5])
def test_numbers_that_half_precision_cannot_hold_are_refused(
    tmp_path: Path, resnet: dict[str, Tensor], number: float
) -> None:
    state = slim(resnet) | {"layer2.0.conv1.weight": torch.full((128, 256, 1, 1), number)}
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=r"layer2\.0\.conv1\.weight"):
        convert(tmp_path / "resnet.pth", tmp_path / "out.safetensors")
    assert os.listdir(tmp_path) == ["resnet.pth"]


def small(path: Path) -> bytes:
    torch.save({"x": torch.arange(5000.0)}, path)
    return path.read_bytes()


def flipped(path: Path) -> None:
    content = bytearray(small(path))
    content[content.index(torch.arange(9.0).numpy().tobytes()) + 100] ^= 1
    path.write_bytes(content)


def archived(path: Path) -> None:
    small(path.with_name("inner"))
    with tarfile.open(path, "w") as archive:
        archive.add(path.with_name("inner"), "inner.pth")


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version", "code/x.py"):
            archive.writestr(f"net/{name}", "3")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "cannot be read"),
        (Path.mkdir, "is a folder"),
        (Path.touch, "is empty"),
        (lambda path: path.write_bytes(b"no weights at all, only text"), "safely"),
        (lambda path: path.write_bytes(small(path)[:-300]), "truncated"),
        (lambda path: path.write_bytes(small(path)[:3]), "safely"),
        (flipped, "damaged at its entry"),
        (archived, "unpack it"),
        (other_zip, "safely"),
        (lambda path: path.write_bytes(pickle.dumps({"x": 1})), "safely"),
        (lambda path: torch.save([1, 2], path), "list and no state_dict"),
        (lambda path: torch.save({"model": {"x": torch.zeros(1)}, "step": 3}, path), "it has model, step"),
        (lambda path: torch.save({"state_dict": {}}, path), "no state_dict"),
        (lambda path: torch.save({3: torch.zeros(1)}, path), "no state_dict"),
        (lambda path: torch.save({"weight": torch.zeros(1)}, path), "its names: weight"),
        (lambda path: torch.save(torch.nn.Linear(1, 1), path), r"'torch\.nn\.modules\.linear\.Linear'"),
        (script, "TorchScript"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    source = tmp_path / "odd.pth"
    make(source)
    for attempt in (lambda: convert(source, tmp_path / "out.safetensors"), lambda: describe(source)):
        with pytest.raises(WeightsError, match=rf"odd\.pth.*{reason}") as caught:
            attempt()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(source))
    assert not (tmp_path / "out.safetensors").exists()


def test_safetensors_are_not_converted_again(tmp_path: Path, weights_file: Path) -> None:
    with pytest.raises(WeightsError, match=r"safetensors file already \(DMB weights\); use it as it is"):
        convert(weights_file, tmp_path / "out")
    other = tmp_path / "renamed.pth"
    save_file({"x": torch.zeros(2)}, other)
    with pytest.raises(WeightsError, match=r"safetensors file already \(unknown.*torch\.save"):
        convert(other, tmp_path / "out")


def test_incompatible_and_damaged_weights_are_described(tmp_path: Path, weights_file: Path) -> None:
    path = tmp_path / "w.safetensors"
    content = bytearray(weights_file.read_bytes())
    content[-5000] ^= 4
    path.write_bytes(content)
    found = describe(path)
    assert (found.kind, found.verified) == (Kind.DMB, False)
    assert "damaged" in found.complaint
    tensors, metadata = read_weights(weights_file)
    del metadata["checksum"]
    save_file(tensors, path, metadata=metadata)
    assert "damaged" in describe(path).complaint  # load_weights refuses it, too
    save_file({"decoder.predict.bias": torch.zeros(3), "x": torch.zeros(1)}, path, metadata=metadata)
    found = describe(path)
    assert found.parts == {"decoder": 3, "x": 1}
    save_file({"x": torch.zeros(2)}, path)
    found = describe(path)
    assert found.kind is Kind.UNKNOWN and "its names: x" in found.complaint


def test_an_old_file_survives_a_conversion_that_fails(
    tmp_path: Path, resnet: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("tracker.checkpoints.weights.save_file", fail)
    torch.save(slim(resnet), tmp_path / "a.pth")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        convert(tmp_path / "a.pth", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.pth", "b"]
