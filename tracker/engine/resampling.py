"""Crops on the device that the network runs on: what `Crop.extract` does with OpenCV, as two matrix products.

Shrinking by areas and bilinear sampling are linear, and treat rows and columns alike. So a crop is R I C^T: I one
channel of the image, R and C the shares of its rows and columns in the crop's. No intermediate result is rounded to
whole gray levels, as OpenCV's are. The arithmetic grows with the image: 1.3 GFLOP for a crop of 384 pixels from one of
640 x 480, five times that from 1920 x 1080.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shares(sampling: Tensor, size: int, pixels: int) -> Tensor:
    """How much of each image pixel along one axis is in each crop pixel.

    Args:
        sampling: the five numbers of a `tracker.geometry.crop.Sampling`, float32.
        size: crop pixels.
        pixels: image pixels along the axis.

    Returns:
        size x pixels; rows sum to one.
    """
    first, factor, cells, corner, step = sampling.unbind()
    place = corner + step * torch.arange(size, device=sampling.device)  # in the shrunk image
    before = place.floor()
    after_share = place - before
    left = torch.arange(pixels, device=sampling.device) - first  # edges of image pixels, from the seen part's on
    total = sampling.new_zeros(size, pixels)
    for cell, share in ((before, 1.0 - after_share), (before + 1.0, after_share)):
        # beyond the image its border repeats
        start = (factor * torch.minimum(cell.clamp(min=0.0), cells - 1.0))[:, None]
        overlap = torch.minimum(start + factor, left + 1.0) - torch.maximum(start, left)
        total += share[:, None] * overlap.clamp(min=0.0)
    return total / factor


def resample(image: Tensor, columns: Tensor, rows: Tensor, size: int) -> Tensor:
    """Cut a crop out of an image.

    Args:
        image: H x W x 3, any type.
        columns: the five numbers of `Crop.sampling` along x, on the image's device.
        rows: those along y.
        size: side of the crop.

    Returns:
        1 x 3 x size x size, float32, in the image's units.
    """
    height, width, _ = image.shape
    channels = image.permute(2, 0, 1).float()
    return (shares(rows, size, height) @ channels @ shares(columns, size, width).T)[None]
