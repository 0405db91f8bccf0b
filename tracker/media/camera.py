"""Frames from a camera, in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from tracker.data.images import silent_opencv
from tracker.media.frames import Frame, Source, SourceError, Warn

DEFAULT_RATE = 30.0  # of cameras that do not tell


@contextmanager
def open_camera(number: int, warn: Warn) -> Iterator[Source]:
    """The camera with this number; it is released at the end.

    Raises:
        SourceError: there is none, or it gives no picture.
    """
    with silent_opencv():
        capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise SourceError(
                f"camera {number} cannot be opened; give the number of one that is connected and not in use"
            )

        def frames() -> Iterator[Frame]:
            index, began = 0, 0.0
            while True:
                good, image = capture.read()
                if not good or image is None:
                    break
                now = time.monotonic()
                began = began if index else now
                yield Frame(index, now - began, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
                index += 1
            warn(f"camera {number} gives no further picture after {index} frames")

        rate = float(capture.get(cv2.CAP_PROP_FPS))
        rate = rate if 1 <= rate <= 1000 else DEFAULT_RATE
        yield Source(f"camera{number}", f"camera {number}", rate, None, frames, camera=True)
    finally:
        capture.release()
