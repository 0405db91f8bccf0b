"""Masks that are to be scored have their label's size and ids that count from 1."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.davis_folders import square
from tracker.data.davis_masks import DavisError, read_ids
from tracker.data.masks import write_ids


def encoded(values: np.ndarray, mode: str) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(file, format="PNG")
    return file.getvalue()


def test_what_is_no_mask_is_told(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    whole = encoded(square(3), "L")
    for data, sentence in (
        (encoded(colors, ""), "holds 2[0-9]+ colors, soft borders or a picture; save it as an indexed PNG"),
        (encoded(square(3).astype(np.uint16) * 300, ""), "holds the id 300; number the objects from 1, at most to 254"),
        (b"", "is damaged or not an image"),
        (b"text", "is damaged or not an image"),
        (whole[: len(whole) // 2], "is damaged or not an image"),
    ):
        (tmp_path / "b.png").write_bytes(data)
        with pytest.raises(DavisError, match=rf"mask '.*/b.png' {sentence}"):
            read_ids(tmp_path / "b.png", (40, 60))


def test_a_mask_of_another_size_and_a_missing_one(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.png", square(3))
    with pytest.raises(DavisError, match=r"a.png' has 60 x 40 pixels, its label has 30 x 20"):
        read_ids(tmp_path / "a.png", (20, 30))
    with pytest.raises(DavisError, match=r"b.png' is missing; name a PNG file"):
        read_ids(tmp_path / "b.png", (20, 30))
