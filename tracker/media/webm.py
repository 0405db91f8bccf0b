"""Writes VP9 video in WebM files, which every browser plays, frame by frame and with each frame's own time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

MILLISECOND = Fraction(1, 1000)  # WebM's clock
BT709, LIMITED = 1, 1  # AVCOL_SPC_BT709, AVCOL_RANGE_MPEG
ENCODER = {
    # encoding must not take longer than tracking does
    "deadline": "realtime", "cpu-used": "7", "row-mt": "1",
    # constant quality
    "crf": "28", "b": "0",
    # no look-ahead: a frame is in the file soon after it was added; and a browser can jump to every second or so
    "lag-in-frames": "0", "g": "30",
}  # fmt: skip


class VideoError(OSError):
    """The video cannot be written; the message says why."""


class VideoWriter:
    """A video file in the making. What has been added can be played once `close` was called.

    Args:
        path: of the file, `.webm`.
        size: width and height, pixels.
        rate: nominal frames per second; the duration of the last frame comes from it.

    Raises:
        VideoError: the file cannot be made.
    """

    FORMAT = "webm"  # FFmpeg's name
    OPTIONS: ClassVar[dict[str, str]] = {}  # of the format

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self.path = path
        self.duration = max(1, round(1000 / rate))
        self.last = -1  # time of the last frame, milliseconds
        try:
            self.container = av.open(f"file:{self._place()}", "w", format=self.FORMAT, options=dict(self.OPTIONS))
            self.stream = self._stream(size, rate)
            self.container.start_encoding()  # makes the file
        except av.FFmpegError as error:
            raise VideoError(f"'{path}' cannot be written ({error.strerror})") from error

    def _place(self) -> Path:
        """The file that is written to."""
        return self.path

    def _stream(self, size: tuple[int, int], rate: float) -> VideoStream:
        return self._described(
            self.container.add_stream(
                "libvpx-vp9", rate=Fraction(rate).limit_denominator(100_000), options=dict(ENCODER)
            ),
            size,
        )

    def _described(self, stream: VideoStream, size: tuple[int, int]) -> VideoStream:
        """The stream with what players must know: size, clock and colors."""
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = MILLISECOND
        context.colorspace, context.color_range = BT709, LIMITED
        return stream

    def add(self, image: NDArray[np.uint8], seconds: float) -> None:
        """Append a frame H x W x 3 RGB to be shown `seconds` after the beginning.

        Frames follow each other: a time that is not later than the last one becomes a millisecond later.

        Raises:
            VideoError: it cannot be written.
        """
        self.last = max(self.last + 1, round(1000 * seconds))
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base, frame.duration = self.last, MILLISECOND, self.duration
        try:
            self.container.mux(self.stream.encode(frame))
        except av.FFmpegError as error:
            raise VideoError(f"'{self.path}' cannot be written ({error.strerror})") from error

    def close(self) -> None:
        """Complete the file.

        Raises:
            VideoError: it cannot be written.
        """
        try:
            if self.last >= 0:
                self.container.mux(self.stream.encode())
            self.container.close()
        except av.FFmpegError as error:
            raise VideoError(f"'{self.path}' cannot be completed ({error.strerror})") from error
