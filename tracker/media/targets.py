"""What to track: the options' boxes, polygons and mask files, or what a user draws on the first frame."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data.images import ImageError, read_bytes
from tracker.data.masks import VOID, MaskError, MaskReader, covers_edges, objects_of
from tracker.geometry.clicks import parse_clicks
from tracker.geometry.region import ParsedRegion, RegionError, box_from_polygon, parse_region
from tracker.media.frames import Warn

MAX_OBJECTS = 64  # of one mask file; more ids than that are a picture
BEYOND = 1.0  # pixels; a region that reaches less beyond the image is only rounded
SMALL = 64  # pixels; of a target with fewer the network's features show next to nothing
FILLED = 0.95  # share of the image, from which on a box is hardly meant so
WINDOW = "draw a box, then press Enter; C cancels"


@dataclass(frozen=True)
class Given:
    """One option: its kind, and numbers or a file.

    Attributes:
        kind: of the region.
        value: x, y, w, h or x1, y1, ... in pixels, of clicks x, y and label 1 or 0 each, or the path of a mask.
        frame: of the source, where the region is for a later one than the first.
        object_id: whose region it is, where that is said.
    """

    kind: Literal["box", "polygon", "mask", "point"]
    value: tuple[float, ...] | Path
    frame: int | None = None
    object_id: int | None = None

    def __str__(self) -> str:
        at = "" if self.frame is None else f"--at {self.frame} "
        whose = "" if self.object_id is None else f"--object {self.object_id} "
        if isinstance(self.value, Path):
            return f"{at}{whose}--{self.kind} {self.value}"
        if self.kind == "point":
            clicks = np.reshape(self.value, (-1, 3)).tolist()
            return at + whose + " ".join(f"--point {x:g},{y:g}{'' if on else ':neg'}" for x, y, on in clicks)
        return f"{at}{whose}--{self.kind} " + ",".join(f"{number:g}" for number in self.value)


@dataclass(frozen=True)
class Target:
    """One object in one frame.

    Attributes:
        object_id: of the object, from 1.
        region: as `DMB.initialize` takes it, or `Clicks`.
        named: the option that gave it.
        frame: of the source; None for the first one that is tracked.
    """

    object_id: int
    region: object
    named: str
    frame: int | None = None


def read_masks(path: Path, note: Warn | None = None) -> dict[int, NDArray[np.bool_]]:
    """The objects in a mask file, H x W each, by id; see `tracker.data.masks` for what is understood.

    Raises:
        RegionError: no readable image, no object in it, soft borders, or a picture.
    """
    try:
        ids = MaskReader(note).decode(read_bytes(path), "the file")
    except (MaskError, ImageError) as error:
        text = str(error)
        raise RegionError(text if text.startswith("the file") else f"the file {text}; name a PNG file") from error
    values = objects_of(ids)
    if not values:
        raise RegionError("the mask is empty; mark the object with any value but 0")
    if len(values) > MAX_OBJECTS:
        raise RegionError(
            f"the file holds {len(values)} values, too many for objects; save it as an indexed PNG with one value for "
            f"each object, at most {MAX_OBJECTS}, or black and white"
        )
    return {value: ids == value for value in values}


def doubts(parsed: ParsedRegion, shape: tuple[int, int]) -> str:
    """What looks like a slip in a region that can be tracked in an image H x W; empty where nothing does."""
    height, width = shape
    count, whole = int(parsed.to_mask(shape).sum()), height * width
    left, top, w, h = parsed.box if parsed.polygon is None else box_from_polygon(parsed.polygon)
    inside = max(-left, -top, left + w - width, top + h - height) <= BEYOND
    if parsed.kind != "mask" and not inside:
        rest = f" and covers only {count} pixel{'s' * (count > 1)} of it" if count < SMALL else ""
        return f"the {parsed.kind} reaches beyond the image of {width} x {height} pixels{rest}; check its numbers"
    if count < SMALL:
        return f"the {parsed.kind} covers only {count} pixel{'s' * (count > 1)}; so small a target is easily lost"
    if parsed.kind == "mask" and covers_edges(parsed.to_mask(shape)):
        return f"the mask covers {100 * count / whole:.0f}% of the image; is the object marked, and not the background?"
    if count > FILLED * whole:
        return f"the {parsed.kind} covers {100 * count / whole:.0f}% of the image; check its numbers"
    return ""


def make_targets(given: Sequence[Given], shape: tuple[int, int], note: Warn = lambda sentence: None) -> list[Target]:
    """Check what was given against the first frame H x W, and number the objects.

    They count from 1 in the order of the options; those of one mask file alone keep their ids. In later frames regions
    are of the object that is named, those of a mask file with several objects of its ids, and all others of new
    objects, which count on. `note` takes a sentence about every region that can be tracked and is hardly meant so.

    Raises:
        RegionError: a region or an id is unusable; the message names the option.
    """
    first: list[tuple[int, object, str]] = []
    later: list[tuple[Given, Mapping[int, object]]] = []
    for option in given:
        masks = _regions(option, shape, note)
        if option.frame is None:
            first += [(number, region, str(option)) for number, region in masks.items()]
        else:
            later.append((option, masks))
    if len(first) > VOID - 1:
        raise RegionError(f"there are {len(first)} objects; give at most {VOID - 1}")
    keep = len(given) - len(later) == 1 and len(first) > 1
    targets = [
        Target(number if keep else place, region, named) for place, (number, region, named) in enumerate(first, 1)
    ]
    for option, masks in later:
        free = 1 + max((target.object_id for target in targets), default=0)
        targets += [
            Target(number, region, str(option), option.frame) for number, region in _numbered(option, masks, free)
        ]
    return targets


def _regions(option: Given, shape: tuple[int, int], note: Warn) -> Mapping[int, object]:
    """The regions of one option in an image H x W, checked, by their id in its file, or 1.

    Raises:
        RegionError: one of them is unusable; the message names the option.
    """
    try:
        if option.kind == "point":
            clicks = np.reshape(np.array(option.value), (-1, 3))
            return {1: parse_clicks(clicks[:, :2], clicks[:, 2], shape)}
        masks: Mapping[int, object] = {1: option.value}
        if isinstance(option.value, Path):
            masks = read_masks(option.value, partial(_noted, note, option))
        for number, region in masks.items():
            doubt = doubts(parse_region(region, shape), shape)
            if doubt:
                which = f", object {number}" if len(masks) > 1 else ""
                note(f"{option}{which}: {doubt}")
    except RegionError as error:
        raise RegionError(f"{option}: {error}") from error
    return masks


def _numbered(option: Given, masks: Mapping[int, object], free: int) -> list[tuple[int, object]]:
    """The regions of an option for a later frame with the ids of their objects; `free` is the next one for a new one.

    Raises:
        RegionError: an id that cannot be, or one id for several objects.
    """
    if len(masks) > 1 and option.object_id is not None:
        raise RegionError(f"{option}: the file holds {len(masks)} objects, whose ids are those in it; omit --object")
    wanted = free if option.object_id is None else option.object_id
    numbered = list(masks.items()) if len(masks) > 1 else [(wanted, region) for region in masks.values()]
    for number, _ in numbered:
        if number >= VOID:
            raise RegionError(f"{option}: the object would have the id {number}; ids go up to {VOID - 1}")
    return numbered


def _noted(note: Warn, option: Given, sentence: str) -> None:
    note(f"{option}: {sentence}")


def has_display(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a window can be opened; asked first, since without a display OpenCV ends the process."""
    return not sys.platform.startswith("linux") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def draw_box(image: NDArray[np.uint8]) -> Given:
    """Let the user draw a box on the first frame H x W x 3 RGB.

    Raises:
        RegionError: nothing was drawn, or no window can be opened.
    """
    try:
        box = cv2.selectROI(WINDOW, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), showCrosshair=False)
        cv2.destroyWindow(WINDOW)
    except cv2.error as error:
        reason = str(error).strip().splitlines()[0]
        raise RegionError(f"no window can be opened ({reason}); give --box, --polygon, --mask or --point") from error
    if not box[2] or not box[3]:
        raise RegionError("no box was drawn; draw one, or give --box, --polygon, --mask or --point")
    return Given("box", tuple(float(value) for value in box))
