"""Masks of ids survive PNG files, whatever kind of PNG file it is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.davis_folders import square
from tracker.benchmarks.davis_masks import DavisError, decode_ids, read_ids
from tracker.indexed_png import write_ids


def encoded(values: np.ndarray, mode: str) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_grey_images_of_any_kind_hold_ids(mode: str) -> None:
    assert np.array_equal(decode_ids(encoded(square(3, value=2), mode), "x"), square(3, value=2))


def test_black_and_white_images_hold_0_and_1() -> None:
    assert np.array_equal(decode_ids(encoded(square(3, value=255), "1"), "x"), square(3))


def test_what_is_no_mask_is_told() -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[0, 0, 0] = 128
    for data in (encoded(colour, ""), encoded(np.full((4, 4), 300, np.uint16), "")):
        with pytest.raises(DavisError, match=r"mask 'a/b.png' is a colour or 16-bit image; give object ids"):
            decode_ids(data, "a/b.png")
    whole = encoded(square(3), "L")
    for data in (b"", b"text", whole[: len(whole) // 2]):
        with pytest.raises(DavisError, match=r"mask 'a/b.png' is damaged or no image"):
            decode_ids(data, "a/b.png")


def test_a_mask_of_another_size_and_a_missing_one(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.png", square(3))
    with pytest.raises(DavisError, match=r"a.png' has 60 x 40 pixels, its label has 30 x 20"):
        read_ids(tmp_path / "a.png", (20, 30))
    with pytest.raises(DavisError, match=r"b.png' is missing; give SEQUENCE/00000.png for every frame"):
        read_ids(tmp_path / "b.png", (20, 30))
