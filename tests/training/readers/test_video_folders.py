"""DAVIS and YouTube-VOS as folders: frames stay on disk, ids are indices, held-out sequences are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.pictures import gray_png, image, labels, palette_png, write
from tracker.training.data import DataError, TrainingData
from tracker.training.readers.video_folders import find_video_folders, read_video_folders

IDS = palette_png(labels(1, 2))


def davis(sequence: str, count: int = 3, mask: bytes = IDS, resolution: str = "480p") -> dict[str, bytes]:
    files = {}
    for index in range(count):
        files[f"JPEGImages/{resolution}/{sequence}/{index:05d}.jpg"] = image()
        files[f"Annotations/{resolution}/{sequence}/{index:05d}.png"] = mask
    return files


def read(folder: Path, held_out: tuple[str, ...] = ()) -> TrainingData:
    found = find_video_folders(folder)
    assert found is not None
    return read_video_folders(found, held_out=held_out)


def test_davis_2017_has_ids_by_palette_and_void(tmp_path: Path) -> None:
    folder = write(tmp_path, davis("bear", mask=palette_png(labels(1, 2, 255))))
    data = read(folder)
    assert [frame.name for frame in data.videos["bear"]] == ["bear/00000", "bear/00001", "bear/00002"]
    assert all(isinstance(part, str) for frame in data.videos["bear"] for part in (frame.image, frame.mask))
    assert np.array_equal(data.videos["bear"][1].decode()[1], labels(1, 2, 255))


@pytest.mark.parametrize("encode", [gray_png, palette_png])
def test_davis_2016_has_its_one_object_as_255(tmp_path: Path, encode) -> None:  # type: ignore[no-untyped-def]
    data = read(write(tmp_path, davis("bear", mask=gray_png(labels(255))) | davis("cat", mask=encode(labels(1)))))
    assert np.array_equal(data.videos["bear"][0].decode()[1], labels(1))
    assert np.array_equal(data.videos["cat"][0].decode()[1], labels(1))


def test_held_out_sequences_are_left_out(tmp_path: Path) -> None:
    data = read(write(tmp_path, davis("bear") | davis("kept") | davis("ant")), held_out=("kept", "elsewhere"))
    assert list(data.videos) == ["ant", "bear"] and data.held_out == 1


@pytest.mark.parametrize(
    ("year", "text"),
    [
        ("2017", "bear\n\nant\ngone\n"),
        (
            "480p",
            "".join(f"/JPEGImages/480p/{name}/00000.jpg /Annotations/480p/x\n" for name in ("bear", "ant", "gone")),
        ),
    ],
)
def test_only_the_sequences_of_davis_training_list_are_read(
    tmp_path: Path, year: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, davis("bear") | davis("ant") | davis("validation"))
    write(tmp_path, {f"ImageSets/{year}/train.txt": text.encode(), f"ImageSets/{year}/val.txt": b"validation\n"})
    assert list(read(tmp_path).videos) == ["ant", "bear"]
    assert "skipped 1 sequences" in caplog.text and "'gone'" in caplog.text


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    write(tmp_path, davis("bear") | {"ImageSets/2017/train.txt": b"\xff\xfe"})
    with pytest.raises(DataError, match=r"train\.txt' cannot be read"):
        find_video_folders(tmp_path)


def test_davis_frames_without_a_partner_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, davis("bear", 4) | davis("ant"))
    (tmp_path / "Annotations/480p/bear/00001.png").unlink()
    (tmp_path / "JPEGImages/480p/bear/00003.jpg").unlink()
    assert [frame.name for frame in read(tmp_path).videos["bear"]] == ["bear/00000", "bear/00002"]
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2
    assert any("'bear/00001'" in message and "images without a mask" in message for message in messages)
    assert any("'bear/00003'" in message and "masks without an image" in message for message in messages)


def test_a_sequence_without_masks_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, davis("bear") | {"JPEGImages/480p/testonly/00000.jpg": image()})
    assert list(read(tmp_path).videos) == ["bear"]
    assert "sequences without a frame that has image and mask (the first: 'testonly')" in caplog.text


def test_480p_is_preferred(tmp_path: Path) -> None:
    folder = write(tmp_path, davis("big", resolution="Full-Resolution"))
    assert list(read(folder).videos) == ["big"]
    assert list(read(write(tmp_path, davis("small"))).videos) == ["small"]


@pytest.mark.parametrize("root", ["", "train/"])
def test_youtube_vos_uses_the_frames_with_a_mask(tmp_path: Path, root: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"{root}JPEGImages/003234408d/{index:05d}.jpg": image() for index in range(0, 30, 5)}
    files |= {f"{root}Annotations/003234408d/{index:05d}.png": IDS for index in (0, 10, 20)}
    files |= {name.replace("003234408d", "kept"): data for name, data in files.items()}
    data = read(write(tmp_path, files | {f"{root}meta.json": b"not read"}), held_out=("kept",))
    assert list(data.videos) == ["003234408d"] and data.held_out == 1
    assert [frame.name[-5:] for frame in data.videos["003234408d"]] == ["00000", "00010", "00020"]
    assert np.array_equal(data.videos["003234408d"][2].decode()[1], labels(1, 2))
    assert not caplog.records


def test_youtube_vos_masks_without_an_image_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"JPEGImages/v/00000.jpg": image(), "Annotations/v/00000.png": IDS, "Annotations/v/00005.png": IDS}
    assert len(read(write(tmp_path, files)).videos["v"]) == 1
    assert "'v/00005'" in caplog.text


def test_other_folders_are_not_taken_for_videos(tmp_path: Path) -> None:
    assert find_video_folders(write(tmp_path, {"JPEGImages/480p/bear/00000.jpg": image()})) is None
