"""Draws the raw material of a training sample: the target's frames, a background and a distractor.

All sources share one size so that whole batches are warped at once, on whatever device trains. A source keeps
the scale of its file where the target is small and shrinks it where the target is large.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.training.data import VOID, DataError, Frame
from tracker.training.targets import joined, part_of

log = logging.getLogger(__name__)

SOURCE_SIZE = 320  # side of the padded source images, pixels; the stills are 288 wide or high
TARGET_SIZE = 96.0  # video frames are shrunk until sqrt(w*h) of their target comes down to this, pixels
MIN_TARGET_AREA = 80  # smaller objects are not drawn as targets, pixels
MAX_DRAWS = 200  # so many unusable samples in a row end the training


@dataclass
class Source:
    """One annotated image, cut and padded to SOURCE_SIZE."""

    image: NDArray[np.uint8]  # SOURCE_SIZE x SOURCE_SIZE x 3; the part beyond `extent` is padding
    mask: NDArray[np.uint8]  # SOURCE_SIZE x SOURCE_SIZE: 1 target, 0 background, VOID ignored
    extent: tuple[int, int]  # width and height that hold image
    centre: tuple[float, float]  # of the target's box, pixels
    size: float  # sqrt(w*h) of the target's box, pixels


def box_of(mask: NDArray[np.bool_]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Centre (x, y) and size (w, h) of a mask's bounding box, or None where it is empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    x0, x1, y0, y1 = columns[0], columns[-1], rows[0], rows[-1]
    return ((x0 + x1) / 2.0, (y0 + y1) / 2.0), (x1 - x0 + 1.0, y1 - y0 + 1.0)


def _pad(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bottom, right = SOURCE_SIZE - image.shape[0], SOURCE_SIZE - image.shape[1]
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def cut_source(image: NDArray[np.uint8], mask: NDArray[np.uint8], scale: float, corner: tuple[int, int]) -> Source:
    """Shrink an image and its mask by `scale` and cut SOURCE_SIZE pixels from `corner` (x, y of the shrunk one)."""
    if scale < 1.0:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        mask = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    window = (slice(corner[1], corner[1] + SOURCE_SIZE), slice(corner[0], corner[0] + SOURCE_SIZE))
    image, mask = image[window], mask[window]
    box = box_of(mask == 1)
    centre, (width, height) = box or ((image.shape[1] / 2, image.shape[0] / 2), (TARGET_SIZE, TARGET_SIZE))
    return Source(_pad(image), _pad(mask), image.shape[1::-1], centre, float(np.sqrt(width * height)))


def still_source(frame: Frame, rng: np.random.Generator | None = None, *, attached: Frame | None = None) -> Source:
    """Decode a still; its one object is the target.

    Args:
        frame: the still.
        rng: with it the target is a random part of the object, or
        attached: with it and another still, the two objects of both together.
    """
    image, ids = frame.decode()
    mask = (ids > 0).astype(np.uint8)
    if rng is not None and mask.any():
        if attached is None:
            mask = part_of(mask, rng)
        else:
            other_image, other_ids = attached.decode()
            if other_ids.any():
                image, mask = joined(image, mask, other_image, (other_ids > 0).astype(np.uint8), rng)
    scale = min(1.0, SOURCE_SIZE / max(image.shape[:2]))
    return cut_source(image, mask, scale, (0, 0))


def video_sources(frames: list[Frame], rng: np.random.Generator) -> list[Source] | None:
    """Decode ordered frames of a video and choose one object that is visible in the first of them.

    All frames are cut alike, so that the object's motion is kept. None where the first frame shows no object of
    a useful size.
    """
    decoded = [frame.decode() for frame in frames]
    ids, counts = np.unique(decoded[0][1], return_counts=True)
    usable = ids[(ids > 0) & (ids != VOID) & (counts >= MIN_TARGET_AREA)]
    if not len(usable):
        return None
    chosen = rng.choice(usable)
    masks = [np.where(ids == VOID, VOID, ids == chosen).astype(np.uint8) for _, ids in decoded]
    box = box_of(masks[0] == 1)
    assert box is not None
    (x, y), (width, height) = box
    longest = max(decoded[0][0].shape[:2])
    scale = float(np.clip(TARGET_SIZE / np.sqrt(width * height), min(1.0, SOURCE_SIZE / longest), 1.0))
    shape = [round(side * scale) for side in masks[0].shape]
    corner = tuple(
        int(np.clip(round(position * scale - SOURCE_SIZE / 2), 0, max(0, side - SOURCE_SIZE)))
        for position, side in ((x, shape[1]), (y, shape[0]))
    )
    sources = [
        cut_source(image, mask, scale, (corner[0], corner[1])) for (image, _), mask in zip(decoded, masks, strict=True)
    ]
    return sources if (sources[0].mask == 1).sum() >= MIN_TARGET_AREA else None


@dataclass
class Material:
    """Everything one sample is composed of."""

    target: list[Source]  # one source per frame; for a still the same one
    background: Source | None  # another still, or None: the target keeps its own surroundings
    distractor: Source | None  # another object to be pasted in
    video: bool


class MaterialDrawer:
    """Draws material at random from stills and videos.

    Args:
        stills: image-mask pairs.
        videos: frames of each sequence, in order.
        composite_share: share of the stills that get another background.
        distractor_share: share of the samples that get a pasted distractor or occluder.
        twin_share: share of the stills' distractors that are the target once more.
        part_share: share of the stills whose target is a part of the object, which saliency does not tell from the
            rest of it: a hand of an arm.
        pair_share: share of the other stills whose target is two objects together, as rider and bicycle are.
        max_gap: largest distance between two drawn frames of a video.
    """

    def __init__(
        self,
        stills: list[Frame],
        videos: dict[str, list[Frame]],
        *,
        composite_share: float = 0.65,
        distractor_share: float = 0.6,
        twin_share: float = 0.0,
        part_share: float = 0.0,
        pair_share: float = 0.0,
        max_gap: int = 8,
    ) -> None:
        self.stills = stills
        self.videos = [frames for _, frames in sorted(videos.items()) if len(frames) >= 3]
        # long sequences are drawn more often, but not in proportion: their frames resemble each other
        weights = np.sqrt([len(frames) for frames in self.videos]) if self.videos else np.ones(0)
        self.video_weights = weights / max(weights.sum(), 1e-9)
        self.composite_share = composite_share
        self.distractor_share = distractor_share
        self.twin_share = twin_share
        self.part_share = part_share
        self.pair_share = pair_share
        self.max_gap = max_gap
        self.damaged: set[str] = set()  # samples that did not decode

    def _damaged(self, error: DataError) -> None:
        """Report a sample that does not decode, once; another one is drawn in its place."""
        if str(error) not in self.damaged:
            log.warning("%s; it is skipped", error)
            self.damaged.add(str(error))

    def _frame(self, rng: np.random.Generator) -> Frame:
        return self.stills[rng.integers(len(self.stills))]

    def _still(self, rng: np.random.Generator, *, part: bool = False, pair: bool = False) -> Source:
        for _ in range(MAX_DRAWS):
            try:
                frame, attached = self._frame(rng), self._frame(rng) if pair else None
                source = still_source(frame, rng if part or pair else None, attached=attached)
            except DataError as error:
                self._damaged(error)
                continue
            if (source.mask == 1).sum() >= MIN_TARGET_AREA:
                return source
        raise DataError(f"{MAX_DRAWS} stills in a row hold no object of {MIN_TARGET_AREA} pixels; check the data")

    def _video(self, count: int, rng: np.random.Generator) -> list[Source]:
        for _ in range(MAX_DRAWS):
            frames = self.videos[rng.choice(len(self.videos), p=self.video_weights)]
            if len(frames) < count:
                continue
            gaps = rng.integers(1, self.max_gap + 1, size=count - 1)
            gaps = np.minimum(gaps, max(1, (len(frames) - 1) // (count - 1)))
            start = rng.integers(0, len(frames) - gaps.sum())
            indices = start + np.concatenate([[0], np.cumsum(gaps)])
            if rng.random() < 0.5:
                indices = indices[::-1]
            try:
                sources = video_sources([frames[index] for index in indices], rng)
            except DataError as error:
                self._damaged(error)
                continue
            if sources is not None:
                return sources
        raise DataError(
            f"{MAX_DRAWS} videos in a row have fewer than {count} frames or no object of {MIN_TARGET_AREA} pixels; "
            "check the data"
        )

    def draw(self, count: int, rng: np.random.Generator, *, video_share: float) -> Material:
        """Draw the material of one sample of `count` frames, from a video with the probability `video_share`."""
        video = rng.random() < video_share and bool(self.videos)
        part = not video and self.part_share > 0.0 and rng.random() < self.part_share
        pair = not video and not part and self.pair_share > 0.0 and rng.random() < self.pair_share
        target = self._video(count, rng) if video else [self._still(rng, part=part, pair=pair)] * count
        background = self._still(rng) if not video and not part and rng.random() < self.composite_share else None
        distractor = None
        if rng.random() < self.distractor_share:
            twin = not video and self.twin_share > 0.0 and rng.random() < self.twin_share
            distractor = target[0] if twin else self._still(rng)
        return Material(target, background, distractor, video)
