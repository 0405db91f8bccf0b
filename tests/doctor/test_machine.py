"""PyTorch, CUDA and half precision, as on other machines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.doctor.findings import HERE, named, only
from tracker.doctor import machine
from tracker.doctor.finding import Surroundings


def fake_torch(*, cuda: str | None = None, devices: int = 0, broken: bool = False) -> SimpleNamespace:
    """PyTorch as on another machine."""

    def ones(*_: object, **__: object) -> object:
        if broken:
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
        return torch.ones(2)

    properties = SimpleNamespace(name="Card", total_memory=80 * 2**30)
    return SimpleNamespace(
        __version__="2.9.0",
        ones=ones,
        get_num_threads=lambda: 4,
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: devices > 0, device_count=lambda: devices, get_device_properties=lambda _: properties
        ),
    )


@pytest.mark.parametrize(
    ("made", "driver", "environ", "status", "words"),
    [
        (fake_torch(), False, {}, "ok", "no NVIDIA driver"),
        (fake_torch(), True, {}, "note", "built for CPUs only"),
        (fake_torch(cuda="12.8"), True, {}, "problem", "built for CUDA 12.8) finds no device"),
        (fake_torch(cuda="12.8"), True, {"CUDA_VISIBLE_DEVICES": ""}, "note", "CUDA_VISIBLE_DEVICES hides"),
        (fake_torch(cuda="12.8", devices=2), True, {}, "ok", "Card, 80 GiB; Card, 80 GiB (CUDA 12.8)"),
        (fake_torch(cuda="12.8", devices=1, broken=True), True, {}, "problem", "does not compute"),
    ],
)
def test_cuda(
    modules: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: SimpleNamespace, driver: bool,
    environ: dict[str, str], status: str, words: str,
) -> None:  # fmt: skip
    modules["torch"] = made
    monkeypatch.setattr(machine, "DRIVER", tmp_path if driver else tmp_path / "nothing")
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    found = named(machine.torch(Surroundings(environ, tmp_path)), "cuda")
    assert found.status == status and words in found.text
    assert bool(found.remedy) == (status != "ok")


@pytest.mark.parametrize(
    ("hardware", "precision", "status", "words"),
    [
        (True, "auto", "ok", "bfloat16 in hardware"),
        (False, "auto", "note", "float32, which is slower"),
        (False, "bfloat16", "note", "only emulates"),
        (True, "bfloat16", "ok", "bfloat16 in hardware"),
        (True, "float32", "note", "DMB_PRECISION is float32; this CPU computes faster in half precision"),
        (False, "float32", "note", "DMB uses float32, which is slower"),
        (True, "float16", "note", "DMB_PRECISION is float16, which is for GPUs"),
        (False, "float16", "note", "DMB_PRECISION is float16, which is for GPUs"),
    ],
)
def test_half_precision(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, precision: str, status: str, words: str
) -> None:
    monkeypatch.setattr("tracker.engine.cpu_has_bfloat16", lambda: hardware)
    environ = {"DMB_DEVICE": "cpu", "DMB_PRECISION": precision}
    found = named(machine.torch(Surroundings(environ, Path())), "precision")
    assert found.status == status and words in found.text


@pytest.mark.parametrize(
    ("precision", "status", "words"),
    [
        ("auto", "ok", "half precision on the GPU"),
        ("float16", "ok", "float16 on the GPU"),
        ("bfloat16", "ok", "bfloat16 on the GPU"),
        ("float32", "note", "DMB_PRECISION is float32; the GPU computes faster"),
    ],
)
def test_precision_on_a_gpu(modules: dict[str, object], precision: str, status: str, words: str) -> None:
    modules["torch"] = fake_torch(cuda="12.8", devices=1)
    found = named(machine.torch(Surroundings({"DMB_PRECISION": precision}, Path())), "precision")
    assert found.status == status and words in found.text
    assert found.remedy == ("" if status == "ok" else "unset DMB_PRECISION")


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
