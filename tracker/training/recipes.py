"""What a training sample is made of, as values: which still or video frames, which object, which part of it.

Recipes hold no pixels. `drawer.MaterialDrawer` draws them, and `sources.Files` decodes what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.data.masks import VOID

SOURCE_SIZE = 320  # side of the padded source images, pixels; the stills are 288 wide or high
TARGET_SIZE = 96.0  # video frames are shrunk until sqrt(w*h) of their target comes down to this, pixels


@dataclass(frozen=True, slots=True)
class ObjectBox:
    """Where an object is in its picture."""

    area: int  # pixels
    center: tuple[float, float]  # x, y of the bounding box
    size: tuple[float, float]  # its width and height


class Facts(Protocol):
    """What drawing needs to know of a picture."""

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height, pixels."""

    @property
    def objects(self) -> Mapping[int, ObjectBox]:
        """The objects by their ids; those of VOID are nobody's."""


def box_of(mask: NDArray[np.bool_]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Center (x, y) and size (w, h) of a mask's bounding box, or None where it is empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    x0, x1, y0, y1 = columns[0], columns[-1], rows[0], rows[-1]
    return (float(x0 + x1) / 2.0, float(y0 + y1) / 2.0), (float(x1 - x0) + 1.0, float(y1 - y0) + 1.0)


def objects_of(ids: NDArray[np.uint8]) -> dict[int, ObjectBox]:
    """The objects of an image of ids H x W, in the order of their ids."""
    areas = np.bincount(ids.ravel(), minlength=256)
    found = {}
    for number in np.flatnonzero(areas):
        if number not in (0, VOID):
            box = box_of(ids == number)
            assert box is not None
            found[int(number)] = ObjectBox(int(areas[number]), *box)
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """Cuts a part off an object."""

    angle: float  # of its normal, radians
    share: float  # of the object's pixels that are the part


@dataclass(frozen=True, slots=True)
class Place:
    """Where a second picture comes to lie on a first: its pixel p at scale * p + corner."""

    scale: float
    corner: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Attached:
    """A second still, whose object is the target together with the first one's."""

    number: int
    place: Place
    facts: Facts = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Still:
    """A still, whose object or part or pair is the target."""

    number: int  # among all stills
    facts: Facts = field(compare=False, repr=False)
    line: Line | None = None
    attached: Attached | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A window of a video frame, or of a picture of several objects."""

    number: int  # among the frames of all videos, then the pictures of several objects
    facts: Facts = field(compare=False, repr=False)
    target: int  # the id of the object
    scale: float  # 0..1: by which the frame is shrunk
    corner: tuple[int, int]  # x, y of the window in the shrunk frame

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height of the window that hold image."""
        width, height = (
            min(SOURCE_SIZE, round(side * self.scale) - start)
            for side, start in zip(self.facts.extent, self.corner, strict=True)
        )
        return width, height


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that one sample is composed of."""

    target: tuple[Still, ...] | tuple[Cut, ...]  # one source per frame; the same one where it is not a video
    background: Still | None  # another still, or None: the target keeps its own surroundings
    distractor: Still | None  # another object to be pasted in
    video: bool


def window_of(target: ObjectBox, extent: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Where a video is cut around its target: how far it is shrunk, and the window's corner in the shrunk frame."""
    scale = TARGET_SIZE / float(np.sqrt(target.size[0] * target.size[1]))
    scale = float(np.clip(scale, min(1.0, SOURCE_SIZE / max(extent)), 1.0))
    x, y = (
        int(np.clip(round(position * scale - SOURCE_SIZE / 2), 0, max(0, round(side * scale) - SOURCE_SIZE)))
        for position, side in zip(target.center, extent, strict=True)
    )
    return scale, (x, y)
