"""Training data that are decoded once and stay on the device that trains, so that it never waits for them.

Decoding whatever is drawn takes 11 ms of a processor core for each sample (half of them videos), and every batch is
packed, handed from process to process and uploaded. Decoded, 13,000 stills take 5 GB, 2,000 video frames 2 GB.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from tracker.training.assembly import cut_clip, inside, join_pairs, parts_of
from tracker.training.data import DataError
from tracker.training.packing import Packed, sort_out
from tracker.training.recipes import SOURCE_SIZE, TARGET_SIZE, Cut, ObjectBox, Recipe, Still
from tracker.training.sources import Files, pad
from tracker.training.warp import boxes_of

log = logging.getLogger(__name__)

PIXEL_BYTES = 4  # three colours and a mask
GIGABYTE = 1e9
MEMORY_FACTS = Path("/proc/meminfo")  # Linux


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a picture on the host."""

    extent: tuple[int, int]
    objects: Mapping[int, ObjectBox]


def free_memory(device: torch.device) -> int | None:
    """Free bytes of a device; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = dict(line.split(":", 1) for line in MEMORY_FACTS.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def needed_memory(files: Files) -> int:
    """Bytes that the decoded pictures take; a video's frames are taken to be as large as its first good one."""
    pixels = files.still_count * SOURCE_SIZE**2
    for numbers in files.videos:
        for number in numbers:
            try:
                width, height = files.frame(number).extent
            except DataError:
                continue
            pixels += len(numbers) * width * height
            break
    return PIXEL_BYTES * pixels


