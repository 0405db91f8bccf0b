"""The correlation filter against equations 6 to 8: objective, gradient, label, score map, peak."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.restatement import filter as restated
from tests.restatement.comparison import assert_close
from tests.restatement.filter import Array, Problem
from tracker.config import FilterConfig
from tracker.memory.least_squares import Vector
from tracker.memory.samples import FilterProblem, Samples, activation, gaussian_labels
from tracker.memory.spatial import SpatialMemory

GRID, CHANNELS, PROJECTED = 4, 5, 3
TARGET = (1.3, 2.1)
CONFIG = FilterConfig(projection_channels=PROJECTED, sample_capacity=8, projection_regularization=0.03)


def flat(taps: Array) -> torch.Tensor:
    """A filter K x k x k as the module stores it, K x k^2."""
    return torch.from_numpy(taps.reshape(len(taps), -1).copy())


def problem(kernel: int, joint: bool) -> tuple[Problem, Array, Array | None, FilterProblem]:
    """Two weighted samples, a random filter (and projection), and the module's problem of the same data."""
    rng = np.random.default_rng(kernel)
    samples = rng.standard_normal((2, CHANNELS if joint else PROJECTED, GRID, GRID))
    labels = np.stack([restated.label(c, TARGET, GRID, kernel) for c in ((1.2, 2.0), (2.5, 0.75))])
    weights = np.array([0.3, 0.7])
    taps = 0.05 * rng.standard_normal((PROJECTED, kernel, kernel))
    projection = rng.standard_normal((PROJECTED, CHANNELS)) / math.sqrt(CHANNELS) if joint else None
    config = replace(CONFIG, kernel=kernel)
    module = FilterProblem(torch.from_numpy(samples), torch.from_numpy(labels), torch.from_numpy(weights), config)
    data = Problem(list(samples), list(labels), list(weights), 0.1, 0.03 if joint else 0.0)
    return data, taps, projection, module


CASES = pytest.mark.parametrize(("kernel", "joint"), [(4, True), (4, False), (3, True)])


@CASES
def test_objective_and_gradient(kernel: int, joint: bool) -> None:
    """The solver minimizes the sum of squared residuals; half its gradient is the Jacobian's transpose times them."""
    data, taps, projection, module = problem(kernel, joint)
    parameters = (flat(taps), torch.from_numpy(projection)) if projection is not None else (flat(taps),)
    point = module.linearize(parameters)
    found = sum(float((part**2).sum()) for part in point.residuals)
    assert found == pytest.approx(restated.objective(data, taps, projection), rel=1e-5)
    expected = restated.gradient(data, taps, projection)
    half = point.vjp(point.residuals)
    assert len(half) == (2 if joint else 1)
    assert_close(2.0 * half[0], flat(expected[0]))
    if expected[1] is not None:
        assert_close(2.0 * half[1], expected[1])


@CASES
def test_gradient_is_the_slope_of_the_objective(kernel: int, joint: bool) -> None:
    """The restated gradient against central differences of the restated objective, along random directions."""
    data, taps, projection, _ = problem(kernel, joint)
    by_taps, by_projection = restated.gradient(data, taps, projection)
    rng, step = np.random.default_rng(9), 1e-5
    for _ in range(4):
        direction = rng.standard_normal(taps.shape)
        turn = None if projection is None else rng.standard_normal(projection.shape)
        slope = float((direction * by_taps).sum())
        if turn is not None and by_projection is not None:
            slope += float((turn * by_projection).sum())
        values = []
        for sign in (1.0, -1.0):
            moved = None if projection is None or turn is None else projection + sign * step * turn
            values.append(restated.objective(data, taps + sign * step * direction, moved))
        assert (values[0] - values[1]) / (2.0 * step) == pytest.approx(slope, rel=1e-5)


@CASES
def test_jacobian(kernel: int, joint: bool) -> None:
    """Forward products against central differences of the weighted, activated scores."""
    data, taps, projection, module = problem(kernel, joint)
    rng, step = np.random.default_rng(10), 1e-6
    direction = rng.standard_normal(taps.shape)
    turn = None if projection is None else rng.standard_normal(projection.shape)

    def errors(sign: float) -> Array:
        moved = None if projection is None or turn is None else projection + sign * step * turn
        scores = [
            restated.score_map(x if moved is None else restated.project(moved, x), taps + sign * step * direction)
            for x in data.samples
        ]
        activated = [np.vectorize(restated.phi)(part) for part in scores]
        return np.stack([math.sqrt(w) * part for w, part in zip(data.weights, activated, strict=True)])

    parameters: Vector = (flat(taps),)
    change: Vector = (flat(direction),)
    if projection is not None and turn is not None:
        parameters, change = (*parameters, torch.from_numpy(projection)), (*change, torch.from_numpy(turn))
    found = module.linearize(parameters).jvp(change)
    assert_close(found[0], (errors(1.0) - errors(-1.0)) / (2.0 * step))
    assert_close(found[1], math.sqrt(0.1) * flat(direction))
    if turn is not None:
        assert_close(found[2], math.sqrt(0.03) * turn)


