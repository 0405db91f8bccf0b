"""Several videos after each other, with the network loaded once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from tracker.api.loading import load_tracker
from tracker.config import TrackerConfig
from tracker.engine.engine import Engine
from tracker.network import DMBNet
from tracker.settings import from_environment
from tracker.tracking.result import Result
from tracker.tracking.tracker import DMB

Video = str | os.PathLike[str] | Iterable[Any]
MISSING = object()  # where one of two sequences has ended before the other


def shared_engine(
    model: DMBNet | Engine | None, config: TrackerConfig | None = None
) -> tuple[Engine, TrackerConfig | None]:
    """The engine around a network, and the parameters of its trackers.

    Args:
        model: the network, or an engine around it; None loads the weights that the environment variables DMB_... ask
            for.
        config: parameters; None, where the model is None, too, for those that the environment variables ask for.

    Returns:
        The engine, and the parameters (None: the default ones).

    Raises:
        WeightsError: no usable weights file.
        DeviceError: no such device.
        SettingsError: a variable has a value that is not allowed.
    """
    if model is None:
        dmb = load_tracker(from_environment(os.environ))
        return dmb.engine, config or dmb.config
    return model if isinstance(model, Engine) else Engine(model), config


def read_video(video: Video) -> Iterator[Any]:
    """Yield the frames of a video, as `DMB.track` takes them.

    Args:
        video: a path of whatever `dmb track` reads (a video file, a folder of images, a pattern such as
            'frames/*.jpg'), or an iterable of arrays or Pillow images. What cannot be read in it is a Python warning.

    Raises:
        SourceError: there is no such file, or it is unusable.
    """
    if not isinstance(video, str | os.PathLike):
        yield from video
        return
    from tracker.media.frames import Selection
    from tracker.media.sources import open_source

    with open_source(os.fspath(video), warn=lambda sentence: warnings.warn(sentence, stacklevel=2)) as source:
        for frame in Selection().of(source):
            yield frame.image


def track_videos(
    videos: Iterable[Video],
    regions: Iterable[object],
    model: DMBNet | Engine | None = None,
    config: TrackerConfig | None = None,
    *,
    masks: bool = True,
) -> Iterator[Iterator[Result]]:
    """Track one target in each of several videos.

    For every video an iterator of its results comes back; a frame is read and tracked when its result is asked for, so
    that memory does not grow with the videos' length:

        for name, results in zip(names, track_videos(names, boxes)):
            for result in results: ...

    Args:
        videos: see `read_video`.
        regions: for each video, where its target is in the first frame: box, polygon or mask, see `DMB.initialize`.
        model: the network, or an engine around it; by default what the environment variables DMB_... ask for.
        config: parameters; by default, where there is no model either, what the environment variables ask for.
        masks: see `DMB.initialize`.

    Yields:
        For each video its results, the first frame's included; an iterable without frames has none.

    Raises:
        ValueError: there are not as many regions as videos.
        WeightsError, DeviceError, SettingsError: see `shared_engine`.
        SourceError, ImageError, RegionError: from the results' iterator; the next video is not concerned. A path
            without frames is a SourceError.
    """
    engine, config = shared_engine(model, config)
    for number, (video, region) in enumerate(zip_longest(videos, regions, fillvalue=MISSING)):
        if video is MISSING or region is MISSING:
            fewer, more = ("videos", "regions") if video is MISSING else ("regions", "videos")
            raise ValueError(f"there are more {more} than {fewer} ({number}); give one region for every video")
        yield _track(DMB(engine, config), video, region, masks)  # type: ignore[arg-type]


def _track(dmb: DMB, video: Video, region: object, masks: bool) -> Iterator[Result]:
    frames = read_video(video)
    for image in frames:
        yield dmb.initialize(image, region, masks=masks)
        break
    for image in frames:
        yield dmb.track(image)
