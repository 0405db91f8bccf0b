"""The Spatial Memory Network: a correlation filter that learns online where the target is (III-C, eq. 6).

Why it is a memory: its keys are the features of past frames, its values the labels that say where the target
was (eqs. 7-8); the filter is both of them in closed form, ready to be read by one correlation. It holds no
trained weights. The first frame's samples teach it a projection of the features to few channels and a filter,
jointly; afterwards the projection stays and only the filter learns.

Coordinates: the center of cell i of a feature map is i; a crop pixel u lies at (u + 0.5) / stride - 0.5. The
scores of an even kernel live half a cell away from the cells (`score_offset`). Labels and peaks account for
it exactly, and nobody outside this module and `tracker.memory.samples` meets it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.config import FilterConfig
from tracker.errors import UserError
from tracker.memory.least_squares import gauss_newton
from tracker.memory.samples import (
    FilterProblem,
    Pair,
    SampleMemory,
    Samples,
    gaussian_labels,
    score_cells,
    score_offset,
)
from tracker.memory.snapshot import Snapshot

# Directions among which the first projection is sought. Against all 1024, on real sequences: the same peaks,
# scores within 0.002, a quarter of the time.
SUBSPACE = 192


NOT_FINITE = "the filter received features that are not finite; run the network in float32 (DMB_PRECISION=float32)"


class FeaturesError(UserError):
    """The network's features hold what is no number; the message says what to do."""


