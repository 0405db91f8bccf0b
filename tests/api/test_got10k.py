"""The interface of the got10k toolkit: names, kinds of images, boxes and times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.api.test_videos import BOX, LENGTH, clip, folder
from tests.robustness import tiny
from tests.robustness.tiny import tiny_engine
from tracker import DMB, GOT10kTracker
from tracker.data.images import ImageError
from tracker.geometry.region import RegionError
from tracker.tracking.tracker import StateError

# the tiny network's filter has four cells a side, too few to follow two pixels a frame by itself
CONFIG = replace(tiny.CONFIG, trust=replace(tiny.CONFIG.trust, correct_center=True))


def made(origin: int = 0) -> GOT10kTracker:
    return GOT10kTracker(tiny_engine(), CONFIG, origin=origin)


def test_what_the_toolkit_asks_for() -> None:
    tracker = made()
    assert tracker.name == "DMB" and tracker.is_deterministic
    assert GOT10kTracker(tiny_engine(), CONFIG, name="mine").name == "mine"


def test_init_and_update_answer_the_boxes_of_dmb() -> None:
    tracker, dmb, frames = made(), DMB(tiny_engine(), CONFIG), clip()
    tracker.init(Image.fromarray(frames[0]), np.array(BOX))
    dmb.initialize(frames[0], BOX, masks=False)
    for frame in frames[1:]:
        box = tracker.update(Image.fromarray(frame))
        assert box.shape == (4,) and box.dtype == np.float64
        assert tuple(box) == dmb.track(frame).box
    assert box[:2] == pytest.approx((40 + 2 * (LENGTH - 1), 40 + LENGTH - 1), abs=2), "the target is followed"


@pytest.mark.parametrize("kind", ["paths", "images", "arrays", "gray images"])
def test_track_takes_files_images_and_arrays(tmp_path: Path, kind: str) -> None:
    frames = clip()
    files = sorted(folder(tmp_path / "frames", frames).iterdir())
    images = {"paths": [str(file) for file in files], "images": [Image.open(file) for file in files],
              "arrays": frames, "gray images": [Image.open(file).convert("L") for file in files]}[kind]  # fmt: skip
    boxes, times = made().track(images, np.array(BOX), visualize=False)
    assert boxes.shape == (LENGTH, 4) and times.shape == (LENGTH,) and (times > 0).all()
    assert tuple(boxes[0]) == BOX
    if kind != "gray images":
        expected, _ = made().track(frames, np.array(BOX))
        assert np.array_equal(boxes, expected)


def test_boxes_may_count_from_one() -> None:
    boxes, _ = made().track(clip(), np.array(BOX))
    shift = np.array([1, 1, 0, 0])
    shifted, _ = made(origin=1).track(clip(), np.array(BOX) + shift)
    assert np.array_equal(shifted, boxes + shift)


def test_mistakes_get_a_sentence(tmp_path: Path) -> None:
    tracker, frames = made(), clip()
    with pytest.raises(StateError, match="initialize"):
        tracker.update(frames[0])
    with pytest.raises(RegionError, match="outside the image"):
        tracker.init(frames[0], (900, 900, 5, 5))
    with pytest.raises(RegionError):
        tracker.init(frames[0], "a box")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="picture"):
        tracker.track([tmp_path / "picture.jpg"], BOX)
    with pytest.raises(ValueError, match="no images"):
        tracker.track([], BOX)
    with pytest.raises(ValueError, match="origin is 2"):
        made(origin=2)


def test_frames_are_shown_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = clip()
    shown: list[np.ndarray] = []
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append(image.copy()))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: -1)
    monkeypatch.setattr(cv2, "destroyWindow", lambda name: shown.append(np.zeros(0)))
    monkeypatch.setattr("tracker.api.got10k.has_display", lambda: True)
    expected, _ = made().track(frames, BOX)
    boxes, _ = made().track(frames, BOX, visualize=True)
    assert np.array_equal(boxes, expected) and len(shown) == LENGTH + 1 and not shown[-1].size
    left, top = (round(value) for value in BOX[:2])
    assert shown[0][top, left + 3].tolist() == [0, 0, 255], "red in OpenCV's order"
    monkeypatch.setattr("tracker.api.got10k.has_display", lambda: False)
    with pytest.warns(UserWarning, match="there is no display to show frames on"):
        boxes, _ = made().track(frames, BOX, visualize=True)
    assert np.array_equal(boxes, expected) and len(shown) == LENGTH + 1


def test_without_a_model_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tracker.api.videos.load_tracker", lambda settings: DMB(tiny_engine(), settings.tracker_config())
    )
    monkeypatch.setenv("DMB_MAX_FRAMES", "3")
    assert GOT10kTracker().dmb.config.appearance.max_frames == 3
    assert GOT10kTracker(None, CONFIG).dmb.config is CONFIG
