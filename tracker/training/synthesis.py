"""Composes training samples: warps, pastes and jitters sources into search regions as the tracker sees them.

A search region of a still reaches far beyond its border, and a network trained on padding learns that "the object
is what is not border". Most stills are therefore pasted on other stills, whose border is mirrored (nothing of
them is labelled), and the share of padded pixels is measured in every batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tracker.geometry.distance_map import distance_map
from tracker.network.model import STRIDE
from tracker.training.sources import SOURCE_SIZE, Material, Source, box_of

IGNORE = -1.0  # label value of pixels that enter no loss


@dataclass(frozen=True)
class SynthesisConfig:
    """How samples are varied."""

    size: int = 256  # side of the search region, pixels
    frames: int = 3  # frames per sample; the first one is remembered with its label
    factor: tuple[float, float] = (2.0, 4.5)  # side of the search region in units of sqrt(w*h) of the target
    reference_factor: float = 4.5  # the tracker's factor: the unit of the distance map
    offset: float = 0.75  # target centre off the region's centre by up to this many target sizes (release)
    size_jitter: float = 0.25  # the region's size is off by exp(this * N(0, 1)) (release)
    map_jitter: float = 0.12  # standard deviation of the map's centre, in target sizes
    map_miss: float = 0.08  # share of the maps that point anywhere
    box_mask_share: float = 0.2  # share of samples whose first mask is a box (Box2Seg)
    max_padding: float = 0.25  # natural regions are tightened until no more of them is padding
    elastic: float = 0.03  # amplitude of the elastic warp, in units of the region's side


@dataclass
class Batch:
    """A batch of B samples of T frames."""

    images: Tensor  # B x T x 3 x S x S, 0..255
    labels: Tensor  # B x T x 1 x S x S: 1 target, 0 background, IGNORE
    memory_mask: Tensor  # B x 1 x S x S: the first frame's mask, or its box
    maps: Tensor  # B x T x 1 x S/16 x S/16: distance maps as the filter would have given them
    centres: NDArray[np.float32]  # B x T x 2: target centre x, y in the region, pixels (unjittered)
    padding: float  # share of padded pixels


@dataclass
class View:
    """Where one frame looks at one source."""

    centre: NDArray[np.float64]  # x, y in the source, pixels
    side: float  # of the region, source pixels
    angle: float  # radians
    flip: bool


def view_grid(views: list[View], size: int, device: torch.device) -> Tensor:
    """Source coordinates of every region pixel: N x size x size x 2 (x, y in source pixels)."""
    axis = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grids = []
    for view in views:
        cos, sin = np.cos(view.angle) * view.side, np.sin(view.angle) * view.side
        u = -x if view.flip else x
        grids.append(torch.stack([view.centre[0] + cos * u - sin * y, view.centre[1] + sin * u + cos * y], dim=-1))
    return torch.stack(grids)


def elastic_field(count: int, size: int, amplitude: Tensor, generator: torch.Generator) -> Tensor:
    """Smooth random displacements N x size x size x 2; `amplitude` (N) is their deviation in source pixels."""
    noise = torch.randn(count, 2, 4, 4, generator=generator).to(amplitude.device) * amplitude.view(-1, 1, 1, 1)
    return functional.interpolate(noise, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def sample(source: Tensor, extent: Tensor, grid: Tensor, *, mirror: bool) -> Tensor:
    """Sample sources N x C x S x S at source coordinates N x s x s x 2.

    Beyond the source's `extent` (N x 2: width, height) it is mirrored, or its border is repeated.
    """
    limit = (extent - 1.0).view(-1, 1, 1, 2)
    if mirror:
        grid = limit - (limit - grid.abs().remainder(2.0 * limit)).abs()
    grid = torch.minimum(grid.clamp(min=0.0), limit)
    # a region that shows the source smaller than half its size skips pixels: smooth the source first
    step = (grid[:, 0, 1:] - grid[:, 0, :-1]).norm(dim=-1).median(dim=1).values
    smooth = functional.avg_pool2d(source, 3, stride=1, padding=1, count_include_pad=False)
    source = torch.where((step > 1.6).view(-1, 1, 1, 1), smooth, source)
    normalised = (grid + 0.5) * (2.0 / SOURCE_SIZE) - 1.0
    return functional.grid_sample(source, normalised, mode="bilinear", padding_mode="border", align_corners=False)


class Synthesiser:
    """Turns material into batches; the random state is explicit, so that training can be resumed exactly."""

    def __init__(self, config: SynthesisConfig, *, seed: int, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def compose(self, materials: list[Material]) -> Batch:
        """Compose one batch from the material of its samples."""
        config, size = self.config, self.config.size
        count, frames = len(materials), config.frames
        targets = [source for material in materials for source in material.target[:frames]]
        factors = [self._factor(material) for material in materials]
        copies = [self.rng.random() < config.box_mask_share for _ in materials]
        views = []
        for material, factor, copied in zip(materials, factors, copies, strict=True):
            views += self._target_views(material, factor)
            if copied and frames > 1 and self.rng.random() < 0.5:
                # Box2Seg at work: the frame that is segmented is the one whose box was remembered
                views[-frames + 1] = views[-frames]
                targets[len(views) - frames + 1] = targets[len(views) - frames]
        grid = view_grid(views, size, self.device)
        amplitude = torch.tensor([config.elastic * view.side for view in views], device=self.device)
        still = torch.tensor([not material.video for material in materials for _ in range(frames)], device=self.device)
        grid = grid + elastic_field(len(views), size, amplitude * still, self.generator)
        images, masks, extent = self._stack(targets)
        padded = ((grid < 0) | (grid > extent.view(-1, 1, 1, 2) - 1)).any(-1)
        layer = sample(torch.cat([images, masks == 1, masks == 255], 1), extent, grid, mirror=False)
        inside = (~padded).unsqueeze(1)
        colour, alpha, void = layer[:, :3], layer[:, 3:4] * inside, layer[:, 4:5] * inside
        for index, material in enumerate(materials):
            rows = slice(index * frames, (index + 1) * frames)
            if material.background is not None:
                under = self._background(material.background, frames)
                colour[rows] = torch.lerp(under, colour[rows], alpha[rows])
                padded[rows] = False
        whole = alpha.clone()  # before occlusion: the filter sees the centre of the whole target
        for index, material in enumerate(materials):
            if material.distractor is not None:
                rows = slice(index * frames, (index + 1) * frames)
                self._paste_distractor(colour[rows], alpha[rows], material.distractor, factors[index])
        label = torch.where(void > 0.5, IGNORE, (alpha > 0.5).float())
        shape = (count, frames)
        centres = self._centres(whole).reshape(*shape, 2)
        return Batch(
            self._photometric(colour).reshape(*shape, 3, size, size),
            label.reshape(*shape, 1, size, size),
            self._memory_mask(label.reshape(*shape, 1, size, size)[:, 0].clamp(min=0.0), copies),
            self._maps(centres, factors),
            centres,
            float(padded.float().mean()),
        )

    def _factor(self, material: Material) -> float:
        low, high = self.config.factor
        factor = float(np.exp(self.rng.uniform(np.log(low), np.log(high))))
        if material.background is None:
            source = material.target[0]
            # the region and the image overlap in at most extent/side of each axis
            while factor > 1.3:
                shares = [min(1.0, extent / (factor * source.size)) for extent in source.extent]
                if 1.0 - shares[0] * shares[1] <= self.config.max_padding:
                    break
                factor *= 0.93
        return factor

    def _target_views(self, material: Material, factor: float) -> list[View]:
        config, rng = self.config, self.rng
        flip, angle = bool(rng.random() < 0.5), rng.normal(0.0, 0.1)
        views = []
        for index, source in enumerate(material.target[: config.frames]):
            size, turn, offset = source.size, 0.0, np.zeros(2)
            if index > 0:
                limit = min(config.offset, max(0.0, 0.5 * factor - 0.5))
                # half of the frames stay near the centre, as most frames of a video do
                spread = limit if rng.random() < 0.5 else 0.3 * limit
                offset = rng.uniform(-spread, spread, size=2) * size
                size *= float(np.exp(config.size_jitter * (0.6 if material.video else 1.0) * rng.normal()))
                turn = 0.0 if material.video else rng.normal(0.0, 0.18)
            size = float(np.clip(size, 0.6 * source.size, 1.7 * source.size))
            centre = np.asarray(source.centre) + offset
            views.append(View(centre, factor * size, angle + turn, flip))
        return views

    def _stack(self, sources: list[Source]) -> tuple[Tensor, Tensor, Tensor]:
        images = torch.from_numpy(np.stack([source.image for source in sources])).to(self.device)
        masks = torch.from_numpy(np.stack([source.mask for source in sources])).to(self.device)
        extent = torch.tensor([source.extent for source in sources], dtype=torch.float32, device=self.device)
        return images.permute(0, 3, 1, 2).float(), masks.unsqueeze(1), extent

    def _background(self, source: Source, frames: int) -> Tensor:
        """A slowly moving view of another still: T x 3 x S x S."""
        rng, extent = self.rng, np.asarray(source.extent, np.float64)
        side = float(extent.min() * rng.uniform(0.6, 1.0))
        centre = rng.uniform(0.3, 0.7, size=2) * extent
        angle, flip = rng.normal(0.0, 0.05), bool(rng.random() < 0.5)
        drift = rng.normal(0.0, 0.06, size=(frames, 2)) * side
        turns = rng.normal(0.0, 0.03, size=frames)
        views = [View(centre + drift[i], side, angle + turns[i], flip) for i in range(frames)]
        images, _, limits = self._stack([source] * frames)
        return sample(images, limits, view_grid(views, self.config.size, self.device), mirror=True)

    def _paste_distractor(self, colour: Tensor, alpha: Tensor, source: Source, factor: float) -> None:
        """Paste another object beside, under or over the target, in place; T x C x S x S."""
        rng, frames = self.rng, len(colour)
        occludes = rng.random() < 0.35
        side = factor * source.size * float(np.exp(rng.normal(0.0, 0.3)))
        place = rng.uniform(-0.45, 0.45, size=2) * side
        velocity = rng.normal(0.0, 0.08, size=2) * side
        angle, flip = rng.normal(0.0, 0.2), bool(rng.random() < 0.5)
        views = [View(np.asarray(source.centre) - place - velocity * i, side, angle, flip) for i in range(frames)]
        images, masks, extent = self._stack([source] * frames)
        grid = view_grid(views, self.config.size, self.device)
        outside = ((grid < 0) | (grid > extent.view(-1, 1, 1, 2) - 1)).any(-1).unsqueeze(1)
        layer = sample(torch.cat([images, masks == 1], 1), extent, grid, mirror=False)
        cover = layer[:, 3:4] * ~outside
        cover[0] *= 1.0 - alpha[0]  # the first frame shows the target whole
        if not occludes:
            cover = cover * (1.0 - alpha)
        colour.copy_(torch.lerp(colour, layer[:, :3], cover))
        alpha.mul_(1.0 - cover)

    def _photometric(self, images: Tensor) -> Tensor:
        """Vary brightness, contrast, colour and sharpness frame by frame; N x 3 x S x S, 0..255."""
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
        noise = torch.randn(images.shape, generator=self.generator).to(self.device) * uniform(0.0, 5.0)
        return (images + noise).clamp(0.0, 255.0)

    def _centres(self, alpha: Tensor) -> NDArray[np.float32]:
        """Centre of the target's box in each region N x 2; the region's centre where the target is not in view."""
        middle = (self.config.size - 1) / 2
        boxes = [box_of(mask) for mask in (alpha[:, 0] > 0.5).cpu().numpy()]
        return np.array([(middle, middle) if box is None else box[0] for box in boxes], np.float32)

    def _memory_mask(self, first: Tensor, boxes: list[bool]) -> Tensor:
        """The first frame's mask B x 1 x S x S, filled to its box where `boxes` says so."""
        masks = first.clone()
        for index, as_box in enumerate(boxes):
            box = box_of(masks[index, 0].cpu().numpy() > 0.5) if as_box else None
            if box is not None:
                (x, y), (width, height) = box
                left, top = int(x - (width - 1) / 2), int(y - (height - 1) / 2)
                masks[index, 0, top : top + int(height), left : left + int(width)] = 1.0
        return masks

    def _maps(self, centres: NDArray[np.float32], factors: list[float]) -> Tensor:
        """Distance maps B x T x 1 x g x g with the errors that the filter makes."""
        config, rng = self.config, self.rng
        cells = config.size // STRIDE
        maps = np.zeros((*centres.shape[:2], 1, cells, cells), np.float32)
        for sample_index, factor in enumerate(factors):
            target = config.size / factor
            for frame in range(config.frames):
                x, y = centres[sample_index, frame] + rng.normal(0.0, config.map_jitter, size=2) * target
                if rng.random() < config.map_miss:
                    x, y = rng.uniform(0, config.size, size=2)
                centre = ((x + 0.5) / STRIDE - 0.5, (y + 0.5) / STRIDE - 0.5)
                unit = config.reference_factor * target / STRIDE
                maps[sample_index, frame, 0] = distance_map(cells, centre, unit)
        return torch.from_numpy(maps).to(self.device)
