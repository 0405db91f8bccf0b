"""Makes sources out of decoded pictures on the device that trains: what `sources` and `targets` do there with OpenCV.

Everything works on whole batches, and nothing is read back to the host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tracker.data.masks import VOID
from tracker.training.recipes import SOURCE_SIZE, Attached, Cut, Line
from tracker.training.targets import MIN_PIECE
from tracker.training.warp import View, outside, sample, view_grid


class Axis:
    """One axis of a window that is cut from a shrunk picture; beyond the picture its border is repeated.

    Args:
        length: of the picture, pixels.
        scale: 0..1: by which the picture is shrunk.
        corner: where the window begins in the shrunk picture, pixels.
        device: where the tensors go.

    Attributes:
        span: the picture's pixels that the window shows.
        shares: SOURCE_SIZE x pixels of the span: how much of each is in each of the window's pixels.
        nearest: SOURCE_SIZE: the picture's pixel that is the nearest one to each of the window's.
    """

    def __init__(self, length: int, scale: float, corner: int, device: torch.device) -> None:
        shrunk = round(length * scale)
        first, last = corner / scale, min(corner + SOURCE_SIZE, shrunk) / scale
        self.span = slice(math.floor(first), min(length, math.ceil(last)))
        cells = (torch.arange(SOURCE_SIZE, device=device, dtype=torch.float64) + corner).clamp(max=shrunk - 1)
        starts = (cells / scale).unsqueeze(1)
        pixels = torch.arange(self.span.start, self.span.stop, device=device, dtype=torch.float64)
        shares = (torch.minimum(starts + 1.0 / scale, pixels + 1.0) - torch.maximum(starts, pixels)).clamp(min=0.0)
        self.shares = (shares / shares.sum(1, keepdim=True)).float()
        self.nearest = (cells * (length / shrunk)).long()


def cut_clip(images: Sequence[Tensor], ids: Sequence[Tensor], cut: Cut) -> tuple[Tensor, Tensor]:
    """Cut frames of a video alike.

    Args:
        images: T frames H x W x 3, uint8.
        ids: their object ids H x W.
        cut: one of the frames' cuts.

    Returns:
        Images T x S x S x 3 and masks T x S x S, uint8.
    """
    device = images[0].device
    across, down = (Axis(*axis, device) for axis in zip(cut.facts.extent, (cut.scale,) * 2, cut.corner, strict=True))
    windows = torch.stack([image[down.span, across.span] for image in images]).permute(0, 3, 1, 2).float()
    shrunk = down.shares @ (windows @ across.shares.T)
    labels = torch.stack(list(ids)).index_select(1, down.nearest).index_select(2, across.nearest)
    masks = torch.where(labels == VOID, VOID, (labels == cut.target).to(torch.uint8))
    return shrunk.round().clamp(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1), masks.to(torch.uint8)


def inside(extents: Tensor) -> Tensor:
    """Which pixels of N sources are no padding, N x S x S, for extents N x 2 (width, height)."""
    axis = torch.arange(SOURCE_SIZE, device=extents.device)
    width, height = extents.view(-1, 2, 1, 1).unbind(1)
    return (axis < width) & (axis.unsqueeze(1) < height)


def parts_of(masks: Tensor, extents: Tensor, lines: Sequence[Line]) -> Tensor:
    """One side of a line through each of N objects.

    Args:
        masks: N x S x S, 0 or 1, none empty.
        extents: N x 2: width and height that are no padding.
        lines: where they are cut.
    """
    count, device = len(masks), masks.device
    table = np.array([(np.cos(line.angle), np.sin(line.angle), line.share) for line in lines], np.float32)
    across, down, share = torch.from_numpy(table).to(device).T.reshape(3, count, 1, 1)
    axis = torch.arange(masks.shape[-1], device=device, dtype=torch.float32)
    along = across * axis + down * axis.unsqueeze(1)
    # the quantile of each object's own pixels: those beyond it come last
    counted = (masks > 0) & inside(extents)
    ordered = along.masked_fill(~counted, torch.inf).flatten(1).sort(dim=1).values
    place = share.flatten() * (counted.sum((1, 2)) - 1)
    below, above = (ordered.gather(1, end.long().unsqueeze(1)).squeeze(1) for end in (place.floor(), place.ceil()))
    limit = torch.lerp(below, above, place.frac())
    return masks * (along < limit.view(-1, 1, 1))


def join_pairs(
    images: Tensor, masks: Tensor, extents: Tensor, others: tuple[Tensor, Tensor, Tensor], attached: Sequence[Attached]
) -> tuple[Tensor, Tensor]:
    """Paste a second object under each of N first ones, where enough of it is to be seen.

    Args:
        images: N x S x S x 3, uint8.
        masks: N x S x S, 0 or 1: the first objects.
        extents: N x 2: width and height that hold image.
        others: images, masks and extents of the second ones.
        attached: where they come to lie.

    Returns:
        Images and masks of both together.
    """
    views = []
    for second in attached:
        middle = (SOURCE_SIZE - 1) / 2 - np.array(second.place.corner)
        views.append(View(middle / second.place.scale, SOURCE_SIZE / second.place.scale, 0.0, False))
    grid = view_grid(views, SOURCE_SIZE, images.device)
    other_images, other_masks, other_extents = others
    layer = torch.cat([other_images.permute(0, 3, 1, 2), other_masks.unsqueeze(1)], 1).float()
    layer = sample(layer, other_extents, grid, mirror=False)
    piece = (layer[:, 3] > 0.5) & ~outside(grid, other_extents) & (masks == 0) & inside(extents)
    piece &= (piece.sum((1, 2)) >= MIN_PIECE).view(-1, 1, 1)
    colours = layer[:, :3].round().to(torch.uint8).permute(0, 2, 3, 1)
    return torch.where(piece.unsqueeze(-1), colours, images), masks | piece
