"""Sequences with masks are the same from a folder and from a tar file, and void is where it is meant."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tracker.data.masks import split
from tracker.data.sequences import LabelledFrame, SequenceError, choose, open_sequences

SHAPE = (40, 60)


def label(left: int, value: int = 1) -> np.ndarray:
    ids = np.zeros(SHAPE, np.uint8)
    ids[10:30, left : left + 20] = value
    return ids


def write(folder: Path, lefts: list[int]) -> Path:
    folder.mkdir(parents=True)
    for index, left in enumerate(lefts):
        cv2.imwrite(str(folder / f"{index:05d}.webp"), np.full((*SHAPE, 3), (10, 20, 200), np.uint8))
        cv2.imwrite(str(folder / f"{index:05d}.png"), label(left))
    return folder


def pack(source: Path, path: Path, prefix: str = "") -> Path:
    with tarfile.open(path, "w") as tar:
        for file in sorted(source.rglob("*.*")):
            tar.add(file, prefix + str(file.relative_to(source)))
    return path


def all_frames(source: Path, name: str, limit: int | None = None) -> list[LabelledFrame]:
    with open_sequences(source) as sequences:
        return list(sequences[name].frames(limit))


def test_frames_are_rgb_and_in_order(tmp_path: Path) -> None:
    write(tmp_path / "a", [0, 5, 9])
    frames = all_frames(tmp_path, "a")
    assert np.allclose(frames[0].image[0, 0], (200, 20, 10), atol=3)
    assert [int(frame.mask.any(0).argmax()) for frame in frames] == [0, 5, 9]
    assert len(all_frames(tmp_path, "a", limit=2)) == 2


@pytest.mark.parametrize("prefix", ["", "./", "davis/train/"])
def test_a_tar_file_holds_the_same(tmp_path: Path, prefix: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / "folder" / name, [0, 5])
    (tmp_path / "folder" / "list.txt").write_text("a\nb\n")
    packed = pack(tmp_path / "folder", tmp_path / "all.tar", prefix)
    with open_sequences(packed) as sequences:
        assert {"a", "b"} <= set(sequences)
    for one, two in zip(all_frames(tmp_path / "folder", "b"), all_frames(packed, "b"), strict=True):
        assert np.array_equal(one.image, two.image) and np.array_equal(one.mask, two.mask)


def test_void_only_beside_other_ids() -> None:
    ids = label(0)
    ids[:5] = 255
    mask, void = split(ids)
    assert void is not None and void.sum() == 5 * SHAPE[1] and mask.sum() == 400
    assert LabelledFrame(np.zeros((*SHAPE, 3), np.uint8), mask, void).known(ids > 0).sum() == 400
    for only in (label(0, 255), label(0), np.zeros(SHAPE, np.uint8)):
        mask, void = split(only)
        assert void is None and np.array_equal(mask, only > 0)


def test_one_bit_and_palette_images(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [0, 5])
    Image.fromarray(label(3) > 0).save(folder / "00000.png")
    colored = Image.fromarray(label(7, 1) | label(40, 2), "P")
    colored.putpalette([0, 0, 0, 128, 0, 0, 255, 255, 255])  # id 2 is white: 255 in gray, and no void
    colored.save(folder / "00001.png")
    one_bit, palette = all_frames(tmp_path, "a")
    assert np.array_equal(one_bit.mask, label(3) > 0) and one_bit.void is None
    assert np.array_equal(palette.mask, (label(7) | label(40)) > 0) and palette.void is None


def test_damaged_sequences_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder" / "a", [0, 5, 9])
    (folder / "00001.png").unlink()
    with pytest.raises(SequenceError, match=r"00001\.webp"):
        all_frames(tmp_path / "folder", "a")
    (folder / "00001.png").write_bytes(b"")
    with pytest.raises(SequenceError, match=r"00001\.png' is damaged"):
        all_frames(pack(tmp_path / "folder", tmp_path / "all.tar"), "a")
    (tmp_path / "folder" / "empty").mkdir()
    with pytest.raises(SequenceError, match="fewer than two images"):
        all_frames(tmp_path / "folder", "empty")


def test_wrong_sources_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no tar file")
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        for name in ("train/a/0.png", "val/a/0.png"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    (tmp_path / "none").mkdir()
    for name, text in (
        ("missing", "does not exist"),
        ("text.tar", "not a readable folder or tar file"),
        ("twice.tar", "more than once"),
        ("none", "holds no sequences"),
    ):
        with pytest.raises(SequenceError, match=text), open_sequences(tmp_path / name):
            pass


def test_sequences_are_chosen_by_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, [0, 5])
    with open_sequences(tmp_path) as sequences:
        assert [sequence.name for sequence in choose(sequences, None, tmp_path)] == ["a", "b"]
        assert [sequence.name for sequence in choose(sequences, ["b", "b"], tmp_path)] == ["b"]
        with pytest.raises(SequenceError, match=r"no sequence 'c' in .*; it holds: a, b"):
            choose(sequences, ["c"], tmp_path)
