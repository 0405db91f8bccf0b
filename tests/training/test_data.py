"""Frames decode to RGB and object ids, from memory and from disk, and name what is damaged."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.training.pictures import SIZE, gray_png, image, labels, palette_png, write
from tracker.training.data import DataError, Frame, TrainingData


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palette_masks_are_read_as_indices_and_not_as_colors(bits: int) -> None:
    data = palette_png(labels(1, 2, 3), bits)
    assert (data[24], data[25]) == (bits, 3)
    assert not np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), labels(1, 2, 3))
    assert np.array_equal(Frame("a", image(), data).ids(), labels(1, 2, 3))


def test_gray_masks_keep_their_ids() -> None:
    assert np.array_equal(Frame("a", image(), gray_png(labels(1, 7, 255))).ids(), labels(1, 7, 255))


def test_the_object_of_a_one_bit_mask_is_1_and_not_void() -> None:
    stream = io.BytesIO()
    Image.fromarray(labels(255)).convert("1").save(stream, "PNG")
    assert stream.getvalue()[24] == 1
    assert np.array_equal(Frame("a", image(), stream.getvalue()).ids(), labels(1))


def test_color_images_are_no_ids() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*labels(1, 2).shape, 3)).astype(np.uint8)
    colors = cv2.imencode(".png", np.where(labels(1, 2)[:, :, None] > 0, noise, 0))[1].tobytes()
    with pytest.raises(DataError, match=r"'s/3'.*does not decode to object ids"):
        Frame("s/3", image(), colors).decode()
    assert np.array_equal(Frame("s/3", image(), colors, 0.0).ids(), labels(1, 1))


@pytest.mark.parametrize(("share", "expected"), [(0.0, (1, 1)), (0.5, (0, 1))])
def test_black_and_white_masks_are_cut_at_a_share_of_their_brightest_pixel(
    share: float, expected: tuple[int, int]
) -> None:
    frame = Frame("a", image(), gray_png(labels(40, 200)), share)
    assert np.array_equal(frame.decode()[1], labels(*expected))


def test_images_come_as_rgb_whatever_orientation_is_noted() -> None:
    picture = Image.new("RGB", SIZE[::-1], (250, 5, 5))
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter turn
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif)
    found, _ = Frame("a", stream.getvalue(), gray_png(labels(1))).decode()
    assert found.shape == (*SIZE, 3)
    assert (found[..., 0] > 200).all() and (found[..., 2] < 60).all()


def test_frames_on_disk_hold_paths_and_read_when_they_decode(tmp_path: Path) -> None:
    write(tmp_path, {"a.jpg": image(), "a.png": palette_png(labels(2))})
    frame = Frame("a", str(tmp_path / "a.jpg"), str(tmp_path / "a.png"))
    assert len(pickle.dumps(frame)) < 2 * len(str(tmp_path)) + 200
    expected = Frame("a", image(), palette_png(labels(2))).decode()
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(frame.decode(), expected, strict=True))
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"'a'.*a\.png' cannot be read"):
        frame.decode()


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        (b"", gray_png(labels(1))),
        (b"no image", gray_png(labels(1))),
        (image(), b""),
        (image(), b"no mask"),
        (image(), palette_png(labels(1))[:-40]),
        (image(), gray_png(labels(1))[:30]),
        (image(), gray_png(labels(1)[:-1])),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, picture: bytes, mask: bytes) -> None:
    with pytest.raises(DataError, match=r"training sample 's/00001' is damaged"):
        Frame("s/00001", picture, mask).decode()
    write(tmp_path, {"a.jpg": picture, "a.png": mask})
    with pytest.raises(DataError, match=r"a\.jpg', '.*a\.png'"):
        Frame("s/00001", str(tmp_path / "a.jpg"), str(tmp_path / "a.png")).decode()


def test_a_damaged_outline_is_named() -> None:
    class Outline:
        def ids(self) -> np.ndarray:
            raise ValueError("bad run lengths")

    with pytest.raises(DataError, match=r"'c#1' is damaged.*bad run lengths"):
        Frame("c#1", image(), Outline()).decode()


def test_sequences_of_one_name_from_two_sets_stay_apart() -> None:
    first, second = [Frame("bear/0", b"", b"")], [Frame("bear/0", b"1", b"")]
    data = TrainingData(videos={"bear": first}, held_out=1)
    data.add(TrainingData(stills=first, videos={"bear": second}, held_out=2))
    data.add(TrainingData(videos={"bear": second}))
    assert data.videos == {"bear": first, "bear (2)": second, "bear (3)": second}
    assert (data.stills, data.held_out) == (first, 3)
