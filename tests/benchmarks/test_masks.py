"""Region similarity on sequences with masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.doubles import Answer, StillTracker
from tracker.benchmarks.masks import SequenceError, frames, main, run

SHAPE = (40, 60)


def square(left: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[10:30, left : left + 20] = True
    return mask


def write(folder: Path, masks: list[NDArray[np.bool_]]) -> Path:
    folder.mkdir(parents=True)
    for index, mask in enumerate(masks):
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.full((*SHAPE, 3), (10, 20, 200), np.uint8))
        cv2.imwrite(str(folder / f"{index:05d}.png"), mask.astype(np.uint8))  # ids, as DAVIS has them
    return folder


def test_frames_are_rgb_and_in_order(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [square(0), square(5), square(9)])
    images, masks = zip(*frames(folder), strict=True)
    assert np.allclose(images[0][0, 0], (200, 20, 10), atol=3)
    assert [int(mask.any(0).argmax()) for mask in masks] == [0, 5, 9]


@pytest.mark.parametrize("from_box", [False, True])
def test_the_first_frame_does_not_count(tmp_path: Path, from_box: bool) -> None:
    folder = write(tmp_path / "a", [square(0), square(10), square(40)])
    score = run(StillTracker(), folder, from_box=from_box, overlays=tmp_path / "overlays", every=2)  # type: ignore[arg-type]
    assert score.overlaps == pytest.approx([1 / 3, 0])
    assert score.mean == score.start == pytest.approx(1 / 6)
    assert len(score.boundaries) == 2 and score.boundary_mean == pytest.approx(np.mean(score.boundaries))
    assert score.boundaries[0] > score.boundaries[1]
    assert sorted(path.name for path in (tmp_path / "overlays").iterdir()) == ["a_00000.jpg", "a_00002.jpg"]


class BoxTracker(StillTracker):
    """Remembers what it was given."""

    given: object = None

    def initialize(self, image: NDArray[np.uint8], region: object) -> Answer:
        self.given = region
        return super().initialize(image, region)


def test_from_a_box_the_mask_is_not_given_away(tmp_path: Path) -> None:
    tracker = BoxTracker()
    run(tracker, write(tmp_path / "a", [square(7)] * 2), from_box=True)  # type: ignore[arg-type]
    assert tuple(np.asarray(tracker.given)) == (7, 10, 20, 20)


def test_damaged_sequences_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "a", [square(0)] * 3)
    (folder / "00001.png").unlink()
    with pytest.raises(SequenceError, match=r"00001\.jpg"):
        list(frames(folder))
    with pytest.raises(SequenceError, match="fewer than two images"):
        list(frames(tmp_path))
    with pytest.raises(SequenceError, match="empty; there is nothing to track"):
        run(StillTracker(), write(tmp_path / "b", [np.zeros(SHAPE, np.bool_)] * 2), from_box=False)  # type: ignore[arg-type]
    (tmp_path / "none").mkdir()
    assert main([str(tmp_path / "none")]) == 1
    assert "holds no sequences" in capsys.readouterr().err


def test_the_command_scores_with_the_real_tracker(
    tmp_path: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", [square(20)] * 3)
    for name, value in (("WEIGHTS", weights_file), ("CROP_SIZE", 64), ("DEVICE", "cpu")):
        monkeypatch.setenv(f"DMB_{name}", str(value))
    assert main([str(tmp_path), "--init", "box"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a ") and "J " in lines[0]
    assert last.startswith("mean") and last.endswith("initialised from the box")


def test_a_bad_setting_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", [square(20)] * 2)
    monkeypatch.setenv("DMB_WEIGHTS", str(tmp_path / "none.safetensors"))
    assert main([str(tmp_path)]) == 1
    assert "none.safetensors" in capsys.readouterr().err
