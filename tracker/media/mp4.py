"""Writes H.264 video in MP4 files, which editors and slides take where they refuse WebM."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tracker.errors import UserError
from tracker.files import replacing
from tracker.media.webm import VideoWriter

ENCODERS = {
    # encoding must not take longer than tracking does; without B-frames, times begin at 0 in every player
    "libx264": {"preset": "veryfast", "crf": "20", "g": "30", "bf": "0"},
    "libopenh264": {"g": "30"},
}


class EncoderError(UserError):
    """FFmpeg came without an encoder that is needed; the message says what to do."""


def h264_encoder() -> str:
    """The name of FFmpeg's encoder for H.264.

    Raises:
        EncoderError: there is none.
    """
    for name in ENCODERS:
        try:
            return av.Codec(name, "w").name
        except UnknownCodecError:
            continue
    raise EncoderError(
        "an MP4 needs an encoder for H.264, and this PyAV has none; write WebM (--video), or install PyAV's own wheel "
        "(pip install --force-reinstall --only-binary av av)"
    )


class Mp4Writer(VideoWriter):
    """A video file in the making, which appears under its name once `close` was called.

    H.264 has even sizes: at an odd one, the last column or row of pixels is repeated.

    Args:
        path: of the file, `.mp4`.
        size: width and height, pixels.
        rate: nominal frames per second; the duration of the last frame comes from it.

    Raises:
        EncoderError: there is no encoder.
        VideoError: the file cannot be made.
    """

    FORMAT = "mp4"
    OPTIONS: ClassVar[dict[str, str]] = {"movflags": "+faststart"}  # plays in a browser before all of it has come

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self.encoder = h264_encoder()
        with ExitStack() as drafts:
            self.draft = drafts.enter_context(replacing(path))
            super().__init__(path, size, rate)
            self.drafts = drafts.pop_all()

    def _place(self) -> Path:
        return self.draft

    def _stream(self, size: tuple[int, int], rate: float) -> VideoStream:
        even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        exact = Fraction(rate).limit_denominator(100_000)
        stream = self.container.add_stream(self.encoder, rate=exact, options=dict(ENCODERS[self.encoder]))
        return self._described(cast(VideoStream, stream), even)

    def add(self, image: NDArray[np.uint8], seconds: float) -> None:
        """Append a frame H x W x 3 RGB; see `VideoWriter.add`.

        Raises:
            VideoError: it cannot be written.
        """
        height, width = image.shape[:2]
        super().add(np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"), seconds)

    def close(self) -> None:
        """Complete the file, and give it its name.

        Raises:
            VideoError: it cannot be written; then there is none.
        """
        with self.drafts:
            super().close()
