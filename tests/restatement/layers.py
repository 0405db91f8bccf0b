"""The layers of the network, window by window, on one sample C x H x W."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BATCH_NORM_EPSILON = 1e-5  # torch's default, with which the release was trained


def convolution(x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1) -> Array:
    """Cross-correlate with weight O x C x k x k, zeros outside, padded by k // 2."""
    outputs, _, kernel, _ = weight.shape
    pad = kernel // 2
    channels, height, width = x.shape
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad))
    padded[:, pad : pad + height, pad : pad + width] = x
    rows, columns = (height + 2 * pad - kernel) // stride + 1, (width + 2 * pad - kernel) // stride + 1
    matrix = weight.reshape(outputs, -1)
    result = np.zeros((outputs, rows, columns))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + kernel, left : left + kernel]
            result[:, row, column] = matrix @ window.reshape(-1)
    return result if bias is None else result + bias[:, None, None]


def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, variance: Array) -> Array:
    """Normalize every channel by its stored statistics."""
    result = np.zeros_like(x)
    for channel in range(len(x)):
        scale = weight[channel] / math.sqrt(variance[channel] + BATCH_NORM_EPSILON)
        result[channel] = (x[channel] - mean[channel]) * scale + bias[channel]
    return result


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.where(x > 0.0, x, 0.0)


def max_pool(x: Array) -> Array:
    """The maximum of every 3 x 3 window at stride 2; what lies outside does not count."""
    channels, height, width = x.shape
    result = np.zeros((channels, (height + 1) // 2, (width + 1) // 2))
    for row in range(result.shape[1]):
        for column in range(result.shape[2]):
            rows = slice(max(0, 2 * row - 1), 2 * row + 2)
            columns = slice(max(0, 2 * column - 1), 2 * column + 2)
            result[:, row, column] = x[:, rows, columns].max(axis=(1, 2))
    return result


def upsample(x: Array, factor: int) -> Array:
    """Bilinear with half-pixel centers: output pixel u shows (u + 0.5) / factor - 0.5; the border repeats."""
    channels, height, width = x.shape
    result = np.zeros((channels, height * factor, width * factor))
    for row in range(height * factor):
        for column in range(width * factor):
            y, x_ = (row + 0.5) / factor - 0.5, (column + 0.5) / factor - 0.5
            top, left = math.floor(y), math.floor(x_)
            for r, share_y in ((top, top + 1 - y), (top + 1, y - top)):
                for c, share_x in ((left, left + 1 - x_), (left + 1, x_ - left)):
                    pixel = x[:, min(max(r, 0), height - 1), min(max(c, 0), width - 1)]
                    result[:, row, column] += share_y * share_x * pixel
    return result
