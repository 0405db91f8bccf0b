"""Several videos with one engine: from arrays, images, folders; each independent of the others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB, Result, track_videos
from tracker.api.videos import read_video, shared_engine
from tracker.checkpoints.weights import WeightsError
from tracker.data.images import ImageError
from tracker.geometry.region import RegionError
from tracker.media.frames import SourceError

BOX = (40.0, 40.0, 24.0, 20.0)
LENGTH = 5


def clip(step: int = 2) -> list[np.ndarray]:
    """A red box that moves over a textured background, `step` pixels a frame."""
    small = np.random.default_rng(0).integers(40, 140, (9, 12, 3), dtype=np.uint8)
    frames = []
    for index in range(LENGTH):
        image = np.ascontiguousarray(cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC))
        corner = (40 + step * index, 40 + index)
        cv2.rectangle(image, corner, (corner[0] + 23, corner[1] + 19), (230, 20, 30), -1)
        frames.append(image)
    return frames  # type: ignore[return-value]


def folder(directory: Path, frames: list[np.ndarray]) -> Path:
    directory.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(directory / f"{index}.png")
    return directory


def boxes(results: list[Result]) -> list[tuple[float, ...]]:
    return [result.box for result in results]


def test_every_video_is_tracked_as_if_alone(tmp_path: Path) -> None:
    engine, slow, fast = tiny_engine(), clip(1), clip(3)
    videos = [slow, folder(tmp_path / "fast", fast), (Image.fromarray(frame) for frame in slow), []]
    found = [list(results) for results in track_videos(videos, [BOX] * 4, engine, CONFIG)]
    alone = []
    for frames in (slow, fast):
        dmb = DMB(engine, CONFIG)
        alone.append([dmb.initialize(frames[0], BOX), *map(dmb.track, frames[1:])])
    assert boxes(found[0]) == boxes(found[2]) == boxes(alone[0])
    assert boxes(found[1]) == boxes(alone[1]) != boxes(alone[0])
    assert [len(results) for results in found] == [LENGTH, LENGTH, LENGTH, 0]
    assert found[0][-1].box[0] == pytest.approx(40 + LENGTH - 1, abs=2), "the target is followed"


def test_videos_may_be_followed_side_by_side_and_are_read_frame_by_frame() -> None:
    engine, read = tiny_engine(), []

    def frames(name: str, step: int):  # type: ignore[no-untyped-def]
        for frame in clip(step):
            read.append(name)
            yield frame

    first, second = track_videos([frames("a", 1), frames("b", 3)], [BOX, BOX], engine, CONFIG)
    assert not read
    pairs = list(zip(first, second, strict=True))
    assert read == ["a", "b"] * LENGTH
    apart = [list(results) for results in track_videos([clip(1), clip(3)], [BOX, BOX], engine, CONFIG)]
    assert [boxes(list(results)) for results in zip(*pairs, strict=True)] == [boxes(results) for results in apart]


def test_a_bad_video_does_not_stop_the_next() -> None:
    outcomes: list[object] = []
    videos = ["nowhere.mp4", clip(), [np.zeros((9, 9, 4), np.uint8)], clip()]
    for results in track_videos(videos, [BOX, (500, 500, 5, 5), BOX, BOX], tiny_engine(), CONFIG):
        try:
            outcomes.append(len(list(results)))
        except ValueError as error:
            outcomes.append(type(error))
    assert outcomes == [SourceError, RegionError, ImageError, LENGTH]


@pytest.mark.parametrize(("videos", "regions", "more"), [(2, 1, "videos than regions"), (1, 2, "regions than videos")])
def test_a_region_for_every_video(videos: int, regions: int, more: str) -> None:
    found = track_videos([clip()] * videos, [BOX] * regions, tiny_engine(), CONFIG)
    assert len(list(next(found))) == LENGTH
    with pytest.raises(ValueError, match=rf"there are more {more} \(1\); give one region for every video"):
        next(found)


def test_a_frame_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    path = folder(tmp_path / "frames", clip())
    (path / "2.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"2\.png"):
        assert len(list(read_video(path))) == LENGTH - 1


def test_without_a_model_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMB_WEIGHTS", "/nowhere/weights.safetensors")
    with pytest.raises(WeightsError, match=r"/nowhere/weights\.safetensors"):
        shared_engine(None)
    engine = tiny_engine()
    assert shared_engine(engine)[0] is engine and shared_engine(engine.model)[0].model is engine.model


def test_the_trackers_part_of_the_environment_counts_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny_engine()
    monkeypatch.setattr("tracker.api.videos.load_tracker", lambda settings: DMB(engine, settings.tracker_config()))
    monkeypatch.setenv("DMB_CROP_SIZE", "64")
    monkeypatch.setenv("DMB_MAX_FRAMES", "3")
    found, config = shared_engine(None)
    assert found is engine and config is not None
    assert config.appearance.max_frames == 3 and config.crop.segment_size == 64
    assert shared_engine(None, CONFIG) == (engine, CONFIG)
    assert shared_engine(engine) == (engine, None), "who brings an engine says what its trackers shall do"
    made: list[DMB] = []

    class Seen(DMB):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr("tracker.api.videos.DMB", Seen)
    next(track_videos([clip()], [BOX]))
    next(track_videos([clip()], [BOX], None, CONFIG))
    assert [dmb.config.appearance.max_frames for dmb in made] == [3, CONFIG.appearance.max_frames]


def test_an_empty_path_is_an_error_and_an_empty_iterable_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing, empty = track_videos([[], tmp_path / "empty"], [BOX, BOX], tiny_engine(), CONFIG)
    assert list(nothing) == []
    with pytest.raises(SourceError, match="holds no images"):
        list(empty)
