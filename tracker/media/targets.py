"""What to track: the options' boxes, polygons and mask files, or what a user draws on the first frame."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.geometry.region import ParsedRegion, RegionError, box_from_polygon, parse_region
from tracker.media.frames import Warn

VOID = 255  # id of pixels that belong to nobody, in files that hold several ids
MAX_IDS = 64  # more ids than that are a picture
SOFT = range(MAX_IDS, VOID)  # values in a file without a palette that are soft borders, or a picture, and no ids
BEYOND = 1.0  # pixels; a region that reaches less beyond the image is only rounded
SMALL = 64  # pixels; of a target with fewer the network's features show next to nothing
FILLED = 0.95  # share of the image, from which on a region is rather the background
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


def read_masks(path: Path) -> dict[int, NDArray[np.bool_]]:
    """The objects in a mask file, H x W each, by id.

    An indexed (palette) image holds the ids 1 to 254, and a grey one the ids 1 to 63; a black and white one holds one
    object, whatever its value. Where there are several ids, 255 is void.

    Raises:
        RegionError: no readable image, no object in it, soft borders, or a picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            indexed = image.mode == "P"
            ids = np.asarray(image if image.mode in ("P", "L", "1") else image.convert("RGB"))
    except FileNotFoundError:
        raise RegionError("there is no such file; name a PNG file with the mask of the first frame") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RegionError(f"the file cannot be read as an image ({error}); name a PNG file") from error
    if ids.ndim == 3:
        if np.any(ids != ids[:, :, :1]):
            raise RegionError("the file holds colours; save it as an indexed PNG, or black and white")
        ids = ids[:, :, 0]
    values = [int(value) for value in np.unique(ids) if value]
    if not indexed and len(values) > 1 and any(value in SOFT for value in values):  # before 255 is left out
        raise RegionError(
            "the file holds grey values between black and white (soft borders?); save it as an indexed PNG with one "
            "value for each object, or black and white without soft borders"
        )
    if len(values) > 1:
        values = [value for value in values if value != VOID]
    if not values:
        raise RegionError("the mask is empty; mark the object with any value but 0")
    if len(values) > MAX_IDS:
        raise RegionError(
            f"the file holds {len(values)} values, too many for objects; save it as an indexed PNG with one value for "
            f"each object, at most {MAX_IDS}, or black and white"
        )
    return {value: ids == value for value in values}


def doubts(parsed: ParsedRegion, shape: tuple[int, int]) -> str:
    """What looks like a slip in a region that can be tracked in an image H x W; empty where nothing does."""
    height, width = shape
    count, whole = int(parsed.to_mask(shape).sum()), height * width
    left, top, w, h = parsed.box if parsed.polygon is None else box_from_polygon(parsed.polygon)
    inside = max(-left, -top, left + w - width, top + h - height) <= BEYOND
    if parsed.kind != "mask" and not inside:
        rest = f" and covers {count} pixel{'s' * (count > 1)} of it only" if count < SMALL else ""
        return f"the {parsed.kind} reaches beyond the image of {width} x {height} pixels{rest}; check its numbers"
    if count < SMALL:
        return f"the {parsed.kind} covers {count} pixel{'s' * (count > 1)} only; so small a target is easily lost"
    if count > FILLED * whole:
        advice = "is the object marked, and not the background?" if parsed.kind == "mask" else "check its numbers"
        return f"the {parsed.kind} covers {100 * count / whole:.0f}% of the image; {advice}"
    return ""


def make_targets(
    given: Sequence[Given], shape: tuple[int, int], note: Warn = lambda sentence: None
) -> list[Target]:
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
                masks = read_masks(option.value)
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
