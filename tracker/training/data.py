"""What the readers hand to the training: annotated images that are decoded when they are drawn.

A frame holds the compressed bytes of its files (tar shards: 13,000 stills take 130 MB instead of 3 GB) or only their
paths (folders). Decoding three of them costs a hundredth of a training step on a CPU. The readers and the layouts that
they expect are in `tracker.training.readers`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.errors import UserError

VOID = 255  # label of pixels that belong to nobody (DAVIS, YouTube-VOS)

PNG = b"\x89PNG\r\n\x1a\n"
DEPTH, COLOUR_TYPE = 24, 25  # bytes of a PNG file that hold the bits per sample and the kind of its colours
GREY, PALETTE = 0, 3  # kinds of colours


class DataError(UserError):
    """The training data are missing or damaged; the message names the file."""


class Outline(Protocol):
    """A mask that is stored in another form than as an image file."""

    def ids(self) -> NDArray[np.uint8]:
        """Return the object ids H x W.

        Raises:
            ValueError: the outline is damaged.
        """


@dataclass(frozen=True, slots=True)
class Frame:
    """One annotated image, compressed in memory or still on disk.

    Attributes:
        name: for messages, and what the frames of a video are ordered by.
        image: the image file's bytes, or its path.
        mask: the mask file's bytes, or its path, or another form of it.
        object_above: None where the mask holds object ids (0 background, VOID nobody's); otherwise the mask shows one
            object, as the pixels brighter than this share of the mask's brightest one.
    """

    name: str
    image: bytes | str
    mask: bytes | str | Outline
    object_above: float | None = None

    def decode(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the RGB image H x W x 3 and the object ids H x W.

        Raises:
            DataError: one of the two cannot be read or decoded, or their sizes differ.
        """
        # masks are drawn on the stored pixels, whatever orientation a camera has noted
        image = _decode(self._bytes(self.image), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        mask = self.ids()
        if image is None or image.shape[:2] != mask.shape:
            raise self._damaged("its image does not decode, or not to its mask's size")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask  # type: ignore[return-value]

    def ids(self) -> NDArray[np.uint8]:
        """Return the object ids H x W alone.

        Raises:
            DataError: the mask cannot be read or decoded.
        """
        if not isinstance(self.mask, bytes | str):
            try:
                return self.mask.ids()
            except ValueError as error:
                raise self._damaged(f"its outline does not decode ({error})") from error
        data = self._bytes(self.mask)
        mask = _stored_ids(data) if self.object_above is None else _decode(data, cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise self._damaged("its mask does not decode" + (" to object ids" if self.object_above is None else ""))
        if self.object_above is None:
            return mask
        return (mask > self.object_above * mask.max()).astype(np.uint8)

    def _bytes(self, source: bytes | str) -> bytes:
        if isinstance(source, bytes):
            return source
        try:
            with open(source, "rb") as stream:
                return stream.read()
        except OSError as error:
            raise DataError(f"training sample '{self.name}': '{source}' cannot be read ({error.strerror})") from error

    def _damaged(self, what: str) -> DataError:
        files = [f"'{source}'" for source in (self.image, self.mask) if isinstance(source, str)]
        where = f" ({', '.join(files)})" if files else ""
        return DataError(f"training sample '{self.name}' is damaged: {what}{where}")


def _decode(data: bytes, flags: int) -> NDArray[np.uint8] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)  # type: ignore[return-value]
    except cv2.error:  # there are no bytes at all, or the image is enormous
        return None


def _stored_ids(data: bytes) -> NDArray[np.uint8] | None:
    """Read the numbers that a PNG file stores, or None where it is damaged or stores no 8-bit ids."""
    if not data.startswith(PNG) or len(data) <= COLOUR_TYPE or data[DEPTH] > 8:
        return None
    if data[COLOUR_TYPE] == PALETTE:
        try:
            with Image.open(io.BytesIO(data)) as picture:  # OpenCV would give the palette's colours
                return np.array(picture)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises for damaged files
            return None
    grey = _decode(data, cv2.IMREAD_GRAYSCALE) if data[COLOUR_TYPE] == GREY else None
    # OpenCV stretches 1, 2 and 4 bits to 0-255: a one-bit mask's object comes as 255 instead of 1
    return None if grey is None else grey // np.uint8(255 // (2 ** data[DEPTH] - 1))


@dataclass
class TrainingData:
    """What was read.

    Attributes:
        stills: annotated images of one object each.
        instances: annotated images of several objects each.
        videos: frames of each sequence, in order.
        held_out: number of sequences that were left out because they are kept for validation.
    """

    stills: list[Frame] = field(default_factory=list)
    instances: list[Frame] = field(default_factory=list)
    videos: dict[str, list[Frame]] = field(default_factory=dict)
    held_out: int = 0

    def add(self, other: TrainingData) -> None:
        """Append other data; a sequence whose name is taken gets a number behind it, since its frames are others."""
        self.stills += other.stills
        self.instances += other.instances
        self.held_out += other.held_out
        for name, frames in other.videos.items():
            free, number = name, 2
            while free in self.videos:
                free, number = f"{name} ({number})", number + 1
            self.videos[free] = frames
