"""What the correlation filter learns from: samples with labels, weighted, and eq. 6 over them.

Coordinates as in `tracker.memory.spatial`: the center of cell i of a feature map is i.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from tracker.config import FilterConfig
from tracker.memory.least_squares import Linearization, Vector
from tracker.memory.snapshot import Snapshot

Pair = tuple[float, float]

NEGATIVE_FLOOR = 0.05  # scores count as at least minus this in the objective (release)


def score_offset(kernel: int) -> float:
    """Score i lies at cell i minus this: an even kernel has its center between two cells."""
    return 0.0 if kernel % 2 else 0.5


def score_cells(grid: int, kernel: int) -> int:
    """Scores per side, m: padded by kernel // 2, an even kernel yields one more than there are cells."""
    return grid + 1 - kernel % 2


def gaussian_labels(centers: Tensor, target_size: Pair, grid: int, config: FilterConfig) -> Tensor:
    """What the filter should answer: a Gaussian, 1 at the target's center.

    Args:
        centers: S x 2 (x, y) in cells.
        target_size: (w, h) in cells; the standard deviation is `label_sigma` * sqrt(w * h).
        grid: cells per side.
        config: for kernel and `label_sigma`.

    Returns: S x m x m.
    """
    sigma = config.label_sigma * math.sqrt(target_size[0] * target_size[1])
    cells = torch.arange(score_cells(grid, config.kernel)).to(centers) - score_offset(config.kernel)
    x, y = (torch.exp(-0.5 * ((cells - centers[:, i : i + 1]) / sigma) ** 2) for i in (0, 1))
    return y[:, :, None] * x[:, None, :]


def activation(scores: Tensor) -> tuple[Tensor, Tensor]:
    """phi(x) = x for x >= 0 and 0.05 (exp(20 x) - 1) below, and its slope.

    Bounded below: background may score as low as it likes and is never more than slightly wrong.
    """
    slope = torch.exp(scores.clamp(max=0.0) / NEGATIVE_FLOOR)
    return torch.where(scores >= 0.0, scores, NEGATIVE_FLOOR * (slope - 1.0)), slope


class Samples:
    """Feature maps S x C x g x g: correlation with a k x k filter, and its transpose.

    A correlation is one matrix product for all taps, then a sum of shifted maps: with so few taps cheaper
    than a convolution, and deterministic on every device.
    """

    def __init__(self, features: Tensor, kernel: int) -> None:
        self._count, _, self._grid, _ = features.shape
        self._features = features.flatten(2)
        self._kernel = kernel

    def _shifts(self) -> Iterator[tuple[int, slice, slice, slice, slice]]:
        """For every tap: its index, rows and columns of the scores, rows and columns of the cells it sees."""
        pad, cells = self._kernel // 2, score_cells(self._grid, self._kernel)
        spans = []
        for tap in range(self._kernel):
            start, stop = max(0, pad - tap), min(cells, self._grid + pad - tap)
            spans.append((slice(start, stop), slice(start - pad + tap, stop - pad + tap)))
        for tap, ((rows, cell_rows), (columns, cell_columns)) in enumerate(product(spans, spans)):
            yield tap, rows, columns, cell_rows, cell_columns

    def correlate(self, taps: Tensor) -> Tensor:
        """Scores S x m x m of a filter's taps k^2 x C, row by row; features are zero outside their map."""
        cells = score_cells(self._grid, self._kernel)
        responses = torch.matmul(taps, self._features).reshape(self._count, -1, self._grid, self._grid)
        scores = responses.new_zeros(self._count, cells, cells)
        for tap, rows, columns, cell_rows, cell_columns in self._shifts():
            scores[:, rows, columns] += responses[:, tap, cell_rows, cell_columns]
        return scores

    def transpose(self, scores: Tensor) -> Tensor:
        """The transpose of `correlate`: from scores S x m x m to taps k^2 x C."""
        shifted = scores.new_zeros(self._count, self._kernel**2, self._grid, self._grid)
        for tap, rows, columns, cell_rows, cell_columns in self._shifts():
            shifted[:, tap, cell_rows, cell_columns] = scores[:, rows, columns]
        return torch.matmul(shifted.flatten(2), self._features.transpose(1, 2)).sum(0)


