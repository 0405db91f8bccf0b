"""DAVIS is read in its official and in the plain layout, and what is wrong with it is said in one sentence."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.data.davis_folders import SHAPE, picture, source, square, two_squares, write_davis
from tracker.data.davis import DavisSequence, Source, open_davis
from tracker.data.davis_masks import DavisError


def read(what: Source) -> list[DavisSequence]:
    with open_davis(what) as sequences:
        return sequences


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    frames = [two_squares(index) for index in range(4)]
    return write_davis(tmp_path / "DAVIS", {"one": frames, "two": frames[:3]})


def plain(folder: Path, labels: list[np.ndarray], suffix: str = ".webp") -> Path:
    folder.mkdir(parents=True)
    for index, ids in enumerate(labels):
        cv2.imwrite(str(folder / f"{index:05d}{suffix}"), picture(np.minimum(ids, 1))[..., ::-1])
        cv2.imwrite(str(folder / f"{index:05d}.png"), ids)
    return folder


def test_the_official_layout(davis: Path) -> None:
    one, two = read(source(davis))
    assert (one.name, two.name) == ("one", "two")
    assert one.frames == ("00000", "00001", "00002", "00003") and one.objects == 2
    assert np.array_equal(one.label("00002"), two_squares(2))
    assert np.allclose(one.image("00000")[6, 6], (220, 30, 30), atol=40)  # RGB; JPEG blurs
    assert one.image("00000").shape == (*SHAPE, 3)


def test_2016_makes_one_object_of_all(davis: Path) -> None:
    (davis / "ImageSets" / "480p").mkdir()
    line = "/JPEGImages/480p/two/{0}.jpg /Annotations/480p/two/{0}.png\n"
    (davis / "ImageSets" / "480p" / "val.txt").write_text("".join(line.format(f"{i:05d}") for i in range(3)))
    (two,) = read(source(davis, 2016))
    assert two.name == "two" and two.objects == 1
    assert np.array_equal(two.label("00001"), two_squares(1) > 0)


def test_splits_sequences_and_limits(davis: Path, tmp_path: Path) -> None:
    (davis / "ImageSets" / "2017" / "train.txt").write_text("two\n\n")
    assert [each.name for each in read(source(davis, split="train"))] == ["two"]
    names = tmp_path / "names.txt"
    names.write_text("two\none\ntwo\n")
    assert [each.name for each in read(source(davis, split=str(names)))] == ["two", "one"]
    assert [each.name for each in read(source(davis, sequences=("one",)))] == ["one"]
    assert read(source(davis, limit=3))[0].frames == ("00000", "00001", "00002")


def test_void_and_objects_that_come_later(tmp_path: Path) -> None:
    frames = [two_squares(0), two_squares(0) + square(0, 36, 3, 255), two_squares(0) + square(0, 36, 3, 3)]
    (each,) = read(source(write_davis(tmp_path, {"one": frames})))
    assert each.objects == 2 and np.count_nonzero(each.label("00001") == 255) == 9
    assert each.label("00002").max() == 2, "the official evaluation knows the objects of the first label only"
    (merged,) = read(source(tmp_path, 2016, sequences=("one",)))
    assert np.count_nonzero(merged.label("00001") == 255) == 9, "255 beside other ids is void in any year"


@pytest.mark.parametrize("value", [1, 255])
def test_plain_folders_and_tar_files(tmp_path: Path, value: int) -> None:
    folder = plain(tmp_path / "all" / "one", [square(left, value=value) for left in (0, 3, 6)])
    packed = tmp_path / "all.tar"
    with tarfile.open(packed, "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, f"one/{file.name}")
    for root in (tmp_path / "all", packed):
        with open_davis(source(root, 2016)) as (one,):
            assert one.objects == 1 and np.array_equal(one.label("00001"), square(3))
            assert one.image("00001").shape == (*SHAPE, 3)


def test_sentences_about_a_damaged_davis(davis: Path) -> None:
    labels = davis / "Annotations" / "480p" / "one"
    (labels / "00001.png").unlink()
    (labels / "00002.png").write_bytes(b"label")
    (davis / "JPEGImages" / "480p" / "one" / "00003.jpg").write_bytes(b"image")
    one = read(source(davis))[0]
    for action, sentence in (
        (lambda: one.label("00001"), "label '.*one/00001.png' is missing; restore it"),
        (lambda: one.label("00002"), "mask '.*one/00002.png' is damaged or not an image"),
        (lambda: one.image("00003"), "image '.*one/00003.jpg' is damaged or not an image"),
    ):
        with pytest.raises(DavisError, match=sentence):
            action()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"root": "nowhere"}, "'{root}/nowhere' does not exist"),
        ({"root": "."}, "'{root}' is not DAVIS but holds it; use --root {root}/DAVIS"),
        ({"split": "test-dev"}, "there is no list '{root}/DAVIS/ImageSets/2017/test-dev.txt' and no file 'test-dev'"),
        ({"year": 2016}, "there is no list '{root}/DAVIS/ImageSets/2016/val.txt'"),
        ({"sequences": ("three",)}, "there is no sequence 'three' in '{root}/DAVIS/JPEGImages'; it holds: one, two"),
    ],
)
def test_sentences_about_the_choice(davis: Path, options: dict, sentence: str) -> None:
    root = davis.parent / options.pop("root", "DAVIS")
    with pytest.raises(DavisError, match=re.escape(sentence.format(root=davis.parent))):
        read(source(root, **options))


def test_sentences_about_labels_without_objects(tmp_path: Path) -> None:
    plain(tmp_path / "black", [square(0, value=0)] * 3)
    plain(tmp_path / "white", [square(0, value=255)] * 3)
    plain(tmp_path / "short", [square(0)] * 2)
    for name, year, sentence in (
        ("black", 2016, "the first label of '.*black' is empty"),
        ("white", 2017, "holds only 0 and 255, which is void in DAVIS 2017; .* use --year 2016"),
        ("short", 2017, "'.*short' holds 2 images .* at least 3"),
    ):
        (each,) = read(source(tmp_path, year, sequences=(name,)))
        with pytest.raises(DavisError, match=sentence):
            assert each.objects
