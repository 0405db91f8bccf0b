"""Folders are recognized by their contents, and the log says what was read from where."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.training.pictures import gray_png, image, labels, write, write_tar
from tests.training.readers import test_coco, test_shards, test_video_folders
from tracker.cli.train import parser
from tracker.training.data import DataError
from tracker.training.plan import Stage, TrainingConfig
from tracker.training.readers import read_data
from tracker.training.run import build_drawer, read_files

CONFIG = TrainingConfig(stages=(Stage(steps=1, size=64, frames=2, batch=2, factor=(2.0, 2.5)),), held_out=("kept",))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """One folder of every layout."""
    made = {name: tmp_path / name for name in ("shards", "davis", "youtube", "saliency", "coco")}
    write_tar(made["shards"] / "stills-0.tar", test_shards.stills("a", "b"))
    write_tar(made["shards"] / "davis.tar", test_shards.video("bear", "0", "1", "2") | test_shards.video("kept", "0"))
    several = {"c.jpg": image(), "c.png": gray_png(labels(1, 2))}
    write_tar(made["shards"] / "instances.tar", several)
    write_tar(made["shards"] / "other.tar", {})
    write(made["davis"], test_video_folders.davis("bear", 4) | test_video_folders.davis("kept"))
    youtube = {name.replace("480p/", ""): data for name, data in test_video_folders.davis("v", 5).items()}
    write(made["youtube"] / "train", youtube)
    write(made["saliency"], {"images/a.jpg": image(), "masks/a.png": gray_png(labels(255))})
    test_coco.make(made["coco"], test_coco.thing(5, [test_coco.SQUARE]))
    return made


def test_every_layout_is_recognized_and_logged(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = read_data(list(folders.values()), held_out=["kept"])
    assert [frame.name for frame in data.stills] == ["a", "b", "saliency/a", "train2017/000000000002.jpg#5"]
    assert [frame.name for frame in data.instances] == ["c"]
    assert {name: len(frames) for name, frames in data.videos.items()} == {"bear": 3, "bear (2)": 4, "v": 5}
    assert data.held_out == 2
    for frame in [*data.stills, *(frames[0] for frames in data.videos.values())]:
        frame.decode()
    lines = [record.message for record in caplog.records]
    expected = [
        ("1 shards of stills in", "shards", "2 stills"),
        ("1 shards of instances in", "shards", "1 pictures of several objects"),
        ("1 shards of videos in", "shards", "1 videos with 3 frames, without 1 held-out sequences"),
        ("not read", "other.tar", ""),
        ("DAVIS in", "davis", "1 videos with 4 frames, without 1 held-out sequences"),
        ("YouTube-VOS in", "youtube", "1 videos with 5 frames"),
        ("masks", "saliency", "1 stills"),
        ("COCO", "coco", "1 stills"),
    ]
    assert len(lines) == len(expected)
    for line, (start, place, count) in zip(lines, expected, strict=True):
        assert line.startswith(start) and place in line and line.endswith(count)


def test_reading_again_gives_the_same_order_and_a_folder_is_read_once(folders: dict[str, Path]) -> None:
    given = list(folders.values())
    first, second = read_data(given), read_data([*given, given[0], given[0] / ".." / given[0].name])
    assert first.stills == second.stills
    assert list(first.videos.items()) == list(second.videos.items())


def test_several_layouts_in_one_folder_are_all_read(folders: dict[str, Path]) -> None:
    write(folders["davis"], {"images/a.jpg": image(), "masks/a.png": gray_png(labels(255))})
    data = read_data([folders["davis"]])
    assert (len(data.stills), len(data.videos)) == (1, 2)


def test_a_folder_with_none_of_the_layouts_lists_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "some", {"a.jpg": image()})
    with pytest.raises(DataError) as caught:
        read_data([tmp_path / "some"])
    text = str(caught.value)
    looked_for = ("stills-*.tar", "*video*.tar", "davis*.tar", "JPEGImages", "Annotations", "DUTS-TR-Image")
    looked_for += ("ground_truth_mask", "instances_train*.json", "docs/TRAINING.md", str(tmp_path / "some"))
    assert all(word in text for word in looked_for)
    assert "\n" not in text


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder '.*gone'"):
        read_data([tmp_path / "gone"])


def test_a_folder_of_which_nothing_remains_ends_the_reading(tmp_path: Path) -> None:
    write(tmp_path, {"stills-0.tar": b"cut", "davis.tar": b""})
    with pytest.raises(DataError, match=r"nothing in '.*' is usable"):
        read_data([tmp_path])


def test_damaged_shards_do_not_end_the_training(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    write(folders["shards"], {"stills-1.tar": b"cut"})
    assert len(read_files(CONFIG, [folders["shards"]]).stills) == 2
    assert "stills-1.tar' is damaged or cut short" in caplog.text


def test_data_may_be_given_several_times(folders: dict[str, Path]) -> None:
    words = ["first", "--output", "o", "--data", str(folders["saliency"]), "--data", str(folders["davis"])]
    files = read_files(CONFIG, parser().parse_args(words).data)
    assert (len(files.stills), [len(video) for video in files.videos]) == (1, [4])


def test_videos_alone_do_not_make_samples(folders: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"no stills in '.*davis'.*--data"):
        read_files(CONFIG, [folders["davis"]])


def test_a_file_that_breaks_during_the_training_is_reported_once_and_skipped(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    drawer = build_drawer(CONFIG, read_files(CONFIG, [folders["shards"], folders["coco"], folders["saliency"]]))
    drawer.distractor_share, drawer.composite_share = 1.0, 1.0
    write(folders["saliency"], {"images/a.jpg": b"damaged"})
    (folders["coco"] / "train2017/000000000002.jpg").unlink()
    caplog.clear()
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert drawer._still(rng).facts.objects
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2 and all(message.endswith("; it is skipped") for message in messages)
    assert any("a.jpg" in message for message in messages) and any("000002.jpg" in message for message in messages)