class Shelf:
    """All pictures, decoded, on one device (`drawer.Pictures`); only what drawing needs to know is on the host.

    Args:
        files: the pictures. Damaged ones are reported and never drawn.
        device: where they go.
        quiet: show no progress bar.

    Raises:
        DataError: the device has not enough memory.
    """

    def __init__(self, files: Files, device: torch.device, *, quiet: bool = False) -> None:
        self.device = device
        self.still_count, self.videos, self.damaged = files.still_count, files.videos, files.damaged
        needed, free = needed_memory(files), free_memory(device)
        known = "" if free is None else f" ({free / GIGABYTE:.1f} GB are free)"
        log.info("decoding the training data onto %s: %.1f GB%s", device, needed / GIGABYTE, known)
        if free is not None and needed > free:
            raise self._too_large(needed)
        try:
            self._images = torch.empty(files.still_count, SOURCE_SIZE, SOURCE_SIZE, 3, dtype=torch.uint8, device=device)
            self._masks = torch.empty(files.still_count, SOURCE_SIZE, SOURCE_SIZE, dtype=torch.uint8, device=device)
            self._frames: dict[int, tuple[Tensor, Tensor]] = {}
            self._stills_known = self._load(files.still_count, lambda number: self._put_still(files, number), quiet)
            self._frames_known = self._load(len(files.frames), lambda number: self._put_frame(files, number), quiet)
        except torch.OutOfMemoryError as error:
            raise self._too_large(needed) from error

    def _too_large(self, needed: int) -> DataError:
        return DataError(
            f"the decoded training data take {needed / GIGABYTE:.1f} GB, and '{self.device}' has less memory free; "
            "decode them as they are drawn: --data-on host"
        )

    def _load(self, count: int, put: Callable[[int], Known], quiet: bool) -> list[Known | DataError]:
        """Decode pictures by several threads (OpenCV lets them run side by side); returns what is known of each."""

        def attempt(number: int) -> Known | DataError:
            try:
                return put(number)
            except DataError as error:
                return error

        found = []
        pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
        try:
            for known in tqdm(pool.map(attempt, range(count)), total=count, unit="picture", disable=quiet or None):
                if isinstance(known, DataError) and str(known) not in self.damaged:
                    log.warning("%s; it is skipped", known)
                    self.damaged.add(str(known))
                found.append(known)
        finally:
            pool.shutdown(cancel_futures=True)
        return found

    def _put_still(self, files: Files, number: int) -> Known:
        decoded = files.still(number)
        self._images[number].copy_(torch.from_numpy(pad(decoded.image)))
        self._masks[number].copy_(torch.from_numpy(pad(decoded.ids)))
        return Known(decoded.extent, decoded.objects)

    def _put_frame(self, files: Files, number: int) -> Known:
        decoded = files.frame(number)
        image, ids = (torch.from_numpy(pixels).to(self.device) for pixels in (decoded.image, decoded.ids))
        self._frames[number] = image, ids
        return Known(decoded.extent, decoded.objects)

    def still(self, number: int) -> Known:
        """Look at a still.

        Raises:
            DataError: it did not decode.
        """
        return _good(self._stills_known[number])

    def frame(self, number: int) -> Known:
        """Look at a video frame.

        Raises:
            DataError: it did not decode.
        """
        return _good(self._frames_known[number])

    def pack(self, recipes: Sequence[Recipe]) -> Packed:
        """Make the sources of some samples, each once, on the device; the targets' boxes alone come to the host."""
        stills, cuts, uses = sort_out(recipes)
        layers = [self._take_stills(stills)]
        for _, clip in groupby(cuts, key=lambda cut: (cut.facts.extent, cut.target, cut.scale, cut.corner)):
            layers.append(self._take_clip(list(clip)))
        images, masks = (torch.cat(parts) for parts in zip(*layers, strict=True))
        extents = np.array([*(still.facts.extent for still in stills), *(cut.extent for cut in cuts)], np.float32)
        boxes = boxes_of((masks == 1) & inside(torch.from_numpy(extents).to(self.device)))
        empty = np.isnan(boxes[:, 0])
        centres = np.where(empty[:, None], extents / 2, (boxes[:, :2] + boxes[:, 2:]) / 2)
        sides = np.where(empty[:, None], TARGET_SIZE, boxes[:, 2:] - boxes[:, :2] + 1.0)
        return Packed(images, masks, extents, centres, np.sqrt(sides.prod(1)), *uses)

    def _take_stills(self, stills: list[Still]) -> tuple[Tensor, Tensor]:
        """Images K x S x S x 3 and masks K x S x S of stills, with their parts and pairs."""
        numbers = self._index([still.number for still in stills])
        images, masks = self._images[numbers], self._masks[numbers]
        cut = [(row, still.line) for row, still in enumerate(stills) if still.line is not None]
        if cut:
            rows = self._index([row for row, _ in cut])
            extents = self._table([stills[row].facts.extent for row, _ in cut])
            masks[rows] = parts_of(masks[rows], extents, [line for _, line in cut])
        paired = [(row, still.attached) for row, still in enumerate(stills) if still.attached is not None]
        if paired:
            rows = self._index([row for row, _ in paired])
            second = self._index([attached.number for _, attached in paired])
            first_extents = self._table([stills[row].facts.extent for row, _ in paired])
            other_extents = self._table([attached.facts.extent for _, attached in paired])
            others = (self._images[second], self._masks[second], other_extents)
            images[rows], masks[rows] = join_pairs(
                images[rows], masks[rows], first_extents, others, [attached for _, attached in paired]
            )
        return images, masks

    def _take_clip(self, cuts: list[Cut]) -> tuple[Tensor, Tensor]:
        """Images T x S x S x 3 and masks T x S x S of frames that are cut alike."""
        images, ids = zip(*(self._frames[cut.number] for cut in cuts), strict=True)
        return cut_clip(images, ids, cuts[0])

    def _index(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int64).to(self.device)

    def _table(self, values: Sequence[tuple[int, int]]) -> Tensor:
        rows: NDArray[np.float32] = np.array(values, np.float32)
        return torch.from_numpy(rows).to(self.device)


def _good(known: Known | DataError) -> Known:
    if isinstance(known, DataError):
        raise known
    return known
