"""Small videos for tests, and answers of a tracker without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tracker.geometry.region import box_from_mask, parse_region, polygon_from_box
from tracker.tracking.result import Result

SIZE = (64, 48)  # width and height of the pictures
RED, BLUE, GREY = (220, 30, 30), (30, 60, 210), (120, 120, 120)


def scene(left: int, top: int = 14, size: int = 20) -> NDArray[np.uint8]:
    """A red square on gray, H x W x 3."""
    image = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    image[top : top + size, left : left + size] = RED
    return image


def write_clip(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    times: Sequence[int] | None = None,
    *,
    codec: str = "mpeg4",
    container: str | None = None,
    turned: tuple[int, bool, bool] | None = None,
) -> Path:
    """Write images H x W x 3 RGB as a video.

    Args:
        path: of the file.
        images: its frames.
        times: of the frames, milliseconds; None for 25 frames per second.
        codec: FFmpeg's name.
        container: FFmpeg's name of the format; None for that of the path's suffix.
        turned: degrees counter-clockwise by which a player is to turn the frames, then whether to mirror them
            horizontally and vertically.
    """
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25, options={"g": "1"} if codec == "mpeg4" else {})
        stream.width, stream.height = images[0].shape[1], images[0].shape[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.bit_rate = 4_000_000
        if turned is not None:
            stream.set_display_rotation(turned[0], hflip=turned[1], vflip=turned[2])
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.time_base, frame.pts = Fraction(1, 1000), 40 * index if times is None else times[index]
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def answer(mask: NDArray[np.bool_], confidence: float = 0.9, *, segmented: bool = True) -> Result:
    """What a tracker would answer for a mask H x W."""
    box = box_from_mask(mask)
    return Result(mask, polygon_from_box(box), box, confidence, 1, segmented, None, (0.0, 0.0), False)


class StillTracker:
    """Answers the first region forever, and costs nothing; around clicks it sees a square of 8 pixels."""

    def initialize(
        self,
        image: NDArray[np.uint8],
        region: object = None,
        *,
        points: NDArray | None = None,
        labels: NDArray | None = None,
        masks: bool = True,
    ) -> Result:
        if points is not None:
            region = (*(points[labels].mean(0) - 4), 8, 8)
        self.answer = answer(parse_region(region, image.shape[:2]).to_mask(image.shape[:2]), 1.0)
        return self.answer

    def track(self, image: NDArray[np.uint8]) -> Result:
        return self.answer

    def correct(self, image: NDArray[np.uint8], region: object = None, **clicks: NDArray) -> Result:
        return self.initialize(image, region, **clicks)


def load_still(settings: object) -> Callable[[], StillTracker]:
    """Makes what makes still trackers, in workers too."""
    return StillTracker


def square(left: int, top: int = 14, size: int = 20) -> NDArray[np.bool_]:
    """The mask of `scene`'s square."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    mask[top : top + size, left : left + size] = True
    return mask
