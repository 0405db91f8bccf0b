"""Writes sequences as the VOT toolkit reads them.

The toolkit is GPLv3 and driven as a process; its file formats are written here by ourselves.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError

STACKS = Path(__file__).resolve().parent / "stacks"
REGISTRY = Path(__file__).resolve().parent.parent / "trackers.ini"
ANCHOR_DISTANCE = 50  # frames between two anchors of a multi-start sequence (VOT2020)
JPEG_QUALITY = 92


class WorkspaceError(UserError):
    """A workspace cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class Annotated:
    """A frame: RGB image H x W x 3, the target's mask H x W, and its box 4 x 2 (None: around the mask)."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64] | None = None


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """The toolkit's text of a mask: "m" x, y, w, h of its bounding box, then runs of zeros and ones, row by row."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return "m0,0,0,0,0"
    x0, x1, y0, y1 = columns[0], columns[-1], rows[0], rows[-1]
    flat = mask[y0 : y1 + 1, x0 : x1 + 1].ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat[0]:
        runs.insert(0, 0)
    return "m" + ",".join(map(str, (x0, y0, x1 - x0 + 1, y1 - y0 + 1, *runs)))


def encode_polygon(polygon: NDArray[np.float64]) -> str:
    """The toolkit's text of a polygon n x 2."""
    return ",".join(f"{value:.3f}" for value in polygon.ravel())


def _region(frame: Annotated, kind: str) -> str:
    if kind == "mask":
        return encode_mask(frame.mask)
    polygon = frame.polygon
    if polygon is None:
        points = np.argwhere(frame.mask)[:, ::-1].astype(np.float32)
        polygon = cv2.boxPoints(cv2.minAreaRect(points)).astype(np.float64) if len(points) else np.zeros((4, 2))
    return encode_polygon(polygon)


def anchors(visible: list[bool]) -> list[int]:
    """Where a multi-start evaluation starts: every ANCHOR_DISTANCE frames, away from the nearer end of the sequence.

    1 starts forward, -1 backward, 0 not at all; an anchor on a frame without target moves inwards.
    """
    length = len(visible)
    values = [0] * length
    for start in (*range(0, length - 1, ANCHOR_DISTANCE), length - 1):
        forwards = start < length / 2
        step = 1 if forwards else -1
        while 0 <= start < length and not visible[start]:
            start += step
        if 0 <= start < length:
            values[start] = step
    return values


def is_visible(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask H x W shows anything for the toolkit, which takes a line of pixels for empty."""
    return bool(mask.any(0).sum() > 1 and mask.any(1).sum() > 1)


def write_lines(path: Path, lines: Iterable[object]) -> None:
    """Write a text file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_texts(folder: Path, regions: list[str], visible: list[bool], size: tuple[int, int], fps: int) -> None:
    """Write what a sequence's folder holds besides the images `color/00000001.jpg` and so on.

    Args:
        folder: its name is the sequence's.
        regions: the ground truth, a text for every frame.
        visible: whether each frame shows the target.
        size: width and height of the images.
        fps: frames per second.
    """
    facts = {"channels.color": "color/%08d.jpg", "format": "default", "fps": fps, "name": folder.name}
    facts |= {"width": size[0], "height": size[1], "length": len(regions)}
    write_lines(folder / "sequence", [f"{key}={value}" for key, value in facts.items()])
    write_lines(folder / "groundtruth.txt", regions)
    write_lines(folder / "anchor.value", anchors(visible))


def write_sequence(folder: Path, frames: Iterable[Annotated], *, kind: str, fps: int = 20) -> None:
    """Write a sequence folder.

    Args:
        folder: is created, or its images are replaced; its name is the sequence's.
        frames: the frames in order.
        kind: "polygon" or "mask", the format of the ground truth.
        fps: frames per second, of importance in real-time experiments.
    """
    color = folder / "color"
    if color.is_dir():
        shutil.rmtree(color)  # of a longer sequence, images would be left over
    color.mkdir(parents=True)
    regions: list[str] = []
    visible: list[bool] = []
    height = width = 0
    for index, frame in enumerate(frames):
        height, width = frame.mask.shape
        path = color / f"{index + 1:08d}.jpg"
        bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise WorkspaceError(f"'{path}' cannot be written; check the disk's space and permissions")
        regions.append(_region(frame, kind))
        visible.append(is_visible(frame.mask))
    write_texts(folder, regions, visible, (width, height), fps)
