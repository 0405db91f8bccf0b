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
from tracker.geometry.region import ParsedRegion, RegionError, box_from_polygon, parse_region
from tracker.media.frames import Warn

MAX_OBJECTS = 64  # of one mask file; more ids than that are a picture
BEYOND = 1.0  # pixels; a region that reaches less beyond the image is only rounded
SMALL = 64  # pixels; of a target with fewer the network's features show next to nothing
FILLED = 0.95  # share of the image, from which on a box is hardly meant so
WINDOW = "draw a box, then press Enter; C cancels"


@dataclass(frozen=True)
class Given:
    """One option: its kind, and numbers or a file."""

    kind: Literal["box", "polygon", "mask"]
    value: tuple[float, ...] | Path

    def __str__(self) -> str:
        text = self.value if isinstance(self.value, Path) else ",".join(f"{number:g}" for number in self.value)
        return f"--{self.kind} {text}"


@dataclass(frozen=True)
class Target:
    """One object to track: its id, a region that `DMB.initialize` takes, and the option that named it."""

    object_id: int
    region: object
    named: str


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

    They count from 1 in the order of the options; those of one mask file alone keep their ids. `note` takes a sentence
    about every region that can be tracked and is hardly meant so.

    Raises:
        RegionError: a region is unusable; the message names the option.
    """
    regions: list[tuple[int, object, str]] = []
    for option in given:
        try:
            masks: Mapping[int, object] = {1: option.value}
            if isinstance(option.value, Path):
                masks = read_masks(option.value, partial(_noted, note, option))
            for number, region in masks.items():
                doubt = doubts(parse_region(region, shape), shape)
                if doubt:
                    which = f", object {number}" if len(masks) > 1 else ""
                    note(f"{option}{which}: {doubt}")
                regions.append((number, region, str(option)))
        except RegionError as error:
            raise RegionError(f"{option}: {error}") from error
    if len(regions) > VOID - 1:
        raise RegionError(f"there are {len(regions)} objects; give at most {VOID - 1}")
    keep = len(given) == 1 and len(regions) > 1
    return [
        Target(number if keep else place, region, named) for place, (number, region, named) in enumerate(regions, 1)
    ]


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
        raise RegionError(f"no window can be opened ({reason}); give --box, --polygon or --mask") from error
    if not box[2] or not box[3]:
        raise RegionError("no box was drawn; draw one, or give --box, --polygon or --mask")
    return Given("box", tuple(float(value) for value in box))
