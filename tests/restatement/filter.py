"""Equations 6 to 8, the label, and the way from scores to a peak, cell by cell.

A score sees the k x k cells from `index - k // 2` on: eq. 6 prints a filter of one cell, <x_k^p, f>; the release's
is 4 x 4, and x_k^p is all the cells that it covers.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normalize(sample: Array) -> Array:
    """Divide a sample C x g x g by its root mean square."""
    total = sum(float(value) ** 2 for value in sample.flat)
    return sample / math.sqrt(total / sample.size)


def project(projection: Array, sample: Array) -> Array:
    """Mix the channels C x g x g into K, by the projection K x C."""
    return np.stack([sum(row[c] * sample[c] for c in range(len(sample))) for row in projection])


def scores_per_side(grid: int, kernel: int) -> int:
    """Padded by k // 2 on both sides."""
    return grid + 2 * (kernel // 2) - kernel + 1


def window(row: int, column: int, grid: int, kernel: int) -> Iterator[tuple[int, int, int, int]]:
    """Taps (a, b) of the filter and the cells (y, x) of the map that score (row, column) sees through them."""
    for a in range(kernel):
        for b in range(kernel):
            y, x = row - kernel // 2 + a, column - kernel // 2 + b
            if 0 <= y < grid and 0 <= x < grid:
                yield a, b, y, x


def position(index: float, kernel: int) -> float:
    """The cell in the middle of what score `index` sees: half a cell before it where the kernel is even."""
    return index - kernel // 2 + (kernel - 1) / 2


# The inner product of eqs. 6 and 7.
def score_map(sample: Array, taps: Array) -> Array:
    """<x^p, f> at every position p: sample K x g x g, filter K x k x k."""
    grid, kernel = sample.shape[1], taps.shape[1]
    size = scores_per_side(grid, kernel)
    scores = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            for a, b, y, x in window(row, column, grid, kernel):
                for channel in range(len(sample)):
                    scores[row, column] += sample[channel, y, x] * taps[channel, a, b]
    return scores


# y_k of eq. 6, which misses its position: y_k^p.
def label(center: tuple[float, float], target: tuple[float, float], grid: int, kernel: int) -> Array:
    """A Gaussian of sigma = sqrt(w h) / 4, 1 at the center (x, y); all in cells."""
    sigma = math.sqrt(target[0] * target[1]) / 4.0
    size = scores_per_side(grid, kernel)
    result = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            dx, dy = position(column, kernel) - center[0], position(row, kernel) - center[1]
            result[row, column] = math.exp(-(dx * dx + dy * dy) / (2.0 * sigma * sigma))
    return result


def phi(score: float) -> float:
    """The release's activation, in the objective only."""
    return score if score >= 0.0 else 0.05 * (math.exp(20.0 * score) - 1.0)


def phi_slope(score: float) -> float:
    """The derivative of phi."""
    return 1.0 if score >= 0.0 else math.exp(20.0 * score)


class Problem(NamedTuple):
    """The data of eq. 6 and what the print leaves out: weights, and the regularizer of the projection."""

    samples: Sequence[Array]  # each C x g x g, or K x g x g where there is no projection
    labels: Sequence[Array]  # each m x m
    weights: Sequence[float]
    filter_lambda: float
    projection_lambda: float = 0.0


# Eq. 6.
def objective(problem: Problem, taps: Array, projection: Array | None = None) -> float:
    """Weighted squared errors of the activated scores, plus the weighted squared norms of filter and projection."""
    total = 0.0
    for sample, wanted, weight in zip(problem.samples, problem.labels, problem.weights, strict=True):
        scores = score_map(sample if projection is None else project(projection, sample), taps)
        for score, y in zip(scores.flat, wanted.flat, strict=True):
            total += weight * (phi(score) - y) ** 2
    total += problem.filter_lambda * sum(float(value) ** 2 for value in taps.flat)
    if projection is not None:
        total += problem.projection_lambda * sum(float(value) ** 2 for value in projection.flat)
    return total


# The derivative of eq. 6.
def gradient(problem: Problem, taps: Array, projection: Array | None = None) -> tuple[Array, Array | None]:
    """By the filter, and by the projection where there is one."""
    by_taps = 2.0 * problem.filter_lambda * taps
    by_projection = None if projection is None else 2.0 * problem.projection_lambda * projection
    for sample, wanted, weight in zip(problem.samples, problem.labels, problem.weights, strict=True):
        seen = sample if projection is None else project(projection, sample)
        scores = score_map(seen, taps)
        for row, column in np.ndindex(*scores.shape):
            score = float(scores[row, column])
            slope = 2.0 * weight * (phi(score) - wanted[row, column]) * phi_slope(score)
            for a, b, y, x in window(row, column, sample.shape[1], taps.shape[1]):
                by_taps[:, a, b] += slope * seen[:, y, x]
                if by_projection is not None:
                    by_projection += slope * np.outer(taps[:, a, b], sample[:, y, x])
    return by_taps, by_projection


# V_S,k of eq. 7. The text calls it the label; where eq. 6 is at its minimum, f is the sum of the windows x_k^j times
# these coefficients, and they alone make eq. 7 true.
def dual_coefficients(problem: Problem, taps: Array) -> list[Array]:
    """m x m for every sample, of a filter at which the gradient of eq. 6 is zero."""
    result = []
    for sample, wanted, weight in zip(problem.samples, problem.labels, problem.weights, strict=True):
        scores = score_map(sample, taps)
        values = np.zeros_like(scores)
        for row, column in np.ndindex(*scores.shape):
            score = float(scores[row, column])
            error = phi(score) - wanted[row, column]
            values[row, column] = -weight * error * phi_slope(score) / problem.filter_lambda
        result.append(values)
    return result


# Eqs. 7 and 8.
def read_spatial_map(query: Array, keys: Sequence[Array], values: Sequence[Array], kernel: int) -> Array:
    """R_S,t: at every position i the values V_k^j weighted by <x_t^i, x_k^j>; query and keys K x g x g."""
    size = len(values[0])
    windows = [[_patch(key, row, column, kernel) for row, column in np.ndindex(size, size)] for key in keys]
    result = np.zeros((size, size))
    for row, column in np.ndindex(size, size):
        here = _patch(query, row, column, kernel)
        for patches, value in zip(windows, values, strict=True):
            for patch, v in zip(patches, value.flat, strict=True):
                result[row, column] += v * float((here * patch).sum())
    return result


def _patch(sample: Array, row: int, column: int, kernel: int) -> Array:
    patch = np.zeros((len(sample), kernel, kernel))
    for a, b, y, x in window(row, column, sample.shape[1], kernel):
        patch[:, a, b] = sample[:, y, x]
    return patch


def interpolate(line: Sequence[float], factor: int) -> list[float]:
    """Fourier interpolation from the first to the last of n values: the spectrum, evaluated in between."""
    n = len(line)
    spectrum = {}
    for u in range(-(n // 2), n // 2 + 1):
        spectrum[u] = sum(value * cmath.exp(-2j * math.pi * u * i / n) for i, value in enumerate(line))
    if n % 2 == 0:  # the highest frequency is there with both signs, and shared
        spectrum[n // 2] /= 2.0
        spectrum[-(n // 2)] /= 2.0
    points = [i / factor for i in range((n - 1) * factor + 1)]
    return [sum(c * cmath.exp(2j * math.pi * u * at / n) for u, c in spectrum.items()).real / n for at in points]


def upsample(scores: Array, factor: int) -> Array:
    """Along the columns, then along the rows."""
    wide = np.array([interpolate(line, factor) for line in scores.tolist()])
    return np.array([interpolate(line, factor) for line in wide.T.tolist()]).T


def hann(size: int) -> Array:
    """A Hann window that is zero just outside its points."""
    line = [math.sin(math.pi * (i + 1) / (size + 1)) ** 2 for i in range(size)]
    return np.array([[y * x for x in line] for y in line])


class Peak(NamedTuple):
    """A maximum: its value, and (x, y) in cells."""

    value: float
    position: tuple[float, float]


def find_peak(
    scores: Array, kernel: int, factor: int, away_from: Peak | None = None, reach: tuple[float, float] = (0.0, 0.0)
) -> Peak | None:
    """The highest of the upsampled scores, further than `reach` (x, y; cells) from another peak along x or along y."""
    best: Peak | None = None
    for row, column in np.ndindex(*scores.shape):
        at = position(column / factor, kernel), position(row / factor, kernel)
        if away_from is not None:
            dx, dy = (abs(a - b) for a, b in zip(at, away_from.position, strict=True))
            if dx <= reach[0] and dy <= reach[1]:
                continue
        if best is None or scores[row, column] > best.value:
            best = Peak(float(scores[row, column]), at)
    return best
