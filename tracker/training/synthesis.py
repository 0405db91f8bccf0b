"""Composes training samples: warps, pastes and jitters sources into search regions as the tracker sees them.

A search region of a still reaches far beyond its border, and a network trained on padding learns that "the object
is what is not border". Most stills are therefore pasted on other stills, whose border is mirrored (nothing of
them is labeled), and the share of padded pixels is measured in every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tracker.config import FilterConfig
from tracker.data.masks import VOID
from tracker.geometry.distance_map import distance_map, gaussian_map
from tracker.network.model import STRIDE, SpatialMap
from tracker.training.degradation import (
    LARGEST,
    SMALLEST,
    Families,
    FamilyDraws,
    gray,
    hidden_frames,
    mask_error,
    motion_blur,
    occluder,
    recorded,
    relit,
)
from tracker.training.packing import Packed
from tracker.training.warp import View, boxes_of, elastic_field, ends_of, outside, sample, view_grid

LABEL_SIGMA = FilterConfig.label_sigma  # of what the filter is trained to answer, in target sizes
HOLDER_ZOOM = 2.0  # such an object is so many times as large as the target
NO_FAMILIES = Families()
IGNORE = -1.0  # label value of pixels that enter no loss


@dataclass(frozen=True)
class SynthesisConfig:
    """How samples are varied."""

    size: int = 256  # side of the search region, pixels
    frames: int = 3  # frames per sample; the first one is remembered with its label
    factor: tuple[float, float] = (2.0, 4.5)  # side of the search region in units of sqrt(w*h) of the target
    reference_factor: float = 4.5  # the tracker's factor: the unit of the distance map
    offset: float = 0.75  # target center off the region's center by up to this many target sizes (release)
    size_jitter: float = 0.25  # the region's size is off by exp(this * N(0, 1)) (release)
    map_jitter: float = 0.12  # standard deviation of the map's center, in target sizes
    map_miss: float = 0.08  # share of the maps that point anywhere
    spatial_map: SpatialMap = "distance"  # what the maps show
    holder_share: float = 0.25  # share of the objects under or beside a target that are large, like who holds it
    box_mask_share: float = 0.2  # share of samples whose first mask is a box (Box2Seg)
    max_padding: float = 0.25  # natural regions are tightened until no more of them is padding
    elastic: float = 0.03  # amplitude of the elastic warp, in units of the region's side
    families: Families = NO_FAMILIES  # samples like the sequences that fail


@dataclass
class Batch:
    """A batch of B samples of T frames."""

    images: Tensor  # B x T x 3 x S x S, 0..255
    labels: Tensor  # B x T x 1 x S x S: 1 target, 0 background, IGNORE
    memory_mask: Tensor  # B x 1 x S x S: the first frame's mask, or its box
    maps: Tensor  # B x T x 1 x S/16 x S/16: spatial maps as the filter would have given them
    centers: NDArray[np.float32]  # B x T x 2: target center x, y in the region, pixels (unjittered)
    padding: Tensor  # share of padded pixels
    memory_error: Tensor | None = (
        None  # B x T x 1 x S x S, -1..1: added to the masks that are remembered of predictions
    )


class Synthesizer:
    """Turns packed material into batches; what it draws is a function of the seed that it is given."""

    def __init__(self, config: SynthesisConfig, *, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.rng = np.random.default_rng()
        self.generator = torch.Generator(device)

    def compose(self, packed: Packed, seed: Sequence[int]) -> Batch:
        """Compose one batch of B samples.

        Args:
            packed: the samples' material.
            seed: any numbers; the same ones give the same batch on the same kind of device.
        """
        config, size, frames = self.config, self.config.size, self.config.frames
        self.rng = np.random.default_rng(list(seed))
        self.generator.manual_seed(int(self.rng.integers(2**62)))
        count = len(packed.target)
        packed = packed.to(self.device)
        factors = [self._factor(packed, index) for index in range(count)]
        copies = [bool(self.rng.random() < config.box_mask_share) for _ in range(count)]
        chosen = packed.target[:, :frames].copy()
        views = []
        for index in range(count):
            views += self._target_views(packed, index, factors[index])
            if copies[index] and frames > 1 and self.rng.random() < 0.5:
                # Box2Seg at work: the frame that is segmented is the one whose box was remembered
                views[-frames + 1] = views[-frames]
                chosen[index, 1] = chosen[index, 0]
        images, masks, extent = packed.take(chosen.ravel())
        grid = view_grid(views, size, self.device)
        # a video moves by itself, a still is bent
        bend = np.repeat(~packed.video, frames) * [config.elastic * view.side for view in views]
        amplitude = torch.from_numpy(bend.astype(np.float32)).to(self.device)
        grid = grid + elastic_field(size, amplitude, self.generator)
        padded = outside(grid, extent)
        layer = sample(torch.cat([images, masks == 1, masks == VOID], 1), extent, grid, mirror=False)
        inside = (~padded).unsqueeze(1)
        color, alpha, void = layer[:, :3], layer[:, 3:4] * inside, layer[:, 4:5] * inside
        rows = self._rows(packed.background)
        if len(rows):
            color[rows] = torch.lerp(self._backgrounds(packed), color[rows], alpha[rows])
            padded[rows] = False
        centers = self._centers(alpha)  # before occlusion: the filter sees the center of the whole target
        rows = self._rows(packed.distractor)
        if len(rows):
            self._paste_distractors(packed, factors, color, alpha, rows)
        shape = (count, frames)
        centers = centers.reshape(*shape, 2)
        draws, targets = FamilyDraws(config.families, count, seed), size / np.array(factors)
        self._occlude(draws, packed, centers, targets, [layer.unflatten(0, shape) for layer in (color, alpha, void)])
        self._move(draws, centers, targets, color.unflatten(0, shape), alpha.unflatten(0, shape))
        label = torch.where(void > 0.5, IGNORE, (alpha > 0.5).float())
        label = label.reshape(*shape, 1, size, size)
        images = self._photometric(color).reshape(*shape, 3, size, size)
        self._record(draws, targets, images)
        return Batch(
            images,
            label,
            self._memory_mask(label[:, 0].clamp(min=0.0), copies),
            self._maps(centers, factors),
            centers,
            padded.float().mean(),
            self._memory_error(draws, centers, targets),
        )

    def _rows(self, sources: NDArray[np.int64]) -> Tensor:
        """Rows of the flattened batch (B*T) whose sample has a source in `sources` (B, -1 where it has none)."""
        present = np.flatnonzero(sources >= 0)
        rows = present[:, None] * self.config.frames + np.arange(self.config.frames)
        return torch.from_numpy(rows.ravel()).to(self.device)

    def _factor(self, packed: Packed, index: int) -> float:
        low, high = self.config.factor
        factor = float(np.exp(self.rng.uniform(np.log(low), np.log(high))))
        if packed.background[index] < 0:
            source = packed.target[index, 0]
            # the region and the image overlap in at most extent/side of each axis
            while factor > 1.3:
                shares = np.minimum(1.0, packed.extents[source] / (factor * packed.sizes[source]))
                if 1.0 - shares[0] * shares[1] <= self.config.max_padding:
                    break
                factor *= 0.93
        return factor

    def _target_views(self, packed: Packed, sample_index: int, factor: float) -> list[View]:
        config, rng, video = self.config, self.rng, packed.video[sample_index]
        flip, angle = bool(rng.random() < 0.5), rng.normal(0.0, 0.1)
        views = []
        for index, source in enumerate(packed.target[sample_index, : config.frames]):
            own = size = float(packed.sizes[source])
            turn, offset = 0.0, np.zeros(2)
            if index > 0:
                limit = min(config.offset, max(0.0, 0.5 * factor - 0.5))
                # half of the frames stay near the center, as most frames of a video do
                spread = limit if rng.random() < 0.5 else 0.3 * limit
                offset = rng.uniform(-spread, spread, size=2) * size
                size *= float(np.exp(config.size_jitter * (0.6 if video else 1.0) * rng.normal()))
                turn = 0.0 if video else rng.normal(0.0, 0.18)
            size = float(np.clip(size, 0.6 * own, 1.7 * own))
            views.append(View(packed.centers[source] + offset, factor * size, angle + turn, flip))
        return views

    def _backgrounds(self, packed: Packed) -> Tensor:
        """Slowly moving views of the background stills, for the samples that have one: N*T x 3 x S x S."""
        rng, frames = self.rng, self.config.frames
        views: list[View] = []
        sources = packed.background[packed.background >= 0]
        for source in sources:
            extent = packed.extents[source]
            side = float(extent.min() * rng.uniform(0.6, 1.0))
            center = rng.uniform(0.3, 0.7, size=2) * extent
            angle, flip = rng.normal(0.0, 0.05), bool(rng.random() < 0.5)
            drift = rng.normal(0.0, 0.06, size=(frames, 2)) * side
            turns = rng.normal(0.0, 0.03, size=frames)
            views += [View(center + drift[i], side, angle + turns[i], flip) for i in range(frames)]
        images, _, extents = packed.take(np.repeat(sources, frames))
        return sample(images, extents, view_grid(views, self.config.size, self.device), mirror=True)

    def _paste_distractors(
        self, packed: Packed, factors: list[float], color: Tensor, alpha: Tensor, rows: Tensor
    ) -> None:
        """Paste another object beside, under or over the target, in place.

        Args:
            packed: the material.
            factors: of each sample.
            color: B*T x 3 x S x S.
            alpha: B*T x 1 x S x S, of the targets.
            rows: the rows of those that have a distractor.
        """
        config, rng, frames = self.config, self.rng, self.config.frames
        views: list[View] = []
        occludes, present = [], np.flatnonzero(packed.distractor >= 0)
        sources = packed.distractor[present]
        for index, source in zip(present, sources, strict=True):
            occludes.append(bool(rng.random() < 0.35))
            holds = not occludes[-1] and rng.random() < config.holder_share
            zoom, reach = (HOLDER_ZOOM, 0.2) if holds else (1.0, 0.45)
            side = factors[index] * float(packed.sizes[source]) * float(np.exp(rng.normal(0.0, 0.3))) / zoom
            place = rng.uniform(-reach, reach, size=2) * side
            velocity = rng.normal(0.0, 0.08, size=2) * side
            angle, flip = rng.normal(0.0, 0.2), bool(rng.random() < 0.5)
            views += [View(packed.centers[source] - place - velocity * i, side, angle, flip) for i in range(frames)]
        images, masks, extents = packed.take(np.repeat(sources, frames))
        grid = view_grid(views, self.config.size, self.device)
        layer = sample(torch.cat([images, masks == 1], 1), extents, grid, mirror=False)
        cover = layer[:, 3:4] * ~outside(grid, extents).unsqueeze(1)
        # the first frame shows the target whole; in the others an occluder lies over it
        over = np.array([[occluding and frame > 0 for frame in range(frames)] for occluding in occludes])
        free = torch.from_numpy(over.ravel().astype(np.float32)).to(self.device).view(-1, 1, 1, 1)
        cover = cover * (1.0 - alpha[rows] * (1.0 - free))
        color[rows] = torch.lerp(color[rows], layer[:, :3], cover)
        alpha[rows] *= 1.0 - cover

    def _occlude(
        self,
        draws: FamilyDraws,
        packed: Packed,
        centers: NDArray[np.float32],
        targets: NDArray[np.float64],
        layers: list[Tensor],
    ) -> None:
        """Hide most of some targets in later frames, in place, behind a piece of any picture of the batch.

        Args:
            draws: who is hidden.
            packed: the material.
            centers: B x T x 2.
            targets: B, sqrt(w*h) of the targets, pixels.
            layers: colors B x T x 3 x S x S, and shares of target and void in each pixel, B x T x 1 x S x S.
        """
        chosen, rng = draws.of("occlusion")
        for index in chosen:
            source = rng.integers(len(packed.sizes), size=1)
            image, _, extent = packed.take(source)
            middle, side = 0.5 * packed.extents[source[0]].astype(np.float64), float(packed.extents[source[0]].min())
            view = View(middle, side * rng.uniform(0.3, 1.0), rng.uniform(0.0, 2.0 * np.pi), False)
            texture = sample(image, extent, view_grid([view], self.config.size, self.device), mirror=True)[0]
            for frame in hidden_frames(self.config.frames, rng):
                cover = occluder(self.config.size, centers[index, frame], targets[index], rng).to(self.device)
                color, alpha, void = (layer[index, frame] for layer in layers)
                color.lerp_(texture, cover.expand_as(color))
                alpha *= 1.0 - cover
                void *= 1.0 - cover

    def _move(
        self,
        draws: FamilyDraws,
        centers: NDArray[np.float32],
        targets: NDArray[np.float64],
        color: Tensor,
        alpha: Tensor,
    ) -> None:
        """Blur some samples along their targets' paths, in place; arguments as for `_occlude`."""
        chosen, rng = draws.of("blur")
        for index in chosen:
            for frame in range(self.config.frames):
                path = np.diff(centers[index, [max(0, frame - 1), max(1, frame)]].astype(np.float64), axis=0)[0]
                path += rng.normal(0.0, 0.02, size=2) * targets[index]
                length, everything = rng.uniform(0.0, 0.5) * targets[index], bool(rng.random() < 0.4)
                path *= length / max(float(np.hypot(*path)), 1e-6)
                color[index, frame] = motion_blur(color[index, frame], alpha[index, frame], path, everything=everything)

    def _record(self, draws: FamilyDraws, targets: NDArray[np.float64], images: Tensor) -> None:
        """Light, colors, resolution and compression of some samples' videos, in place: B x T x 3 x S x S, 0..255."""
        chosen, rng = draws.of("light")
        for index in chosen:
            images[index] = torch.stack([relit(image, rng) for image in images[index]])
        for index in draws.of("gray")[0]:
            images[index] = gray(images[index])
        small, rng = draws.of("small")
        scales = {index: min(1.0, rng.uniform(SMALLEST, LARGEST) / targets[index]) for index in small}
        compressed, noise = draws.of("compression")
        for index in sorted({*small, *compressed}):
            images[index] = recorded(images[index], scales.get(index, 1.0), noise if index in compressed else None)

    def _memory_error(
        self, draws: FamilyDraws, centers: NDArray[np.float32], targets: NDArray[np.float64]
    ) -> Tensor | None:
        """What the masks of middle frames are remembered with too much or too little; None where all are remembered."""
        chosen, rng = draws.of("corrupt_memory")
        if not chosen or self.config.frames < 3:
            return None
        size = self.config.size
        errors = torch.zeros(*centers.shape[:2], 1, size, size)
        for index in chosen:
            for frame in range(1, self.config.frames - 1):
                errors[index, frame, 0] = mask_error(size, centers[index, frame], targets[index], rng)
        return errors.to(self.device)

    def _photometric(self, images: Tensor) -> Tensor:
        """Vary brightness, contrast, color and sharpness frame by frame; N x 3 x S x S, 0..255."""
        count = len(images)

        def uniform(low: float, high: float, channels: int = 1) -> Tensor:
            values = self.rng.uniform(low, high, size=(count, channels, 1, 1)).astype(np.float32)
            return torch.from_numpy(values).to(self.device)

        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = (images - mean) * uniform(0.75, 1.25) + mean * uniform(0.75, 1.25)
        images = images * uniform(0.92, 1.08, channels=3)
        for index in range(count):
            if self.rng.random() < 0.12:
                width = int(self.rng.choice([3, 5]))
                kernel = (1, width) if self.rng.random() < 0.5 else (width, width)
                images[index] = functional.avg_pool2d(
                    images[index], kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2), count_include_pad=False
                )
        noise = torch.randn(images.shape, generator=self.generator, device=self.device)
        return (images + noise * uniform(0.0, 5.0)).clamp(0.0, 255.0)

    def _centers(self, alpha: Tensor) -> NDArray[np.float32]:
        """Center of the target's box in each region N x 2; the region's center where the target is not in view."""
        boxes = boxes_of(alpha[:, 0] > 0.5)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.where(np.isnan(centers), (self.config.size - 1) / 2, centers).astype(np.float32)

    def _memory_mask(self, first: Tensor, boxes: list[bool]) -> Tensor:
        """The first frame's mask B x 1 x S x S, filled to its box where `boxes` says so."""
        # on the device, which need not be waited for: so many pixels are cheaper than their box on the host
        x0, y0, x1, y1, present = ends_of(first[:, 0] > 0.5).T[:, :, None, None]
        boxed = (present > 0) & torch.tensor(boxes).to(self.device)[:, None, None]
        axis = torch.arange(self.config.size, device=self.device)
        across, down = axis.view(1, 1, -1), axis.view(1, -1, 1)
        filled = (across >= x0) & (across <= x1) & (down >= y0) & (down <= y1)
        return torch.where((filled & boxed).unsqueeze(1), 1.0, first)

    def _maps(self, centers: NDArray[np.float32], factors: list[float]) -> Tensor:
        """Spatial maps B x T x 1 x g x g with the errors that the filter makes."""
        config, rng = self.config, self.rng
        cells = config.size // STRIDE
        maps = np.zeros((*centers.shape[:2], 1, cells, cells), np.float32)
        for sample_index, factor in enumerate(factors):
            target = config.size / factor
            for frame in range(config.frames):
                x, y = centers[sample_index, frame] + rng.normal(0.0, config.map_jitter, size=2) * target
                if rng.random() < config.map_miss:
                    x, y = rng.uniform(0, config.size, size=2)
                center = ((x + 0.5) / STRIDE - 0.5, (y + 0.5) / STRIDE - 0.5)
                if config.spatial_map == "response":
                    maps[sample_index, frame, 0] = response_map(cells, center, target / STRIDE, rng)
                else:
                    maps[sample_index, frame, 0] = distance_map(
                        cells, center, config.reference_factor * target / STRIDE
                    )
        return torch.from_numpy(maps).to(self.device)


def response_map(
    cells: int, center: tuple[float, float], target: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What a correlation filter answers, as it is seen in tracking: a peak of uncertain height, often a second one.

    Args:
        cells: cells per side.
        center: x, y of the peak in cells.
        target: sqrt(w*h) of the target in cells.
        rng: is drawn from.

    Returns:
        cells x cells.
    """
    height = rng.uniform(0.2, 1.1)
    response = height * gaussian_map(cells, center, LABEL_SIGMA * target * rng.uniform(0.8, 1.6))
    if rng.random() < 0.5:
        x, y = rng.uniform(0, cells, size=2)
        second = gaussian_map(cells, (x, y), LABEL_SIGMA * target * rng.uniform(0.8, 1.6))
        response = np.maximum(response, height * np.float32(rng.uniform(0.1, 0.7)) * second)
    noise = rng.normal(0.0, 0.03, size=response.shape)
    return (response + noise).astype(np.float32)