@pytest.mark.parametrize(("kernel", "grid"), [(4, 4), (4, 5), (3, 4), (1, 3)])
def test_score_map(kernel: int, grid: int) -> None:
    rng = np.random.default_rng(grid)
    samples, taps = rng.standard_normal((2, 3, grid, grid)), rng.standard_normal((3, kernel, kernel))
    found = Samples(torch.from_numpy(samples), kernel).correlate(flat(taps).T)
    assert_close(found, np.stack([restated.score_map(sample, taps) for sample in samples]))


def test_activation() -> None:
    scores = np.array([-5.0, -0.7, -0.05, -1e-3, 0.0, 1e-3, 0.3, 2.0])
    values, slopes = activation(torch.from_numpy(scores))
    assert_close(values, [restated.phi(score) for score in scores])
    assert_close(slopes, [restated.phi_slope(score) for score in scores])


@pytest.mark.parametrize("kernel", [4, 3])
def test_label(kernel: int) -> None:
    """An even kernel's scores lie half a cell before the cells: on the restated ones by what each of them sees."""
    centers = [(1.2, 2.0), (-0.5, 3.25)]
    config = replace(CONFIG, kernel=kernel)
    found = gaussian_labels(torch.tensor(centers, dtype=torch.float64), TARGET, GRID, config)
    assert_close(found, np.stack([restated.label(center, TARGET, GRID, kernel) for center in centers]))
    other = restated.label((1.2 + 0.5, 2.0 + 0.5), TARGET, GRID, kernel)
    assert np.abs(other - found[0].numpy()).max() > 0.1


def trained(grid: int) -> tuple[SpatialMemory, np.random.Generator]:
    """A memory that has learned from three first samples and two frames, and the numbers that follow."""
    rng = np.random.default_rng(grid)
    memory = SpatialMemory(CONFIG)
    centers = np.array([(1.5, 2.0), (2.25, 1.0), (1.0, 1.75)])
    memory.initialize(torch.from_numpy(7.0 * rng.standard_normal((3, CHANNELS, grid, grid))), centers, TARGET)
    for center in ((2.0, 1.5), (1.25, 2.25)):
        features = torch.from_numpy(0.2 * rng.standard_normal((1, CHANNELS, grid, grid)))
        memory.remember(features, center, TARGET, hard_negative=True)
    return memory, rng


def stored_filter(memory: SpatialMemory) -> Array:
    return memory.filter.numpy().reshape(PROJECTED, CONFIG.kernel, CONFIG.kernel)


@pytest.mark.parametrize("grid", [4, 5])
def test_localization(grid: int) -> None:
    """From features to the peak: even and odd numbers of scores, of which the spectrum differs."""
    memory, rng = trained(grid)
    projection, taps = memory.projection.numpy(), stored_filter(memory)
    reach = (0.5 * 2.2 * TARGET[0], 0.5 * 2.2 * TARGET[1])
    windowed_elsewhere, verdicts = 0, set()
    for _ in range(8):
        features = rng.standard_normal((CHANNELS, grid, grid))
        raw = restated.score_map(restated.project(projection, restated.normalize(features)), taps)
        assert_close(memory.score(torch.from_numpy(features)[None])[0], raw)
        fine = restated.upsample(raw, 16)
        assert_close(fine[::16, ::16], raw)
        expected = fine * restated.hann(len(fine))
        found = memory.localize(torch.from_numpy(features)[None])
        assert_close(found.score_map, expected)
        peak = restated.find_peak(expected, 4, 16)
        assert peak is not None
        assert found.peak == pytest.approx(peak.value, rel=1e-5)
        assert found.position == pytest.approx(peak.position, abs=1e-5)
        windowed_elsewhere += restated.find_peak(fine, 4, 16) != peak
        second = restated.find_peak(expected, 4, 16, away_from=peak, reach=reach)
        assert second is not None
        assert found.second_peak == pytest.approx(second.value, rel=1e-5)
        assert found.second_position == pytest.approx(second.position, abs=1e-5)
        assert found.hard_negative == (second.value > 0.3 * peak.value)
        verdicts.add(found.hard_negative)
    assert windowed_elsewhere > 0, "no window would have gone unnoticed"
    assert verdicts == {True, False}


def test_filter_at_its_optimum_reads_a_memory() -> None:
    """Eqs. 7 and 8: correlating with the filter is attention over the stored samples, by their dual coefficients."""
    memory, rng = trained(GRID)
    for _ in range(30):
        memory.update(60)
    keys, labels, weights = memory.samples.stored()
    data = Problem(list(keys.numpy()), list(labels.numpy()), weights.tolist(), 0.1)
    taps = stored_filter(memory)
    slope, _ = restated.gradient(data, taps)
    assert np.abs(slope).max() < 1e-7
    values = restated.dual_coefficients(data, taps)
    features = rng.standard_normal((CHANNELS, GRID, GRID))
    query = restated.project(memory.projection.numpy(), restated.normalize(features))
    expected = restated.read_spatial_map(query, data.samples, values, CONFIG.kernel)
    assert_close(memory.score(torch.from_numpy(features)[None])[0], expected)
    with_labels = restated.read_spatial_map(query, data.samples, data.labels, CONFIG.kernel)
    assert np.abs(with_labels - expected).max() > 0.1, "the labels themselves would have done as values"
