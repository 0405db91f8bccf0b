"""`dmb export`: its options and its complaints; what it writes is tested in tests/test_onnx_export.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tracker.cli.export import main


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
