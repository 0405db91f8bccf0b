"""Right masks beside the answers: overlaps by hand, and folders that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media.clips import SIZE, answer, square
from tracker.indexed_png import write_ids
from tracker.media.frames import SourceError
from tracker.media.truth import Truth


def test_overlaps_by_hand(tmp_path: Path) -> None:
    Image.fromarray(square(10).astype(np.uint8) * 255).save(tmp_path / "00003.png")
    truth, first, second = Truth(tmp_path), answer(square(10)), answer(square(20))
    assert truth.overlaps(3, {1: first}) == {1: 1.0}
    assert truth.overlaps(3, {7: second}) == {7: pytest.approx(10 / 30)}  # 10 of 20 columns in common
    assert truth.overlaps(4, {1: first}) == {}


def test_several_objects_have_ids(tmp_path: Path) -> None:
    ids = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    ids[square(2, 2, 10)], ids[square(40)] = 1, 5
    write_ids(tmp_path / "00000.png", ids)
    answers = {1: answer(square(2, 2, 10)), 5: answer(square(45)), 6: answer(np.zeros(ids.shape, np.bool_))}
    found = Truth(tmp_path).overlaps(0, answers)
    assert found == {1: 1.0, 5: pytest.approx(15 / 24), 6: 1.0}


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SourceError, match=r"which holds no masks; name a folder with 00000\.png"):
            Truth(folder)
    (tmp_path / "00000.png").write_bytes(b"damaged")
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "00001.png")
    truth = Truth(tmp_path)
    with pytest.raises(SourceError, match=r"00000\.png' cannot be read as a mask .*; restore it"):
        truth.overlaps(0, {1: answer(square(3))})
    with pytest.raises(SourceError, match=r"00001\.png' has 6 x 4 pixels, the frame 64 x 48; give masks"):
        truth.overlaps(1, {1: answer(square(3))})
