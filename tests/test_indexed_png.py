"""Masks of object ids are written with DAVIS's palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tracker.indexed_png import write_ids


def test_ids_and_their_colours_are_in_the_file(tmp_path: Path) -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_ids(tmp_path / "00000.png", ids)
    assert [path.name for path in tmp_path.iterdir()] == ["00000.png"]
    with Image.open(tmp_path / "00000.png") as image:
        assert image.mode == "P" and image.format == "PNG"
        assert np.array_equal(np.asarray(image), ids)
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert colours[[0, 1, 2, 9, 21]].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [191, 0, 0], [128, 64, 128]]
    assert colours[[22, 200, 255]].tolist() == [[22] * 3, [200] * 3, [255] * 3]
