"""Draws the recipes of training samples: which pictures, which objects, and what becomes of them."""

from __future__ import annotations

import logging

import numpy as np

from tracker.training.data import DataError
from tracker.training.recipes import Attached, Cut, Recipe, Still, window_of
from tracker.training.sources import Files
from tracker.training.targets import draw_line, draw_place

log = logging.getLogger(__name__)

MIN_TARGET_AREA = 80  # smaller objects are not drawn as targets, pixels
MAX_DRAWS = 200  # so many unusable samples in a row end the training


class MaterialDrawer:
    """Draws recipes at random.

    Args:
        pictures: where they are drawn from.
        composite_share: share of the stills that get another background.
        distractor_share: share of the samples that get a pasted distractor or occluder.
        twin_share: share of the stills' distractors that are the target once more.
        part_share: share of the stills whose target is a part of the object, which saliency does not tell from the
            rest of it: a hand of an arm.
        pair_share: share of the other stills whose target is two objects together, as rider and bicycle are.
        instance_share: share of the samples from no video whose target is one of several objects of a picture. It
            keeps its background, where the others are.
        max_gap: largest distance between two drawn frames of a video.
    """

    def __init__(
        self,
        pictures: Files,
        *,
        composite_share: float = 0.65,
        distractor_share: float = 0.6,
        twin_share: float = 0.0,
        part_share: float = 0.0,
        pair_share: float = 0.0,
        instance_share: float = 0.0,
        max_gap: int = 8,
    ) -> None:
        self.pictures = pictures
        # long sequences are drawn more often, but not in proportion: their frames resemble each other
        weights = np.sqrt([len(frames) for frames in pictures.videos])
        self.video_weights = weights / max(weights.sum(), 1e-9)
        self.composite_share = composite_share
        self.distractor_share = distractor_share
        self.twin_share = twin_share
        self.part_share = part_share
        self.pair_share = pair_share
        self.instance_share = instance_share
        self.max_gap = max_gap

    def _damaged(self, error: DataError) -> None:
        """Report a sample that does not decode, once; another one is drawn in its place."""
        if str(error) not in self.pictures.damaged:
            log.warning("%s; it is skipped", error)
            self.pictures.damaged.add(str(error))

    def _number(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.pictures.still_count))

    def _still(self, rng: np.random.Generator, *, part: bool = False, pair: bool = False) -> Still:
        for _ in range(MAX_DRAWS):
            number, second = self._number(rng), self._number(rng) if pair else None
            try:
                facts = self.pictures.still(number)
                other = None if second is None else self.pictures.still(second)
            except DataError as error:
                self._damaged(error)
                continue
            target = facts.objects.get(1)
            line = draw_line(rng) if part else None
            if target is None or target.area * (line.share if line else 1.0) < MIN_TARGET_AREA:
                continue
            attached = None
            if second is not None and other is not None and 1 in other.objects:
                attached = Attached(second, draw_place(target, other.objects[1], rng), other)
            return Still(number, facts, line, attached)
        raise DataError(f"{MAX_DRAWS} stills in a row hold no object of {MIN_TARGET_AREA} pixels; check the data")

    def _clip(self, count: int, rng: np.random.Generator) -> tuple[Cut, ...]:
        """Frames of a video with one object that is visible in the first of them.

        All frames are cut alike, so that the object's motion is kept.
        """
        for _ in range(MAX_DRAWS):
            video = self.pictures.videos[rng.choice(len(self.pictures.videos), p=self.video_weights)]
            if len(video) < count:
                continue
            gaps = rng.integers(1, self.max_gap + 1, size=count - 1)
            gaps = np.minimum(gaps, max(1, (len(video) - 1) // (count - 1)))
            start = rng.integers(0, len(video) - gaps.sum())
            indices = start + np.concatenate([[0], np.cumsum(gaps)])
            if rng.random() < 0.5:
                indices = indices[::-1]
            numbers = [video[index] for index in indices]
            try:
                facts = [self.pictures.frame(number) for number in numbers]
            except DataError as error:
                self._damaged(error)
                continue
            usable = [name for name, box in facts[0].objects.items() if box.area >= MIN_TARGET_AREA]
            if not usable:
                continue
            chosen = int(rng.choice(usable))
            target = facts[0].objects[chosen]
            scale, corner = window_of(target, facts[0].extent)
            if target.area * scale**2 >= MIN_TARGET_AREA:
                return tuple(Cut(*frame, chosen, scale, corner) for frame in zip(numbers, facts, strict=True))
        raise DataError(
            f"{MAX_DRAWS} videos in a row have fewer than {count} frames or no object of {MIN_TARGET_AREA} pixels; "
            "check the data"
        )

    def _instance(self, rng: np.random.Generator) -> Cut:
        """One of several objects of a picture."""
        for _ in range(MAX_DRAWS):
            number = int(rng.choice(self.pictures.instances))
            try:
                facts = self.pictures.frame(number)
            except DataError as error:
                self._damaged(error)
                continue
            cuts = [Cut(number, facts, name, *window_of(box, facts.extent)) for name, box in facts.objects.items()]
            usable = [cut for cut in cuts if facts.objects[cut.target].area * cut.scale**2 >= MIN_TARGET_AREA]
            if usable:
                return usable[rng.integers(len(usable))]
        raise DataError(f"{MAX_DRAWS} pictures of several objects in a row have none of {MIN_TARGET_AREA} pixels")

    def draw(self, count: int, rng: np.random.Generator, *, video_share: float) -> Recipe:
        """Draw the recipe of one sample of `count` frames, from a video with the probability `video_share`.

        Raises:
            DataError: hardly any picture can be used.
        """
        video = rng.random() < video_share and bool(self.pictures.videos)
        several = not video and self.instance_share > 0.0 and bool(self.pictures.instances)
        if several and rng.random() < self.instance_share:
            return Recipe((self._instance(rng),) * count, None, self._distractor(rng), video)
        part = not video and self.part_share > 0.0 and rng.random() < self.part_share
        pair = not video and not part and self.pair_share > 0.0 and rng.random() < self.pair_share
        still = None if video else self._still(rng, part=part, pair=pair)
        target = self._clip(count, rng) if still is None else (still,) * count
        background = self._still(rng) if not video and not part and rng.random() < self.composite_share else None
        return Recipe(target, background, self._distractor(rng, still), video)

    def _distractor(self, rng: np.random.Generator, still: Still | None = None) -> Still | None:
        """Another object to be pasted in, or `still` once more, or nothing."""
        if rng.random() >= self.distractor_share:
            return None
        twin = still is not None and self.twin_share > 0.0 and rng.random() < self.twin_share
        return still if twin else self._still(rng)
