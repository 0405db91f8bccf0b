"""Pictures that are decoded whenever they are drawn, and the sources that samples are made of.

All sources share one size so that whole batches are warped at once, on whatever device trains. A source keeps
the scale of its file where the target is small and shrinks it where the target is large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tracker.data.masks import VOID
from tracker.training.data import Frame
from tracker.training.packing import Packed, sort_out
from tracker.training.recipes import SOURCE_SIZE, TARGET_SIZE, Cut, ObjectBox, Recipe, Still, box_of, objects_of
from tracker.training.targets import joined, part_of

MIN_FRAMES = 3  # shorter videos are left out


@dataclass
class Source:
    """One annotated image, cut and padded to SOURCE_SIZE."""

    image: NDArray[np.uint8]  # SOURCE_SIZE x SOURCE_SIZE x 3; the part beyond `extent` is padding
    mask: NDArray[np.uint8]  # SOURCE_SIZE x SOURCE_SIZE: 1 target, 0 background, VOID ignored
    extent: tuple[int, int]  # width and height that hold image
    center: tuple[float, float]  # of the target's box, pixels
    size: float  # sqrt(w*h) of the target's box, pixels


@dataclass
class Decoded:
    """A picture with its pixels."""

    image: NDArray[np.uint8]  # H x W x 3
    ids: NDArray[np.uint8]  # H x W; of a still the mask, 0 or 1

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height."""
        return self.ids.shape[1], self.ids.shape[0]

    @cached_property
    def objects(self) -> Mapping[int, ObjectBox]:
        """The objects by their ids."""
        return objects_of(self.ids)


def pad(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the border of an image of up to SOURCE_SIZE pixels to the right and below."""
    bottom, right = SOURCE_SIZE - image.shape[0], SOURCE_SIZE - image.shape[1]
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _shrink(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if scale < 1.0:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        mask = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    return image, mask


def cut_source(image: NDArray[np.uint8], mask: NDArray[np.uint8], scale: float, corner: tuple[int, int]) -> Source:
    """Shrink an image and its mask by `scale` and cut SOURCE_SIZE pixels from `corner` (x, y of the shrunk one)."""
    image, mask = _shrink(image, mask, scale)
    window = (slice(corner[1], corner[1] + SOURCE_SIZE), slice(corner[0], corner[0] + SOURCE_SIZE))
    image, mask = image[window], mask[window]
    box = box_of(mask == 1)
    center, (width, height) = box or ((image.shape[1] / 2, image.shape[0] / 2), (TARGET_SIZE, TARGET_SIZE))
    return Source(pad(image), pad(mask), image.shape[1::-1], center, float(np.sqrt(width * height)))


def still_source(still: Still) -> Source:
    """The source of a still that was decoded when it was drawn."""
    decoded = _decoded(still.facts)
    image, mask = decoded.image, decoded.ids
    if still.line is not None:
        mask = part_of(mask, still.line)
    elif still.attached is not None:
        other = _decoded(still.attached.facts)
        image, mask = joined(image, mask, other.image, other.ids, still.attached.place)
    return cut_source(image, mask, 1.0, (0, 0))


def video_source(cut: Cut) -> Source:
    """The source of a video frame, or of one of several objects, that was decoded when it was drawn."""
    decoded = _decoded(cut.facts)
    mask = np.where(decoded.ids == VOID, VOID, decoded.ids == cut.target).astype(np.uint8)
    return cut_source(decoded.image, mask, cut.scale, cut.corner)


def _decoded(facts: object) -> Decoded:
    assert isinstance(facts, Decoded), "the recipe was drawn from other pictures"
    return facts


class Files:
    """Annotated pictures in files; looking at one decodes it.

    Args:
        stills: image-mask pairs.
        videos: frames of each sequence, in order.
        instances: pictures of several objects, which are looked at as frames.

    Attributes:
        videos: the numbers of each video's frames, in order.
        instances: the numbers of the pictures of several objects among the frames.
        damaged: messages on pictures that do not decode, as far as they were reported.
    """

    def __init__(self, stills: list[Frame], videos: Mapping[str, list[Frame]], instances: Sequence[Frame] = ()) -> None:
        kept = [frames for _, frames in sorted(videos.items()) if len(frames) >= MIN_FRAMES]
        self.stills, self.frames = stills, [frame for frames in kept for frame in frames]
        self.still_count = len(stills)
        self.videos = [range(*ends) for ends in pairwise(accumulate(map(len, kept), initial=0))]
        self.instances = range(len(self.frames), len(self.frames) + len(instances))
        self.frames += instances
        self.damaged: set[str] = set()

    def still(self, number: int) -> Decoded:
        """Decode a still, shrunk to SOURCE_SIZE where it is larger.

        Raises:
            DataError: it does not decode.
        """
        image, ids = self.stills[number].decode()
        scale = min(1.0, SOURCE_SIZE / max(ids.shape))
        return Decoded(*_shrink(image, (ids > 0).astype(np.uint8), scale))

    def frame(self, number: int) -> Decoded:
        """Decode a video frame or a picture of several objects.

        Raises:
            DataError: it does not decode.
        """
        return Decoded(*self.frames[number].decode())

    def pack(self, recipes: Sequence[Recipe]) -> Packed:
        """Make the sources of some samples, each once."""
        stills, cuts, uses = sort_out(recipes)
        sources = [*map(still_source, stills), *map(video_source, cuts)]
        return Packed(
            torch.from_numpy(np.stack([source.image for source in sources])),
            torch.from_numpy(np.stack([source.mask for source in sources])),
            np.array([source.extent for source in sources], np.float32),
            np.array([source.center for source in sources], np.float64),
            np.array([source.size for source in sources], np.float64),
            *uses,
        )