class FilterProblem:
    """Eq. 6 for the least-squares solver: weighted squared errors of the scores, and regularizers.

    The parameters are (filter,), K x k^2, over samples of K channels; or (filter, projection), the projection
    K x C, over samples of C channels (S x C x g x g, labels S x m x m). The scores are bilinear in the two,
    so the derivatives are written out: one product with the samples each way, of k^2 rows and not of K.
    """

    def __init__(self, samples: Tensor, labels: Tensor, weights: Tensor, config: FilterConfig) -> None:
        self._samples = Samples(samples, config.kernel)
        self._labels = labels
        self._root_weights = weights.sqrt()[:, None, None]
        self._roots = (math.sqrt(config.filter_regularization), math.sqrt(config.projection_regularization))

    def linearize(self, x: Vector) -> Linearization:
        """The residuals at `x`, errors of the scores first, and the products with their Jacobian."""
        joint, roots = len(x) == 2, self._roots[: len(x)]
        scores, slope = activation(self._samples.correlate(x[0].T @ x[1] if joint else x[0].T))
        errors = self._root_weights * (scores - self._labels)
        slope = self._root_weights * slope

        def jvp(change: Vector) -> Vector:
            taps = change[0].T @ x[1] + x[0].T @ change[1] if joint else change[0].T
            penalties = (root * part for root, part in zip(roots, change, strict=True))
            return (slope * self._samples.correlate(taps), *penalties)

        def vjp(residuals: Vector) -> Vector:
            taps = self._samples.transpose(slope * residuals[0])
            parts = (x[1] @ taps.T, x[0] @ taps) if joint else (taps.T,)
            return tuple(p + root * r for p, root, r in zip(parts, roots, residuals[1:], strict=True))

        return Linearization((errors, *(root * part for root, part in zip(roots, x, strict=True))), jvp, vjp)


class SampleMemory:
    """The keys (projected features) and values (labels), weighted; allocated once and reused.

    As in ECO and ATOM: a new sample receives its learning rate as its share of the total weight, all others
    shrink to make room, the smallest weight is replaced when the memory is full. The first frame's samples
    are never replaced, nor do they sink below `initial_sample_weight` together (unless that is zero).
    """

    def __init__(self, config: FilterConfig) -> None:
        self._share = config.initial_sample_weight
        self._weights = torch.zeros(config.sample_capacity, dtype=torch.float64)  # on the CPU
        self._features = self._labels = torch.empty(0)
        self._initial = self._count = 0

    def reset(self, features: Tensor, labels: Tensor) -> None:
        """Forget everything; hold the initial samples S x K x g x g and labels S x m x m, of equal weight."""
        self._initial = self._count = len(features)
        self._features = self._fill(self._features, features)
        self._labels = self._fill(self._labels, labels)
        self._weights.zero_()[: self._count] = 1.0 / self._count

    def _fill(self, old: Tensor, initial: Tensor) -> Tensor:
        wanted = ((len(self._weights), *initial.shape[1:]), initial.dtype, initial.device)
        new = old if (old.shape, old.dtype, old.device) == wanted else initial.new_empty(wanted[0])
        new[: len(initial)] = initial
        return new

    def add(self, features: Tensor, label: Tensor, rate: float) -> int:
        """Store features K x g x g and label m x m with the weight `rate`; returns the slot used."""
        weights, initial, slot = self._weights, self._initial, self._count
        protected = initial if self._share > 0.0 else 0
        if slot == len(weights):
            slot = protected + int(weights[protected:].argmin())
        self._features[slot], self._labels[slot] = features, label
        self._count = max(self._count, slot + 1)
        weights[slot] = 0.0
        weights *= (1.0 - rate) / weights.sum()
        weights[slot] = rate
        if protected and weights[:initial].sum() < self._share:
            weights[initial:] *= (1.0 - self._share) / weights[initial:].sum()
            weights[:initial] = self._share / initial
        return slot

    def stored(self) -> tuple[Tensor, Tensor, Tensor]:
        """Views: samples n x K x g x g, labels n x m x m, weights n (float64, their sum is one)."""
        return self._features[: self._count], self._labels[: self._count], self._weights[: self._count]

    def state(self) -> Snapshot:
        """Everything that is stored."""
        features, labels, weights = self.stored()
        return Snapshot({"features": features, "labels": labels, "weights": weights}, {"initial": self._initial})

    def restore(self, snapshot: Snapshot) -> None:
        """Store what another memory of the same configuration stored.

        Raises:
            ValueError: that is not what `state` returns.
        """
        features, labels, weights = (snapshot.tensors[name] for name in ("features", "labels", "weights"))
        if not 0 < len(features) == len(labels) == len(weights) <= len(self._weights):
            raise ValueError(f"{len(features)} samples, {len(labels)} labels and {len(weights)} weights do not fit")
        self.reset(features, labels)
        self._weights[: self._count] = weights
        self._initial = snapshot.facts["initial"]
