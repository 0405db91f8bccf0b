"""Miniature data sets in the layouts in which GOT-10k, TrackingNet and OTB are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

SIZE = (60, 40)  # width, height
LENGTH = 4  # frames
PATH = [(10.0 + step, 5.0, 20.0, 10.0) for step in range(LENGTH)]  # true boxes, corners counted from 0


def write_images(folder: Path, names: Sequence[str]) -> None:
    """Write small images of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8))


def write_unused_weights(folder: Path) -> Path:
    """Write a weights file of which nothing but the checksum is wanted."""
    import torch

    from tracker.checkpoints.weights import FORMAT, write_tensors

    path = folder / "unused.safetensors"
    write_tensors({"nothing": torch.zeros(2)}, path, {"format": FORMAT})
    return path


def box_lines(origin: int, *, frames: int = LENGTH, separator: str = ",") -> str:
    """The true boxes as text, corners counted from `origin`."""
    boxes = [(x + origin, y + origin, width, height) for x, y, width, height in PATH[:frames]]
    return "".join(separator.join(f"{value:g}" for value in box) + "\n" for box in boxes)


def write_got10k(
    root: Path, split: str = "val", *, names: Sequence[str] = ("GOT_1", "GOT_2"), first: bool = False
) -> Path:
    """Write sequences of GOT-10k; with `first` the truth of all but the first frame is kept back."""
    for name in names:
        folder = root / split / name
        write_images(folder, [f"{index + 1:08d}.jpg" for index in range(LENGTH)])
        (folder / "groundtruth.txt").write_text(box_lines(1, frames=1 if first else LENGTH))
        (folder / "meta_info.ini").write_text(f"[METAINFO]\nanno_fps: 10Hz\nresolution: ({SIZE[0]}, {SIZE[1]})\n")
        if not first:
            (folder / "cover.label").write_text("8\n8\n0\n1\n")
            (folder / "absence.label").write_text("0\n0\n1\n0\n")
    (root / split / "list.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def write_trackingnet(
    root: Path, split: str = "TRAIN_0", *, names: Sequence[str] = ("-a_0", "b_1"), first: bool = False
) -> Path:
    """Write sequences of TrackingNet, whose frames are numbered from 0."""
    (root / split / "anno").mkdir(parents=True)
    for name in names:
        write_images(root / split / "frames" / name, [f"{index}.jpg" for index in range(LENGTH)])
        (root / split / "anno" / f"{name}.txt").write_text(box_lines(0, frames=1 if first else LENGTH))
    return root


def write_otb(root: Path) -> Path:
    """Write two folders of OTB with three targets: one separated by tabs, two of one video by commas."""
    for name in ("Car", "Jogging"):
        write_images(root / name / "img", [f"{index + 1:04d}.jpg" for index in range(LENGTH)])
    (root / "Car" / "groundtruth_rect.txt").write_text(box_lines(1, separator="\t"))
    for target in (1, 2):
        (root / "Jogging" / f"groundtruth_rect.{target}.txt").write_text(box_lines(1))
    return root
