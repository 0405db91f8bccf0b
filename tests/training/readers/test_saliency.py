"""Folders of images beside folders of masks: pairs by name, black and white masks, the rest reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.pictures import gray_png, image, labels, write
from tracker.training.readers.saliency import find_saliency, read_saliency

SOFT = gray_png(labels(60, 250))  # a soft edge is not an object


@pytest.mark.parametrize(
    ("images", "masks"),
    [("DUTS-TR-Image", "DUTS-TR-Mask"), ("images", "ground_truth_mask"), ("Imgs", "GT"), ("Imgs", "Imgs")],
)
def test_pairs_are_read_from_disk_in_the_order_of_their_names(tmp_path: Path, images: str, masks: str) -> None:
    files = {f"{images}/{key}.jpg": image() for key in ("b", "a")} | {f"{masks}/{key}.png": SOFT for key in ("a", "b")}
    write(tmp_path / "set", files | {f"{images}/Thumbs.db": b"", "DUTS-TE-Image/t.jpg": image()})
    found = find_saliency(tmp_path / "set")
    assert found == (tmp_path / "set" / images, tmp_path / "set" / masks)
    stills = read_saliency(*found).stills
    assert [frame.name for frame in stills] == ["set/a", "set/b"]
    assert isinstance(stills[0].image, str) and isinstance(stills[0].mask, str)
    assert np.array_equal(stills[0].decode()[1], labels(0, 1))


@pytest.mark.parametrize("masks", ["masks", "images"])
def test_files_without_a_partner_are_reported(tmp_path: Path, masks: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {"images/a.jpg": image(), "images/b.jpg": image(), f"{masks}/a.png": SOFT, f"{masks}/c.png": SOFT}
    found = find_saliency(write(tmp_path, files))
    assert found is not None
    assert [frame.name[-1] for frame in read_saliency(*found).stills] == ["a"]
    assert len(caplog.records) == 2
    assert "1 images without a mask" in caplog.text and "'b'" in caplog.text
    assert "1 masks without an image" in caplog.text and "'c'" in caplog.text


def test_images_without_masks_and_the_test_set_are_not_recognized(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": image(), "DUTS-TE-Image/a.jpg": image(), "DUTS-TE-Mask/a.png": SOFT})
    assert find_saliency(tmp_path) is None
