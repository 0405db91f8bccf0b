"""The ONNX files against PyTorch, and the example that runs on them alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from tracker.checkpoints import onnx_export
from tracker.checkpoints.onnx_export import ExportError, export, verify
from tracker.network import DMBNet

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "onnx_segmentation.py"
SIZE = 64


@pytest.fixture(scope="module")
def model() -> DMBNet:
    torch.manual_seed(0)
    return DMBNet().eval()


@pytest.fixture(scope="module")
def files(model: DMBNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    written = export(model, folder, size=SIZE, facts={"weights": "abc"}, compare=False)
    assert set(written.values()) == {None}
    assert [path.name for path in written] == ["query_encoder.onnx", "memory_encoder.onnx", "decoder.onnx"]
    return folder


def test_every_part_answers_as_pytorch_does(model: DMBNet, files: Path) -> None:
    differences = verify(model, files, size=SIZE, frames=(1, 4))
    assert set(differences) == {"query_encoder", "memory_encoder", "decoder"}
    assert max(differences.values()) < onnx_export.TOLERANCE


def test_files_say_what_they_are(files: Path) -> None:
    facts = {entry.key: entry.value for entry in onnx.load(files / "decoder.onnx").metadata_props}
    assert facts == {"dmb.size": "64", "dmb.factor": "3.4", "dmb.weights": "abc"}
    assert sorted(path.name for path in files.iterdir()) == [
        "decoder.onnx", "memory_encoder.onnx", "query_encoder.onnx"
    ]  # fmt: skip


def test_files_of_another_network_are_refused(model: DMBNet, files: Path) -> None:
    other = DMBNet().eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.decoder.predict.bias[1] += 0.1
    with pytest.raises(ExportError, match=r"'decoder.onnx' differs from PyTorch by .*more than 0.001"):
        verify(other, files, size=SIZE)


def test_files_appear_when_all_of_them_agree(model: DMBNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "decoder.onnx").write_text("old")
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differs from PyTorch"):
        export(model, tmp_path, size=SIZE, facts={})
    assert [path.name for path in tmp_path.iterdir()] == ["decoder.onnx"]
    assert (tmp_path / "decoder.onnx").read_text() == "old"
    monkeypatch.setattr(onnx_export, "TOLERANCE", 1e-3)
    written = export(model, tmp_path, size=SIZE, facts={})
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert all(difference is not None and difference <= 1e-3 for difference in written.values())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(
    model: DMBNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=rf"{package} cannot be imported .*pip install onnx onnxruntime"):
        export(model, tmp_path / "out", size=SIZE, facts={})
    assert not (tmp_path / "out").exists()


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of seven frames of a moving square, and its first mask."""
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(7):
        picture = rng.integers(0, 80, (90, 120, 3), dtype=np.uint8)
        cv2.rectangle(picture, (40 + index, 30), (70 + index, 60), (40, 200, 220), -1)
        cv2.imwrite(str(images / f"{index:05d}.png"), picture)
    first = np.zeros((90, 120), np.uint8)
    first[30:61, 40:71] = 255
    cv2.imwrite(str(tmp_path / "first.png"), first)
    return images, tmp_path / "first.png"


def restated(files: Path, folder: Path, **facts: str) -> Path:
    """A copy of the files whose metadata are these alone."""
    folder.mkdir()
    for path in files.iterdir():
        content = onnx.load(path)
        del content.metadata_props[:]
        for key, value in facts.items():
            entry = content.metadata_props.add()
            entry.key, entry.value = f"dmb.{key}", value
        onnx.save(content, folder / path.name)
    return folder


def test_the_example_follows_a_first_mask(files: Path, tmp_path: Path, clip: tuple[Path, Path]) -> None:
    subprocess.run([sys.executable, EXAMPLE, files, *clip, tmp_path / "out"], check=True, timeout=300)
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((tmp_path / "out").iterdir())]
    assert len(masks) == 7 and all(mask.shape == (90, 120) for mask in masks)
    assert np.array_equal(masks[0], cv2.imread(str(clip[1]), cv2.IMREAD_GRAYSCALE))


def test_the_example_cuts_the_crop_that_the_files_are_for(files: Path, tmp_path: Path, clip: tuple[Path, Path]) -> None:
    answers = {}
    for factor in ("3.4", "1.5"):
        folder = restated(files, tmp_path / factor, factor=factor)
        output = tmp_path / f"out_{factor}"
        subprocess.run([sys.executable, EXAMPLE, folder, *clip, output], check=True, timeout=300)
        answers[factor] = cv2.imread(str(output / "00001.png"), cv2.IMREAD_GRAYSCALE)
    assert not np.array_equal(*answers.values())
    older = restated(files, tmp_path / "older", size="64")
    done = subprocess.run([sys.executable, EXAMPLE, older, *clip, tmp_path / "out"], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 1 and "write them again: dmb export onnx" in done.stderr and done.stderr.count("\n") == 1


def test_the_example_says_what_is_wrong(files: Path, tmp_path: Path) -> None:
    for name, shape in (("small", (20, 20)), ("empty", (90, 120)), ("good", (90, 120))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full(shape, 255 * (name != "empty"), np.uint8))
    for name in ("images", "mixed", "nothing"):
        (tmp_path / name).mkdir()
    for name in ("images/0.png", "mixed/0.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((90, 120, 3), np.uint8))
    (tmp_path / "mixed" / "notes.txt").write_text("no image")
    for arguments, sentence in (
        (["onnx"], "usage: python "),
        ([tmp_path, "images", "good.png", "out"], "does not hold the files of: dmb export onnx"),
        ([files, "nowhere", "good.png", "out"], "'nowhere' is not a folder with images"),
        ([files, "nothing", "good.png", "out"], "'nothing' is not a folder with images"),
        ([files, "images", "none.png", "out"], "'none.png' is not a readable image"),
        ([files, "images", "empty.png", "out"], "the mask 'empty.png' is empty"),
        ([files, "images", "small.png", "out"], "not as large as 'images/0.png'"),
        ([files, "mixed", "good.png", "out"], "'mixed/notes.txt' is not a readable image"),
    ):
        done = subprocess.run(
            [sys.executable, EXAMPLE, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 1 and sentence in done.stderr and done.stderr.count("\n") == 1, done.stderr
