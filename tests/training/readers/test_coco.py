"""COCO instance masks: polygons and run lengths become stills; crowds and small things do not."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coder

from tests.training.pictures import SIZE, image, write
from tracker.training.data import DataError, TrainingData
from tracker.training.readers.coco import find_coco, read_coco

SQUARE = [10.0, 5.0, 60.0, 5.0, 60.0, 45.0, 10.0, 45.0]  # x, y
BOX = (slice(5, 45), slice(10, 60))
MASK = np.zeros(SIZE, np.uint8)
MASK[BOX] = 1


def thing(number: int, outline: object, image_id: int = 2, **facts: object) -> dict[str, object]:
    return {"id": number, "image_id": image_id, "segmentation": outline, "area": 2000.0, "iscrowd": 0, **facts}


def counted() -> dict[str, object]:
    """The mask as uncompressed run lengths, in columns, zeros first."""
    runs, value = [0], 0
    for pixel in MASK.T.ravel():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return {"size": list(SIZE), "counts": runs}


def compressed() -> dict[str, object]:
    code = coder.encode(np.asfortranarray(MASK))
    return {"size": list(SIZE), "counts": code["counts"].decode()}


def make(folder: Path, *things: dict[str, object]) -> Path:
    pictures = [{"id": n, "file_name": f"{n:012d}.jpg", "height": SIZE[0], "width": SIZE[1]} for n in (1, 2, 3)]
    table = json.dumps({"images": pictures, "annotations": things}).encode()
    files = {"annotations/instances_train2017.json": table, "annotations/captions_train2017.json": b"{}"}
    return write(folder, files | {f"train2017/{n:012d}.jpg": image() for n in (1, 2)})


def read(folder: Path) -> TrainingData:
    [found] = find_coco(folder)
    return read_coco(*found)


@pytest.mark.parametrize(
    "outline",
    [[SQUARE], [[1.0, 2.0, 3.0, 4.0], SQUARE], counted(), compressed()],
    ids=["polygon", "line and polygon", "counts", "compressed"],
)
def test_outlines_become_masks(tmp_path: Path, outline: object) -> None:
    [still] = read(make(tmp_path, thing(5, outline))).stills
    assert still.name == "train2017/000000000002.jpg#5"
    assert still.image == str(tmp_path / "train2017/000000000002.jpg")
    picture, mask = still.decode()
    assert picture.shape == (*SIZE, 3)
    assert np.array_equal(mask, MASK)


def test_the_parts_of_one_thing_are_joined(tmp_path: Path) -> None:
    outline = [[0.0, 0.0, 40.0, 0.0, 40.0, 60.0, 0.0, 60.0], [50.0, 0.0, 80.0, 0.0, 80.0, 60.0, 50.0, 60.0]]
    [still] = read(make(tmp_path, thing(5, outline))).stills
    _, mask = still.decode()
    assert mask[:, :40].all() and mask[:, 50:].all() and not mask[:, 40:50].any()


def test_run_lengths_that_do_not_fit_are_found_when_they_are_drawn(tmp_path: Path) -> None:
    [still] = read(make(tmp_path, thing(5, {"size": list(SIZE), "counts": "abc"}))).stills
    with pytest.raises(DataError, match=r"000002\.jpg#5' is damaged"):
        still.decode()


def test_crowds_and_small_things_are_left_out_and_the_order_is_by_image(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    things = [
        thing(9, [SQUARE], image_id=2),
        thing(3, counted(), iscrowd=1),
        thing(4, [SQUARE], area=1023.0),
        thing(8, [SQUARE], image_id=2, area=1024.0),
        thing(10, [SQUARE], image_id=1),
    ]
    names = [still.name.rpartition("#")[2] for still in read(make(tmp_path, *things)).stills]
    assert names == ["10", "8", "9"]
    assert not caplog.records


def test_annotations_without_image_or_outline_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = [[], [[1.0, 2.0, 3.0, 4.0]], None, {"size": [1, 2], "counts": [2]}, {"size": list(SIZE), "counts": [7]}]
    broken += [[["a"] * 6], {"size": None, "counts": "x"}]
    things = [thing(20 + index, outline) for index, outline in enumerate(broken)]
    things += [thing(5, [SQUARE], image_id=3), thing(6, [SQUARE], image_id=77), thing(7, [SQUARE])]
    assert [still.name[-2:] for still in read(make(tmp_path, *things)).stills] == ["#7"]
    messages = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == 2
    assert any("2 annotations without their image" in message for message in messages)
    assert any("7 annotations without an outline" in message and "#20'" in message for message in messages)


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b"{}", b'{"images": [{}], "annotations": []}'])
def test_a_damaged_file_is_named_in_one_sentence(tmp_path: Path, text: bytes) -> None:
    write(make(tmp_path), {"annotations/instances_train2017.json": text})
    with pytest.raises(DataError, match=r"instances_train2017\.json' are damaged or of another kind") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, thing(5, [SQUARE]))
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(DataError, match=r"pip install pycocotools$"):
        read(tmp_path)


def test_only_training_annotations_beside_their_images_are_found(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path, {"annotations/instances_val2017.json": b"", "val2017/1.jpg": b""})
    write(tmp_path, {"annotations/instances_train2014.json": b""})
    assert [path.name for path, _ in find_coco(tmp_path)] == ["instances_train2017.json"]
