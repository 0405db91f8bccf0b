"""What is to be tracked, from options, mask files and a drawn box."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.media.clips import SIZE, scene, square
from tracker.data.masks import write_ids
from tracker.geometry.region import RegionError
from tracker.media.targets import Given, draw_box, has_display, make_targets, read_masks

SHAPE = (SIZE[1], SIZE[0])
BOX = Given("box", (10.0, 14.0, 20.0, 20.0))


def test_every_id_of_an_indexed_file_is_an_object(tmp_path: Path) -> None:
    ids = np.zeros(SHAPE, np.uint8)
    ids[square(2, 2, 10)], ids[square(30)], ids[square(50, 30, 8)] = 2, 5, 255  # 255 is void
    path = tmp_path / "ids.png"
    write_ids(path, ids)
    masks = read_masks(path)
    assert list(masks) == [2, 5] and np.array_equal(masks[5], ids == 5)
    assert [target.object_id for target in make_targets([Given("mask", path)], SHAPE)] == [2, 5]
    both = make_targets([BOX, Given("mask", path)], SHAPE)
    assert [target.object_id for target in both] == [1, 2, 3] and both[0].region == BOX.value
    gray = tmp_path / "gray.png"
    Image.fromarray(ids).save(gray)
    assert list(read_masks(gray)) == [2, 5]


@pytest.mark.parametrize("kind", ["1-bit", "gray", "RGB", "indexed"])
def test_one_object_is_one_whatever_its_value(tmp_path: Path, kind: str) -> None:
    path, mask = tmp_path / "mask.png", square(20)
    if kind == "indexed":
        write_ids(path, np.asarray(mask * 3, np.uint8))
    else:
        image = Image.fromarray(mask.astype(np.uint8) * 255)
        image.convert({"1-bit": "1", "gray": "L", "RGB": "RGB"}[kind]).save(path)
    targets = make_targets([Given("mask", path)], SHAPE)
    assert len(targets) == 1 and targets[0].object_id == 1 and np.array_equal(targets[0].region, mask)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere.png", "the file cannot be read .No such file"),
        ("text.png", "the file is damaged or not an image"),
        ("empty.png", "the mask is empty"),
        ("colors.png", "holds [0-9]+ colors, soft borders or a picture; save it as an indexed PNG"),
        ("soft.png", r"holds values between black and white \(soft borders\?\); save it as an indexed PNG"),
        ("picture.png", r"holds 200 values, too many for objects; save it .* at most 64, or black and white"),
        ("small.png", "the mask has 32 x 24 pixels, the image 64 x 48"),
    ],
)
def test_an_unusable_mask_file_is_one_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "empty.png")
    noise = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "colors.png")
    large = square(20).repeat(4, 0).repeat(4, 1).astype(np.uint8) * 255
    Image.fromarray(large).resize((63, 47), Image.Resampling.BILINEAR).resize(SIZE).save(tmp_path / "soft.png")
    write_ids(tmp_path / "picture.png", (np.arange(64 * 48).reshape(SHAPE) % 201).astype(np.uint8))
    Image.fromarray(square(20)[:24, :32].astype(np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(RegionError, match=sentence) as error:
        make_targets([Given("mask", tmp_path / name)], SHAPE)
    assert str(error.value).startswith(f"--mask {tmp_path}/{name}: ")


def test_a_region_outside_names_its_option() -> None:
    with pytest.raises(RegionError, match=r"^--box 90,10,5,5: the box 90, 10, 5, 5 lies outside the image"):
        make_targets([BOX, Given("box", (90.0, 10.0, 5.0, 5.0))], SHAPE)


@pytest.mark.parametrize(
    ("region", "told"),
    [
        (Given("box", (-3.0, 4.0, 20.0, 20.0)), "--box -3,4,20,20: the box reaches beyond the image of 64 x 48 pixels"),
        (Given("box", (60.0, 4.0, 90.0, 9.0)), "beyond the image of 64 x 48 pixels and covers only 36 pixels of it"),
        (Given("box", (10.0, 10.0, 4.0, 4.0)), "the box covers only 16 pixels; so small a target is easily lost"),
        (Given("box", (0.0, 0.0, 64.0, 48.0)), "the box covers 100% of the image; check its numbers"),
        (Given("polygon", (5.0, 5.0, 90.0, 5.0, 30.0, 40.0)), "the polygon reaches beyond the image of 64 x 48"),
        (Given("polygon", (5.0, 5.0, 9.0, 5.0, 9.0, 8.0)), "the polygon covers only 12 pixels"),
    ],
)
def test_a_region_that_is_hardly_meant_so_is_noted(region: Given, told: str) -> None:
    notes: list[str] = []
    assert len(make_targets([region, BOX], SHAPE, notes.append)) == 2
    assert len(notes) == 1 and told in notes[0] and notes[0].startswith(str(region)), notes


@pytest.mark.parametrize(
    "region",
    [
        BOX,
        Given("box", (-0.6, 0.0, 20.0, 48.4)),  # rounded, as other programs write boxes
        Given("box", (0.0, 0.0, 60.0, 40.0)),
        Given("polygon", (0.0, 0.0, 30.0, 2.0, 28.0, 30.0, 1.0, 29.0)),
    ],
)
def test_a_usual_region_is_not_noted(region: Given) -> None:
    notes: list[str] = []
    make_targets([region], SHAPE, notes.append)
    assert not notes


def test_an_inverted_mask_and_tiny_objects_are_noted(tmp_path: Path) -> None:
    path, notes = tmp_path / "mask.png", []
    Image.fromarray((~square(20, size=8)).astype(np.uint8) * 255).save(path)
    make_targets([Given("mask", path)], SHAPE, notes.append)
    assert notes == [f"--mask {path}: the mask covers 98% of the image; is the object marked, and not the background?"]
    ids = np.zeros(SHAPE, np.uint8)
    ids[square(2, 2, 10)], ids[40, 40] = 2, 5
    write_ids(path, ids)
    notes.clear()
    make_targets([Given("mask", path)], SHAPE, notes.append)
    assert notes == [f"--mask {path}, object 5: the mask covers only 1 pixel; so small a target is easily lost"]


def test_a_box_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(cv2, "selectROI", lambda window, image, **options: seen.append(image) or (3, 4, 10, 12))
    monkeypatch.setattr(cv2, "destroyWindow", lambda window: None)
    assert draw_box(scene(0)) == Given("box", (3.0, 4.0, 10.0, 12.0))
    assert np.array_equal(seen[0][..., ::-1], scene(0))  # OpenCV shows BGR
    monkeypatch.setattr(cv2, "selectROI", lambda *_, **options: (0, 0, 0, 0))
    with pytest.raises(RegionError, match="no box was drawn"):
        draw_box(scene(0))


@pytest.mark.skipif("not __import__('sys').platform.startswith('linux')")
def test_a_display_is_one_of_x_or_wayland() -> None:
    assert has_display({"DISPLAY": ":0"}) and has_display({"WAYLAND_DISPLAY": "wayland-0"}) and not has_display({})


@pytest.mark.parametrize("values", [(128, 255), (64, 255), (254, 255), (1, 64)])
def test_grays_are_soft_borders_and_no_objects_unless_there_is_a_palette(
    tmp_path: Path, values: tuple[int, int]
) -> None:
    ids = np.zeros(SHAPE, np.uint8)
    ids[square(2, 2, 10)], ids[square(30)] = values
    Image.fromarray(ids).save(tmp_path / "gray.png")
    Image.fromarray(ids).convert("RGB").save(tmp_path / "rgb.png")
    for name in ("gray.png", "rgb.png"):
        with pytest.raises(RegionError, match="soft borders"):
            read_masks(tmp_path / name)
    write_ids(tmp_path / "indexed.png", ids)
    assert list(read_masks(tmp_path / "indexed.png")) == [value for value in values if value != 255]


@pytest.mark.parametrize("value", [1, 128, 255])
def test_a_gray_file_of_one_value_is_one_object(tmp_path: Path, value: int) -> None:
    Image.fromarray(square(20).astype(np.uint8) * value).save(tmp_path / "gray.png")
    assert list(read_masks(tmp_path / "gray.png")) == [value]
