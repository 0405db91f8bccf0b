"""COCO instance masks as stills, through pycocotools. Images are read from disk when they are drawn.

Layout:
    annotations/instances_train2017.json   any instances_train*.json
    train2017/000000000009.jpg             the folder that the file's name ends in

Each annotation of one thing (`iscrowd` 0) of at least MIN_AREA pixels is a still with that thing as its object, be it
outlined by polygons or by run lengths. Annotations without an image, or whose outline is none, are reported and
skipped. The outlines stay in memory as compressed run lengths: about 0.4 KB per still, 200 MB for train2017; while its
450 MB of JSON are read, several times as much is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.training.data import DataError, Frame, TrainingData
from tracker.training.readers.listing import IMAGES, files_by_stem, report_skipped

MIN_AREA = 32 * 32  # pixels; smaller things are what COCO itself calls small, and come out at half of that side


@dataclass(frozen=True, slots=True)
class RunLengths:
    """A mask in COCO's compressed run lengths."""

    size: tuple[int, int]  # height and width
    counts: bytes

    def ids(self) -> NDArray[np.uint8]:
        """Return the mask H x W: 1 the object, 0 the rest.

        Raises:
            ValueError: the run lengths do not fit the size.
        """
        mask = np.asarray(_coder().decode({"size": list(self.size), "counts": self.counts}), np.uint8)
        if mask.max(initial=0) > 1:  # what too few runs leave out is not even cleared
            raise ValueError("too few run lengths")
        return mask


def _coder() -> Any:
    try:
        from pycocotools import mask
    except ImportError:
        raise DataError("reading COCO needs the package pycocotools; install it: pip install pycocotools") from None
    return mask


def find_coco(folder: Path) -> list[tuple[Path, Path]]:
    """The files of annotations for training and the folders of their images."""
    found = []
    for path in sorted(folder.glob("annotations/instances_train*.json")):
        images = folder / path.stem.removeprefix("instances_")
        if images.is_dir():
            found.append((path, images))
    return found


def _compress(outline: Any, size: tuple[int, int]) -> bytes | None:
    """Turn an annotation's outline into run lengths, or None where it is none."""
    coder = _coder()
    if isinstance(outline, dict) and list(outline.get("size", ())) == list(size):
        counts = outline.get("counts")
        if isinstance(counts, str):
            return counts.encode()
        if isinstance(counts, list) and sum(counts) == size[0] * size[1]:
            return bytes(coder.frPyObjects(outline, *size)["counts"])
    if isinstance(outline, list):  # fewer than three corners are no area; pycocotools fails for them
        polygons = [corners for corners in outline if isinstance(corners, list) and len(corners) >= 6]
        if polygons:
            return bytes(coder.merge(coder.frPyObjects(polygons, *size))["counts"])
    return None


def read_coco(annotations: Path, images: Path) -> TrainingData:
    """Read the stills of one file of annotations, ordered by image and annotation.

    Raises:
        DataError: the file is damaged or of another kind, the folder cannot be listed, or pycocotools is missing.
    """
    _coder()  # before minutes of reading
    try:
        with annotations.open("rb") as stream:
            table = json.load(stream)
        pictures = {entry["id"]: (entry["file_name"], (entry["height"], entry["width"])) for entry in table["images"]}
        things = sorted(table["annotations"], key=lambda entry: (entry["image_id"], entry["id"]))
        things = [entry for entry in things if not entry.get("iscrowd") and entry["area"] >= MIN_AREA]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        text = f"COCO annotations '{annotations}' are damaged or of another kind ({what}); fetch instances_train*.json"
        raise DataError(f"{text} again") from error
    files = files_by_stem(images, IMAGES)
    stills, lost, unusable = [], [], []
    for entry in things:
        file_name, size = pictures.get(entry["image_id"], (f"image {entry['image_id']}", (0, 0)))
        path = files.get(Path(file_name).stem)
        name = f"{images.name}/{file_name}#{entry['id']}"
        if path is None:
            lost.append(name)
            continue
        try:
            counts = _compress(entry.get("segmentation"), size)
        except (ValueError, TypeError):  # corners that are no numbers
            counts = None
        if counts is None:
            unusable.append(name)
        else:
            stills.append(Frame(name, path, RunLengths(size, counts)))
    report_skipped(annotations, lost, f"annotations without their image in '{images}'")
    report_skipped(annotations, unusable, "annotations without an outline of polygons or run lengths")
    return TrainingData(stills=stills)
