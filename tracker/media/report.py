"""Gathers what the HTML page about a run needs, and writes it at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.media.frames import Frame
from tracker.media.overlay import tint
from tracker.media.recording import Moment
from tracker.media.webm import VideoWriter
from tracker.tracking.result import Result

PAGE = "page.html"
TEMPORARY = ".page.webm"
MAX_THUMBNAILS = 240
THUMBNAIL_HEIGHT = 96  # pixels


class Thumbnails:
    """Small pictures of the frames, evenly spread however many come: when there are too many, every second one goes."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.every, self.count = 1, 0

    def add(self, frame: int, image: NDArray[np.uint8]) -> None:
        """Take the picture H x W x 3 RGB of a frame into account."""
        if self.count % self.every == 0:
            scale = THUMBNAIL_HEIGHT / image.shape[0]
            size = (max(1, round(scale * image.shape[1])), THUMBNAIL_HEIGHT)
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            self.files[frame] = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()
        self.count += 1
        if len(self.files) > MAX_THUMBNAILS:
            self.files = dict(list(self.files.items())[::2])
            self.every *= 2


class PageRecording:
    """The page in the making. Its video has the masks only, as boxes are drawn by the page itself, and a constant rate.

    Args:
        folder: where the page goes.
        size: width and height of the frames, pixels.
        rate: pictures per second.
        title: of the page.

    Raises:
        VideoError: the video cannot be made.
    """

    def __init__(self, folder: Path, size: tuple[int, int], rate: float, title: str) -> None:
        self.folder, self.size, self.rate, self.title = folder, size, rate, title
        self.video = VideoWriter(folder / TEMPORARY, size, rate)
        self.moments: list[Moment] = []
        self.seconds: dict[int, float] = {}  # of all frames
        self.thumbnails = Thumbnails()
        self.count = 0

    def add(self, frame: Frame, answers: Mapping[int, Result], moments: Sequence[Moment]) -> None:
        """Take one frame.

        Raises:
            VideoError: it cannot be written.
        """
        drawn = tint(frame.image, answers)
        self.video.add(drawn, self.count / self.rate)
        self.thumbnails.add(frame.index, drawn)
        self.moments += moments
        self.seconds[frame.index] = frame.seconds
        self.count += 1

    def close(self) -> None:
        """Write the page, unless there was no frame with an object.

        Raises:
            OSError: it cannot be written.
        """
        from tracker.media.page import write_page

        try:
            self.video.close()
            if self.moments:
                write_page(
                    self.folder / PAGE,
                    video=self.video.path,
                    moments=self.moments,
                    size=self.size,
                    title=self.title,
                    thumbnails=self.thumbnails.files,
                    frame_rate=self.rate,
                    seconds=self.seconds,
                )
        finally:
            self.video.path.unlink(missing_ok=True)
