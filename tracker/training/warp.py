"""Views of source images: which pixels a search region shows, and what they look like there.

Everything works on whole batches on the device that trains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tracker.training.recipes import SOURCE_SIZE


@dataclass
class View:
    """Where one frame looks at one source."""

    center: NDArray[np.float64]  # x, y in the source, pixels
    side: float  # of the region, source pixels
    angle: float  # radians
    flip: bool


def view_grid(views: list[View], size: int, device: torch.device) -> Tensor:
    """Source coordinates of every region pixel: N x size x size x 2 (x, y in source pixels)."""
    # an affine map per view: x = a*u + b*v + c, y = d*u + e*v + f with u, v from -0.5 to 0.5 across the region
    rows = []
    for view in views:
        cos, sin, mirror = np.cos(view.angle) * view.side, np.sin(view.angle) * view.side, -1.0 if view.flip else 1.0
        rows.append([[mirror * cos, -sin, view.center[0]], [mirror * sin, cos, view.center[1]]])
    affine = torch.from_numpy(np.asarray(rows, np.float32).reshape(-1, 2, 3)).to(device)
    axis = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size - 0.5
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    across, down, center = affine.view(-1, 1, 1, 2, 3).unbind(-1)
    return across * u.unsqueeze(-1) + down * v.unsqueeze(-1) + center


def elastic_field(size: int, amplitude: Tensor, generator: torch.Generator) -> Tensor:
    """Smooth random displacements N x size x size x 2; `amplitude` (N) is their deviation in source pixels."""
    noise = torch.randn(len(amplitude), 2, 4, 4, generator=generator, device=generator.device)
    noise = noise.to(amplitude.device) * amplitude.view(-1, 1, 1, 1)
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
    shrunk = step > 1.6
    if shrunk.any():
        smooth = functional.avg_pool2d(source[shrunk], 3, stride=1, padding=1, count_include_pad=False)
        source = source.index_put((shrunk,), smooth)
    normalized = (grid + 0.5) * (2.0 / SOURCE_SIZE) - 1.0
    return functional.grid_sample(source, normalized, mode="bilinear", padding_mode="border", align_corners=False)


def outside(grid: Tensor, extent: Tensor) -> Tensor:
    """Which region pixels lie beyond their source, N x s x s, for a grid N x s x s x 2 and extents N x 2."""
    return ((grid < 0) | (grid > extent.view(-1, 1, 1, 2) - 1)).any(-1)


def ends_of(masks: Tensor) -> Tensor:
    """Outermost pixels of masks N x H x W (bool), on their device: N x 5: x0, y0, x1, y1, and whether there are any."""
    height, width = masks.shape[-2:]
    columns, rows = masks.any(-2).to(torch.uint8), masks.any(-1).to(torch.uint8)
    ends = [columns.argmax(-1), rows.argmax(-1), width - 1 - columns.flip(-1).argmax(-1)]
    ends += [height - 1 - rows.flip(-1).argmax(-1), columns.any(-1)]
    return torch.stack([end.to(torch.int64) for end in ends], dim=-1)


def boxes_of(masks: Tensor) -> NDArray[np.float64]:
    """Bounding boxes of masks N x H x W (bool): x0, y0, x1, y1 of the outermost pixels' centers, NaN where empty."""
    table = ends_of(masks).cpu().numpy().astype(np.float64)
    table[table[:, 4] == 0] = np.nan
    return table[:, :4]