@dataclass(frozen=True)
class FilterResponse:
    """Where the filter finds the target.

    Attributes:
        position: (x, y) in cells.
        peak: the windowed score there; 1 is what the filter was trained to answer on the target.
        score_map: windowed scores M x M, M = (m - 1) * upsampling + 1 for m x m raw scores; entry i lies at
            cell i / upsampling - offset.
        second_peak: the largest windowed score outside the first's neighborhood; 0 if that covers all.
        second_position: where that is, or None.
        hard_negative: the second peak is high enough to be a distractor.
        upsampling: entries of the score map per cell.
        offset: see `score_map`.
    """

    position: Pair
    peak: float
    score_map: Tensor
    second_peak: float
    second_position: Pair | None
    hard_negative: bool
    upsampling: int
    offset: float

    def sample(self, columns: NDArray[np.floating], rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """The windowed scores at cells (columns[j], rows[i]), bilinear: len(rows) x len(columns); 0 outside."""
        x, y = ((cells + self.offset) * self.upsampling for cells in (columns, rows))
        grid = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        return cv2.remap(  # type: ignore[return-value]
            self.score_map.float().cpu().numpy(), *grid, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )


class SpatialMemory:
    """Learns a filter from the first frame, finds the target with it, and keeps it up to date.

    One instance serves any number of initializations; each forgets everything before it. Computes in float32
    (float64 if the initial features are) on the features' device. Call it outside `torch.autocast`. The grid
    is that of the initial features. Features of another shape later are a ValueError, and those that are not
    finite a FeaturesError.
    """

    def __init__(self, config: FilterConfig) -> None:
        self.config = config
        self.samples = SampleMemory(config)
        self.filter = torch.empty(0)  # K x k^2: channels by taps, row by row
        self.projection = torch.empty(0)  # K x C
        self._target_size: Pair = (0.0, 0.0)
        self._grid = 0
        self._upsampling = self._window = torch.empty(0)
        self._finite: Tensor | None = None  # features that were found to be finite

    @torch.inference_mode()
    def initialize(self, features: Tensor, centers: Tensor | NDArray[np.float64], target_size: Pair) -> None:
        """Learn projection and filter from the augmented first frame.

        Args:
            features: S x C x g x g, stride-16 features of the S samples; fewer than the memory holds.
            centers: S x 2 (x, y), the target's center in each, in cells.
            target_size: (w, h) in cells.

        Raises:
            ValueError: shapes that do not fit together or the configuration.
            FeaturesError: features that are not finite.
        """
        config, count = self.config, len(features)
        if features.ndim != 4 or features.shape[2] != features.shape[3] or tuple(centers.shape) != (count, 2):
            shapes = f"{tuple(features.shape)} and {tuple(centers.shape)}"
            raise ValueError(f"the filter needs samples S x C x g x g and centers S x 2, got {shapes}")
        if not 0 < count < config.sample_capacity or features.shape[1] < config.projection_channels:
            limits = f"projection_channels={config.projection_channels}, sample_capacity={config.sample_capacity}"
            raise ValueError(f"{count} samples of {features.shape[1]} channels do not fit {limits}")
        features = _normalize(features)
        if not torch.isfinite(features).all():
            raise FeaturesError(NOT_FINITE)
        self._grid = features.shape[3]
        self._prepare_upsampling(features)
        if not torch.isfinite(torch.as_tensor(centers)).all():
            raise ValueError("the filter needs centers that are finite")
        labels = self._labels(torch.as_tensor(centers).to(features), target_size)
        subspace, start = _principal_subspace(features, config.projection_channels)
        inside = features if subspace is None else _project(subspace, features)
        problem = FilterProblem(inside, labels, features.new_full((count,), 1.0 / count), config)
        self.filter, projection = gauss_newton(
            problem,
            (features.new_zeros(config.projection_channels, config.kernel**2), start),
            gn_iterations=config.initial_gn_iterations,
            cg_iterations=config.initial_cg_iterations,
        ).x
        self.projection = projection if subspace is None else projection @ subspace
        self.samples.reset(_project(projection, inside), labels)

    @torch.inference_mode()
    def score(self, features: Tensor) -> Tensor:
        """Raw scores S x m x m of features S x C x g x g: not windowed, not upsampled."""
        return Samples(self._keys(features), self.config.kernel).correlate(self.filter.T)

    @torch.inference_mode()
    def localize(self, features: Tensor, target_size: Pair | None = None) -> FilterResponse:
        """Find the target.

        Args:
            features: 1 x C x g x g, of the search region.
            target_size: (w, h) in cells, for the distractor's distance; the last one known if not given.
        """
        config = self.config
        scores = self._window * (self._upsampling @ self.score(features)[0] @ self._upsampling.T)
        seen = scores.cpu().numpy()  # once: on a GPU every number that is asked for waits for the device
        if not np.isfinite(seen).all() and not torch.isfinite(features).all():  # asked on the device only then
            raise FeaturesError(NOT_FINITE)
        self._finite = features
        row, column = divmod(int(seen.argmax()), seen.shape[1])
        peak = float(seen[row, column])
        reach = 0.5 * config.distractor_distance * config.upsampling
        reach_x, reach_y = (reach * side for side in (target_size or self._target_size))
        others = seen.copy()
        others[
            max(0, math.ceil(row - reach_y)) : math.floor(row + reach_y) + 1,
            max(0, math.ceil(column - reach_x)) : math.floor(column + reach_x) + 1,
        ] = -math.inf
        second_row, second_column = divmod(int(others.argmax()), others.shape[1])
        second = float(others[second_row, second_column])
        exists = second > -math.inf
        return FilterResponse(
            position=self._cell(column, row),
            peak=peak,
            score_map=scores,
            second_peak=second if exists else 0.0,
            second_position=self._cell(second_column, second_row) if exists else None,
            hard_negative=exists and peak > 0.0 and second > config.distractor_ratio * peak,
            upsampling=config.upsampling,
            offset=score_offset(config.kernel),
        )

    @torch.inference_mode()
    def remember(self, features: Tensor, center: Pair, target_size: Pair, hard_negative: bool = False) -> None:
        """Store a frame; the filter learns from it at the next update.

        Args:
            features: 1 x C x g x g, of the search region.
            center: (x, y) of the target in it, in cells.
            target_size: (w, h) in cells.
            hard_negative: the frame shows a distractor and weighs more.
        """
        config, keys = self.config, self._keys(features)
        # what was localized in is known, and need not be waited for on a GPU
        if features is not self._finite and not torch.isfinite(keys).all():
            raise FeaturesError(NOT_FINITE)
        if not all(map(math.isfinite, center)):
            raise ValueError(f"no target can have the center {center}")
        label = self._labels(torch.tensor([center], dtype=keys.dtype), target_size)
        if keys.is_cuda:  # unpinned, the copy would wait for all that the GPU was given before
            label = label.pin_memory().to(keys.device, non_blocking=True)
        rate = config.hard_negative_learning_rate if hard_negative else config.learning_rate
        self.samples.add(keys[0], label[0], rate)

    @torch.inference_mode()
    def update(self, iterations: int) -> None:
        """Learn from all samples: one Gauss-Newton step of so many conjugate-gradient iterations."""
        keys, labels, weights = self.samples.stored()
        problem = FilterProblem(keys, labels, weights.to(self.filter), self.config)
        (self.filter,) = gauss_newton(problem, (self.filter,), gn_iterations=1, cg_iterations=iterations).x

    def maybe_update(self, frame_index: int, hard_negative: bool = False) -> bool:
        """Update on every `update_interval`-th frame, and at once on a distractor; returns whether it did."""
        due = hard_negative or frame_index % self.config.update_interval == 0
        if due:
            self.update(self.config.update_cg_iterations)
        return due

    def state(self) -> Snapshot:
        """Everything that was learned; no tensors before `initialize`."""
        if not self._grid:
            return Snapshot({}, {})
        samples = self.samples.state()
        facts = dict(samples.facts) | {"target_size": list(self._target_size), "grid": self._grid}
        return Snapshot(dict(samples.tensors) | {"filter": self.filter, "projection": self.projection}, facts)

    @torch.inference_mode()
    def restore(self, snapshot: Snapshot) -> None:
        """Know what another memory of the same configuration knew.

        Args:
            snapshot: its tensors on the device that is to compute.

        Raises:
            ValueError: that is not what `state` returns.
        """
        if not snapshot.tensors:
            self._grid = 0
            return
        self.samples.restore(snapshot)
        self.filter, self.projection = snapshot.tensors["filter"], snapshot.tensors["projection"]
        width, height = snapshot.facts["target_size"]
        self._target_size, self._grid = (width, height), snapshot.facts["grid"]
        self._prepare_upsampling(self.filter)

    def _labels(self, centers: Tensor, target_size: Pair) -> Tensor:
        if not (min(target_size) > 0.0 and max(target_size) < math.inf):
            raise ValueError(f"no target can have the size {target_size}")
        self._target_size = target_size
        return gaussian_labels(centers, target_size, self._grid, self.config)

    def _keys(self, features: Tensor) -> Tensor:
        """Features S x C x g x g as the filter sees them, S x K x g x g."""
        expected = (self.projection.shape[-1], self._grid, self._grid)
        if not self._grid or tuple(features.shape[1:]) != expected:
            raise ValueError(f"the filter was initialized on {expected}, got {tuple(features.shape[1:])}")
        return _project(self.projection, _normalize(features).to(self.projection))

    def _cell(self, column: int, row: int) -> Pair:
        offset, factor = score_offset(self.config.kernel), self.config.upsampling
        return column / factor - offset, row / factor - offset

    def _prepare_upsampling(self, like: Tensor) -> None:
        """The matrix that Fourier-interpolates scores along one axis, and the Hann window on its points."""
        scores, factor = score_cells(self._grid, self.config.kernel), self.config.upsampling
        points = (scores - 1) * factor + 1
        at = torch.arange(points, dtype=torch.float64)[:, None] / factor
        t = math.pi * (at - torch.arange(scores, dtype=torch.float64))
        divisor = scores * (torch.sin(t / scores) if scores % 2 else torch.tan(t / scores))
        # the Dirichlet kernel: what zero-padding the spectrum does, written as an interpolation
        matrix = torch.where(t == 0.0, 1.0, torch.sin(t) / torch.where(t == 0.0, 1.0, divisor))
        hann = torch.hann_window(points + 2, periodic=False, dtype=torch.float64)[1:-1]  # zero just outside
        self._upsampling, self._window = matrix.to(like), torch.outer(hann, hann).to(like)


def _normalize(features: Tensor) -> Tensor:
    """Divide every sample by its root mean square over C x H x W, in float32 or float64.

    Of a sample with an infinite number or one that is none, all become such: whoever looks at any of them knows.
    """
    features = features if features.dtype == torch.float64 else features.float()
    scale: Tensor = torch.linalg.vector_norm(features.flatten(1), dim=1) / math.sqrt(features[0].numel())
    scale = torch.where(torch.isfinite(scale), scale, math.nan)
    return features / scale.clamp(min=1e-12)[:, None, None, None]


def _project(projection: Tensor, features: Tensor) -> Tensor:
    """Apply a 1x1 convolution K x C to S x C x g x g."""
    return torch.matmul(projection, features.flatten(2)).reshape(len(features), -1, *features.shape[2:])


def _principal_subspace(features: Tensor, channels: int) -> tuple[Tensor | None, Tensor]:
    """Where the projection starts (principal components), and the subspace in which it is sought.

    Every other row and column is enough for the statistics. The subspace is that of the `SUBSPACE` strongest
    directions; its basis is orthonormal, so that the projection's regularizer keeps its value.

    Returns:
        The basis D x C, or None if there are no more channels than that; the start K x (D or C).
    """
    rows = features[:, :, ::2, ::2].transpose(0, 1).flatten(1)
    moment = rows @ rows.T / rows.shape[1]
    covariance = moment - torch.outer(rows.mean(1), rows.mean(1))
    basis = None
    if len(moment) > SUBSPACE:
        basis = _principal_directions(moment, SUBSPACE)
        covariance = basis @ covariance @ basis.T
    return basis, _principal_directions(covariance, channels)


def _principal_directions(matrix: Tensor, count: int) -> Tensor:
    """The eigenvectors of the largest eigenvalues of a symmetric positive matrix D x D, as rows: count x D.

    In float64, and by singular values where that fails: small crops and flat images give matrices of low rank,
    on whose repeated eigenvalues the float32 solver does not converge.
    """
    try:
        directions = torch.linalg.eigh(matrix.double()).eigenvectors[:, -count:].T
    except torch.linalg.LinAlgError:
        directions = torch.linalg.svd(matrix.double()).U[:, :count].T.flip(0)
    return directions.to(matrix).contiguous()
