"""`dmb export`: its options and its complaints; what it writes is tested in tests/checkpoints/test_onnx_export.py."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tracker.cli.export import main
from tracker.config import ModelName
from tracker.network import ARCHITECTURES


@pytest.mark.parametrize("size", ["0", "100", "48"])
def test_a_size_off_the_grid_is_wrong_usage(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["onnx", "--size", size])
    assert end.value.code == 2
    assert f"--size is {size}; give a multiple of 16 from 64" in capsys.readouterr().err


def test_missing_weights_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["onnx", "--weights", str(tmp_path / "none.safetensors"), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb export: error: weights file") and "does not exist" in error and error.count("\n") == 1


def test_a_missing_package_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["onnx", "--output", str(tmp_path / "out")]) == 1
    assert "pip install onnx onnxruntime" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "side"), [("full", 384), ("compact", 256)])
def test_the_crop_is_as_large_as_the_weights_want_it(
    model: ModelName, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: list[int] = []

    def export(model: object, folder: Path, *, size: int, **_: object) -> dict[Path, None]:
        sizes.append(size)
        return {}

    network = SimpleNamespace(architecture=ARCHITECTURES[model])
    monkeypatch.setattr("tracker.checkpoints.onnx_export.export", export)
    monkeypatch.setattr("tracker.checkpoints.weights.find_weights", lambda *_, **options: tmp_path)
    monkeypatch.setattr("tracker.checkpoints.weights.load_weights", lambda path: network)
    monkeypatch.setattr("tracker.checkpoints.weights.read_weights", lambda path: ({}, {"checksum": "abc"}))
    assert main(["onnx"]) == main(["onnx", "--size", "128"]) == 0  # the file decides, with --model or without
    assert sizes == [side, 128]
    with pytest.raises(SystemExit):
        main(["onnx", "--help"])
    assert "default: 384; compact model: 256" in " ".join(capsys.readouterr().out.split())
