"""What the readers hand to the training: annotated images that are decoded when they are drawn.

A frame holds the compressed bytes of its files (tar shards: 13,000 stills take 130 MB instead of 3 GB) or only their
paths (folders). Decoding three of them costs a hundredth of a training step on a CPU. The readers and the layouts that
they expect are in `tracker.training.readers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.data.images import ImageError, Levels, decode
from tracker.data.masks import VOID, MaskError, MaskReader, brightness
from tracker.errors import UserError


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
        try:
            image = Levels()(decode(self._bytes(self.image), upright=False))
        except ImageError as error:
            raise self._damaged("its image does not decode, or not to its mask's size") from error
        mask = self.ids()
        if image.shape[:2] != mask.shape:
            raise self._damaged("its image does not decode, or not to its mask's size")
        return image, mask

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
        if self.object_above is not None:
            mask = brightness(data)
            if mask is None:
                raise self._damaged("its mask does not decode")
            return (mask > self.object_above * mask.max()).astype(np.uint8)
        try:
            ids = MaskReader().decode(data, "its mask")
        except MaskError as error:
            raise self._damaged(f"its mask does not decode to object ids ({error})") from error
        if ids.max() > VOID:
            raise self._damaged(f"its mask does not decode to object ids (up to {VOID - 1}, not {ids.max()})")
        return ids.astype(np.uint8)

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
