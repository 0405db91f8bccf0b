"""Data sets in their official layouts, and what may be wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.box_layouts import (
    LENGTH,
    PATH,
    box_lines,
    write_got10k,
    write_images,
    write_otb,
    write_trackingnet,
)
from tracker.benchmarks.box_datasets import BoxDatasetError, read_got10k, read_otb, read_trackingnet


def test_got10k(tmp_path: Path) -> None:
    dataset = read_got10k(write_got10k(tmp_path), "val")
    assert [sequence.name for sequence in dataset.sequences] == ["GOT_1", "GOT_2"]
    one = dataset.sequences[0]
    assert dataset.origin == 1 and dataset.public and one.size == (60, 40)
    assert [image.name for image in one.images] == [f"{index:08d}.jpg" for index in range(1, LENGTH + 1)]
    assert one.truth[1].tolist() == [PATH[1][0] + 1, PATH[1][1] + 1, 20, 10]
    assert one.visible.tolist() == [True, True, False, True]


def test_got10k_test_split_keeps_the_truth_back(tmp_path: Path) -> None:
    dataset = read_got10k(write_got10k(tmp_path, "test", first=True), "test")
    assert not dataset.public and dataset.sequences[0].truth.shape == (1, 4)
    assert len(dataset.sequences[0].images) == LENGTH


def test_trackingnet(tmp_path: Path) -> None:
    write_trackingnet(tmp_path)
    write_trackingnet(tmp_path, "Test", first=True)  # its own pages write it in both ways
    dataset = read_trackingnet(tmp_path, "TRAIN_0")
    assert [sequence.name for sequence in dataset.sequences] == ["-a_0", "b_1"]
    assert dataset.origin == 0 and dataset.sequences[0].truth.tolist() == [list(box) for box in PATH]
    assert dataset.sequences[0].images[0].name == "0.jpg"
    assert not read_trackingnet(tmp_path, "TEST").public


def test_trackingnet_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_trackingnet(tmp_path, names=("a",))
    folder = tmp_path / "TRAIN_0"
    write_images(folder / "frames" / "a", [f"{index}.jpg" for index in range(12)])
    (folder / "anno" / "a.txt").write_text("1,2,3,4\n" * 12)
    images = read_trackingnet(tmp_path, "TRAIN_0").sequences[0].images
    assert [image.stem for image in images] == [str(index) for index in range(12)]


def test_otb(tmp_path: Path) -> None:
    dataset = read_otb(write_otb(tmp_path))
    assert [sequence.name for sequence in dataset.sequences] == ["Car", "Jogging-1", "Jogging-2"]
    assert dataset.origin == 1 and dataset.sequences[0].truth[0].tolist() == [11, 6, 20, 10]
    assert dataset.sequences[1].images == dataset.sequences[2].images


def test_otb_with_an_empty_second_truth_has_one_target(tmp_path: Path) -> None:
    write_otb(tmp_path)
    (tmp_path / "Jogging" / "groundtruth_rect.1.txt").write_text("\n")
    assert [sequence.name for sequence in read_otb(tmp_path).sequences] == ["Car", "Jogging"]


def test_otb_sequences_of_which_only_a_part_counts(tmp_path: Path) -> None:
    write_images(tmp_path / "Football1" / "img", [f"{index:04d}.jpg" for index in range(1, 78)])
    (tmp_path / "Football1" / "groundtruth_rect.txt").write_text("5,5,9,9\n" * 74)
    write_images(tmp_path / "BlurCar3" / "img", [f"{index:04d}.jpg" for index in range(3, 7)])
    (tmp_path / "BlurCar3" / "groundtruth_rect.txt").write_text(box_lines(1, separator=" "))
    blurred, football = read_otb(tmp_path).sequences
    assert len(football.images) == 74 and football.images[-1].name == "0074.jpg"
    assert [image.name for image in blurred.images] == ["0003.jpg", "0004.jpg", "0005.jpg", "0006.jpg"]


def test_a_part_may_be_chosen(tmp_path: Path) -> None:
    dataset = read_got10k(write_got10k(tmp_path), "val").choose(["GOT_2"], 3)
    (sequence,) = dataset.sequences
    assert sequence.name == "GOT_2" and len(sequence.images) == len(sequence.truth) == len(sequence.visible) == 3
    with pytest.raises(BoxDatasetError, match="there is no sequence 'GOT_9'; there are 1: GOT_2"):
        dataset.choose(["GOT_9"], None)


def test_not_a_number_is_a_frame_without_truth(tmp_path: Path) -> None:
    write_otb(tmp_path)
    (tmp_path / "Car" / "groundtruth_rect.txt").write_text("1,2,3,4\nNaN,NaN,NaN,NaN\n1,2,3,4\n1,2,3,4\n")
    assert np.isnan(read_otb(tmp_path).sequences[0].truth[1]).all()


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("groundtruth.txt", None, "groundtruth.txt' is missing; unpack the data set again"),
        ("groundtruth.txt", "", "groundtruth.txt' is empty; restore the file"),
        ("groundtruth.txt", "1,2,3,4\n1,2,3\n", "line 2 of .* is '1,2,3', not x,y,w,h"),
        ("groundtruth.txt", "1,2,3,four\n", "line 1 of .* is '1,2,3,four', not x,y,w,h"),
        ("groundtruth.txt", "nan,2,3,4\n" * LENGTH, r"the first box of .* is \[nan, 2.0, 3.0, 4.0\]"),
        ("groundtruth.txt", "1,2,0,4\n" * LENGTH, "the first box of .* where nothing can start"),
        ("groundtruth.txt", "1,2,3,4\n" * 3, "holds 4 frames, its truth 3 boxes; unpack it again"),
        ("cover.label", None, "cover.label' is missing"),
        ("cover.label", "8\n8\n", "cover.label' does not hold a number for each of 4 frames"),
        ("cover.label", "8\n8\nx\n8\n", "cover.label' does not hold a number for each of 4 frames"),
        ("meta_info.ini", "[METAINFO]\n", "meta_info.ini' has no line 'resolution"),
        ("00000003.jpg", None, "lacks frames between '00000002.jpg' and '00000004.jpg'; unpack again"),
    ],
)
def test_damaged_sequences(tmp_path: Path, file: str, content: str | None, complaint: str) -> None:
    path = write_got10k(tmp_path) / "val" / "GOT_2" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(BoxDatasetError, match=complaint) as caught:
        read_got10k(tmp_path, "val")
    assert "GOT_2" in str(caught.value)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(BoxDatasetError, match="nowhere' is not a folder; name the one that holds GOT-10k's folders"):
        read_got10k(tmp_path / "nowhere", "val")
    with pytest.raises(BoxDatasetError, match="holds no folder 'val'; name the one that holds GOT-10k's folders"):
        read_got10k(tmp_path, "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(BoxDatasetError, match="holds no sequences; unpack GOT-10k's val split there"):
        read_got10k(tmp_path, "val")
    with pytest.raises(BoxDatasetError, match=f"'{re.escape(str(tmp_path))}' holds no OTB sequences"):
        read_otb(tmp_path)
    (tmp_path / "TEST" / "anno").mkdir(parents=True)
    with pytest.raises(BoxDatasetError, match="holds no folder 'frames'; unpack TrackingNet's TEST there"):
        read_trackingnet(tmp_path)
    (tmp_path / "TEST" / "frames").mkdir()
    with pytest.raises(BoxDatasetError, match=r"holds no files NAME\.txt"):
        read_trackingnet(tmp_path)
    (tmp_path / "TEST" / "anno" / "a.txt").write_text("1,2,3,4\n")
    with pytest.raises(BoxDatasetError, match="a' is missing; unpack the sequence's frames"):
        read_trackingnet(tmp_path)
    (tmp_path / "Car" / "img").mkdir(parents=True)
    with pytest.raises(BoxDatasetError, match=r"Car' has images but no 'groundtruth_rect\.txt'"):
        read_otb(tmp_path)
    (tmp_path / "Car" / "groundtruth_rect.txt").write_text("1,2,3,4\n")
    with pytest.raises(BoxDatasetError, match="holds 0 numbered images"):
        read_otb(tmp_path)
