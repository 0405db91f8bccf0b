"""PyTorch, CUDA and half precision, as on other machines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.doctor.findings import HERE, named, only
from tracker.doctor import machine
from tracker.doctor.finding import Surroundings


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.engine.engine.resolve_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("tracker.engine.engine.gpu_has_bfloat16", lambda device: True)


def fake_torch(*, cuda: str | None = None, broken: bool = False) -> SimpleNamespace:
    """PyTorch as on another machine."""

    def ones(*_: object, **__: object) -> object:
        if broken:
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
        return torch.ones(2)

    return SimpleNamespace(
        __version__="2.9.0",
        ones=ones,
        get_num_threads=lambda: 4,
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(get_device_properties=lambda _: SimpleNamespace(name="Card")),
    )


@pytest.mark.usefixtures("on_gpu")
def test_a_gpu_that_computes_and_one_that_does_not(modules: dict[str, object]) -> None:
    modules["torch"] = fake_torch(cuda="12.8")
    found = named(machine.torch(HERE), "device")
    assert found.status == "ok" and found.text == "cuda, Card (CUDA 12.8), bfloat16"
    modules["torch"] = fake_torch(cuda="12.8", broken=True)
    found = named(machine.torch(HERE), "device")
    assert found.status == "problem" and "does not compute" in found.text and found.remedy


@pytest.mark.parametrize(("cuda", "words"), [(None, "built for CPUs only"), ("12.8", "built for CUDA 12.8")])
def test_a_driver_without_a_gpu_that_pytorch_finds(
    modules: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda: str | None, words: str
) -> None:
    modules["torch"] = fake_torch(cuda=cuda)
    monkeypatch.setattr("tracker.engine.engine.resolve_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(machine, "DRIVER", tmp_path)
    found = named(machine.torch(HERE), "device")
    assert found.status == "note" and words in found.text and found.remedy


@pytest.mark.parametrize(
    ("hardware", "precision", "status", "words"),
    [
        (True, "auto", "ok", "cpu, bfloat16"),
        (False, "auto", "note", "float32, which is slower"),
        (False, "bfloat16", "note", "only emulates"),
        (True, "float32", "ok", "cpu, float32"),
    ],
)
def test_the_arithmetic_of_a_cpu(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, precision: str, status: str, words: str
) -> None:
    monkeypatch.setattr("tracker.engine.engine.cpu_has_bfloat16", lambda: hardware)
    environ = {"DMB_DEVICE": "cpu", "DMB_PRECISION": precision}
    found = named(machine.torch(Surroundings(environ, Path())), "device")
    assert found.status == status and words in found.text


def test_torch_missing_broken_and_old(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    modules["torch"] = OSError("libcudart.so.12: cannot open shared object file")
    found = only(machine.torch(HERE))
    assert found.status == "problem" and "libcudart.so.12" in found.text and "--force-reinstall" in found.remedy
    versions["torch"] = None
    found = only(machine.torch(HERE))
    assert found.text == "is not installed" and found.remedy.endswith("pip install 'torch>=2.6'")
    modules["torch"] = SimpleNamespace(__version__="2.1.0+cu118")
    assert "2.1.0+cu118 is too old" in only(machine.torch(HERE)).text


def test_settings_of_the_environment() -> None:
    found = only(machine.settings(Surroundings({"DMB_GATE": "maybe"}, Path())))
    assert found.status == "problem" and "DMB_GATE is 'maybe'" in found.text and found.remedy == "unset DMB_GATE"
    found = only(machine.settings(Surroundings({"DMB_DEVISE": "cpu"}, Path())))
    assert found.status == "note" and "did you mean DMB_DEVICE?" in found.text and found.remedy == "unset DMB_DEVISE"
    device = Surroundings({"DMB_DEVICE": "cuda:99"}, Path())
    found = named(machine.torch(device), "device")
    assert found.status == "problem" and "cuda:99" in found.text and found.remedy == "unset DMB_DEVICE"
