"""The correlation filter on synthetic features whose target can be put anywhere, between the cells too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tracker.config import FilterConfig
from tracker.memory import spatial
from tracker.memory.least_squares import AutodiffProblem, Vector, gauss_newton
from tracker.memory.samples import (
    FilterProblem,
    SampleMemory,
    Samples,
    activation,
    gaussian_labels,
    score_cells,
    score_offset,
)
from tracker.memory.spatial import SpatialMemory

GRID = 16
CHANNELS = 12
SIZE = (3.6, 3.2)
MIDDLE = ((GRID - 1) / 2, (GRID - 1) / 2)
CONFIG = FilterConfig(projection_channels=6, sample_capacity=20)
Pair = tuple[float, float]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pattern(center: Pair, seed: int = 1, channels: int = CHANNELS, grid: int = GRID) -> Tensor:
    """C x g x g: in every channel the same five bumps around `center`, with other heights."""
    offsets, heights = 1.5 * random(seed, 5, 2), random(seed + 50, channels, 5)
    cells = torch.arange(grid, dtype=torch.float64)
    x = torch.exp(-0.5 * ((cells - center[0] - offsets[:, :1]) / 0.9) ** 2)
    y = torch.exp(-0.5 * ((cells - center[1] - offsets[:, 1:]) / 0.9) ** 2)
    return torch.einsum("cb,by,bx->cyx", heights, y, x)


def scene(*targets: Pair, background: int = 7, seed: int = 1) -> Tensor:
    """1 x C x g x g, float32: targets on a background that depends on the seed."""
    features = 0.15 * random(background, CHANNELS, GRID, GRID)
    for center in targets:
        features = features + pattern(center, seed)
    return features.float()[None]


def start(memory: SpatialMemory, dtype: torch.dtype = torch.float32) -> None:
    """Initialize on nine samples, shifted by fractions of cells."""
    shifts = [(0.0, 0.0)] + [(3.3 * math.cos(a), 2.7 * math.sin(a)) for a in np.arange(8) * math.pi / 4]
    centers = [(MIDDLE[0] + dx, MIDDLE[1] + dy) for dx, dy in shifts]
    features = torch.cat([scene(center, background=i) for i, center in enumerate(centers)])
    memory.initialize(features.to(dtype), torch.tensor(centers), SIZE)


@pytest.fixture
def memory() -> SpatialMemory:
    memory = SpatialMemory(CONFIG)
    start(memory)
    return memory


@pytest.mark.parametrize("kernel", [1, 3, 4, 6])
def test_correlation_is_the_padded_convolution(kernel: int) -> None:
    features, taps = random(0, 2, 5, 9, 9), random(1, kernel**2, 5)
    weight = taps.T.reshape(1, 5, kernel, kernel)
    expected = functional.conv2d(features, weight, padding=kernel // 2)[:, 0]
    scores = Samples(features, kernel).correlate(taps)
    assert tuple(scores.shape) == (2, score_cells(9, kernel), score_cells(9, kernel))
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("kernel", [3, 4])
def test_transpose_is_the_transpose(kernel: int) -> None:
    samples = Samples(random(2, 3, 5, 8, 8), kernel)
    taps, scores = random(3, kernel**2, 5), random(4, 3, score_cells(8, kernel), score_cells(8, kernel))
    left, right = (samples.correlate(taps) * scores).sum(), (taps * samples.transpose(scores)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)


def test_scores_of_an_even_kernel_lie_half_a_cell_off_symmetrically() -> None:
    """A kernel of equal taps over one lit cell answers a blob around that cell, mirrored if the cell is."""
    for cell in (2, 5):
        features = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
        features[0, 0, 3, cell] = 1.0
        columns = Samples(features, 4).correlate(torch.ones(16, 1, dtype=torch.float64))[0].sum(0)
        center = float((columns * (torch.arange(9) - score_offset(4))).sum() / columns.sum())
        assert center == pytest.approx(cell)


def test_labels_peak_at_the_center_between_the_scores() -> None:
    labels = gaussian_labels(torch.tensor([[6.5, 3.0]], dtype=torch.float64), (4.0, 1.0), GRID, CONFIG)
    assert tuple(labels.shape) == (1, GRID + 1, GRID + 1)
    assert labels[0].argmax() // (GRID + 1) in (3, 4)  # row 3.0 lies between scores 3 and 4
    assert float(labels[0, 3, 7]) == pytest.approx(math.exp(-0.5 * (0.5 / 0.5) ** 2))
    torch.testing.assert_close(labels[0, 3], labels[0, 4])
    torch.testing.assert_close(labels[0, 3, 5:7], labels[0, 3, 8:10].flip(0))


def test_activation_and_its_slope() -> None:
    scores = torch.tensor([-100.0, -0.1, -1e-9, 0.0, 0.5, 90.0], dtype=torch.float64, requires_grad=True)
    answer, slope = activation(scores)
    assert answer.tolist()[3:] == [0.0, 0.5, 90.0]
    assert float(answer.detach()[0]) == pytest.approx(-0.05)
    assert float(answer.detach()[1]) == pytest.approx(0.05 * (math.exp(-2.0) - 1.0))
    (gradient,) = torch.autograd.grad(answer.sum(), scores)
    torch.testing.assert_close(slope[[0, 1, 2, 4, 5]], gradient[[0, 1, 2, 4, 5]])
    assert float(slope.detach()[3]) == 1.0


@pytest.mark.parametrize("joint", [False, True])
def test_derivatives_are_those_of_the_objective(joint: bool) -> None:
    """Against automatic differentiation of eq. 6, written down once more with a convolution."""
    config = replace(CONFIG, projection_regularization=0.3)
    features, weights = random(5, 3, 7, 6, 6), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    labels = gaussian_labels(torch.tensor([[2.0, 3.0]] * 3, dtype=torch.float64), (2.0, 2.0), 6, config)
    channels = 4 if joint else 7
    x: Vector = (0.3 * random(6, channels, 16), 0.5 * random(7, 4, 7))[: 2 if joint else 1]

    def residuals(v: Vector) -> Vector:
        projected = torch.einsum("kc,scyx->skyx", v[1], features) if joint else features
        scores = functional.conv2d(projected, v[0].reshape(1, channels, 4, 4), padding=2)[:, 0]
        phi = torch.where(scores >= 0, scores, 0.05 * torch.expm1(20 * scores.clamp(max=0)))
        penalties = (0.1**0.5 * v[0], 0.3**0.5 * v[1]) if joint else (0.1**0.5 * v[0],)
        return (weights.sqrt()[:, None, None] * (phi - labels), *penalties)

    ours = FilterProblem(features, labels, weights, config).linearize(x)
    reference = AutodiffProblem(residuals).linearize(x)
    change = tuple(random(8 + i, *part.shape) for i, part in enumerate(x))
    cotangent = tuple(random(18 + i, *part.shape) for i, part in enumerate(ours.residuals))
    torch.testing.assert_close(ours.residuals, reference.residuals)
    torch.testing.assert_close(ours.jvp(change), reference.jvp(change))
    torch.testing.assert_close(ours.vjp(cotangent), reference.vjp(cotangent))


def test_learning_lowers_the_objective() -> None:
    features = torch.cat([scene(MIDDLE, background=i) for i in range(4)])
    labels = gaussian_labels(torch.tensor([MIDDLE] * 4), SIZE, GRID, CONFIG)
    problem = FilterProblem(features, labels, torch.full((4,), 0.25), CONFIG)
    projection = random(0, 6, CHANNELS, dtype=torch.float32) / 4
    result = gauss_newton(problem, (torch.zeros(6, 16), projection), gn_iterations=6, cg_iterations=10)
    assert result.objectives[-1] < 0.1 * result.objectives[0]
    assert not torch.equal(result.x[1], projection), "the projection did not learn"


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, -1.0), (0.37, 0.81), (-0.62, 0.25), (-1.44, -0.5)])
def test_a_target_is_found_between_the_cells(memory: SpatialMemory, shift: Pair) -> None:
    center = (MIDDLE[0] + shift[0], MIDDLE[1] + shift[1])
    found = memory.localize(scene(center, background=99))
    assert found.position == pytest.approx(center, abs=0.15)
    assert 0.75 < found.peak < 1.1
    assert not found.hard_negative
    assert float(found.score_map.max()) == found.peak


def test_a_target_far_out_is_found_and_the_window_pulls_its_peak_inwards(memory: SpatialMemory) -> None:
    center = (MIDDLE[0] + 4.0, MIDDLE[1] - 3.0)
    found = memory.localize(scene(center, background=99))
    assert found.position == pytest.approx(center, abs=0.5)
    assert MIDDLE[0] < found.position[0] <= center[0] + 0.1
    assert 0.3 < found.peak < 0.9


def test_nothing_there_gives_a_low_peak(memory: SpatialMemory) -> None:
    assert memory.localize(scene(background=99)).peak < 0.3


def test_upsampling_interpolates_and_windows(memory: SpatialMemory) -> None:
    features = scene((8.2, 6.9), background=99)
    raw, found = memory.score(features)[0].double(), memory.localize(features)
    assert tuple(found.score_map.shape) == (GRID * 16 + 1, GRID * 16 + 1)
    along = torch.hann_window(GRID * 16 + 3, periodic=False, dtype=torch.float64)[1:-1]
    windowed = raw * torch.outer(along, along)[::16, ::16]
    torch.testing.assert_close(found.score_map[::16, ::16].double(), windowed, atol=1e-5, rtol=1e-4)
    spectrum = torch.fft.fftshift(torch.fft.fft2(raw))  # 17 scores: an odd number, no Nyquist frequency
    padded = functional.pad(spectrum, (128, 127) * 2)
    fine = torch.fft.ifft2(torch.fft.ifftshift(padded)).real * 16**2
    expected = fine[: GRID * 16 + 1, : GRID * 16 + 1] * torch.outer(along, along)
    torch.testing.assert_close(found.score_map.double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("grid", [11, 12])
def test_even_and_odd_kernels_and_grids_agree_on_where_the_target_is(kernel: int, grid: int) -> None:
    memory = SpatialMemory(replace(CONFIG, kernel=kernel))
    centers = [(5.5, 5.5), (4.25, 6.0), (6.5, 5.0), (5.0, 4.5)]
    features = torch.stack([pattern(center, grid=grid) for center in centers])
    memory.initialize(features, torch.tensor(centers), SIZE)
    found = memory.localize(pattern((5.3, 5.7), grid=grid)[None])
    assert found.position == pytest.approx((5.3, 5.7), abs=0.2)
    assert found.score_map.dtype == torch.float64


def test_the_scale_of_the_features_does_not_matter(memory: SpatialMemory) -> None:
    features = scene((8.0, 7.0), background=99)
    one, other = memory.localize(features), memory.localize(7.0 * features)
    assert one.position == other.position
    assert one.peak == pytest.approx(other.peak, rel=1e-4)


def test_a_second_target_outside_the_neighborhood_is_a_hard_negative(memory: SpatialMemory) -> None:
    first, second = (MIDDLE[0], MIDDLE[1] + 1.0), (MIDDLE[0], MIDDLE[1] - 4.5)
    found = memory.localize(scene(first, second, background=99))
    assert found.hard_negative
    assert found.position == pytest.approx(first, abs=0.5)
    assert found.second_position == pytest.approx(second, abs=0.7)
    assert 0.3 * found.peak < found.second_peak < found.peak
    # 2.2 * 5.5 / 2 = 6.05 cells up and down now belong to the first target
    assert not memory.localize(scene(first, second, background=99), (3.6, 5.5)).hard_negative


def test_a_neighborhood_that_covers_everything_leaves_no_second_peak(memory: SpatialMemory) -> None:
    found = memory.localize(scene(MIDDLE, background=99), (50.0, 50.0))
    assert (found.second_peak, found.second_position, found.hard_negative) == (0.0, None, False)


def test_the_filter_follows_a_changing_target(memory: SpatialMemory) -> None:
    before = memory.localize(scene(MIDDLE, background=99, seed=2)).peak
    for index in range(1, 11):
        memory.remember(scene(MIDDLE, background=100 + index, seed=2), MIDDLE, SIZE, hard_negative=True)
        memory.maybe_update(index)
    after = memory.localize(scene(MIDDLE, background=99, seed=2))
    assert after.peak > before + 0.3
    assert after.position == pytest.approx(MIDDLE, abs=0.3)
    assert memory.localize(scene(MIDDLE, background=99)).peak > 0.5, "the first frame was forgotten"


def test_updates_come_when_due(memory: SpatialMemory) -> None:
    memory.remember(scene(MIDDLE, background=55, seed=2), MIDDLE, SIZE)
    projection = memory.projection
    for index, hard_negative in [(1, False), (9, False), (10, False), (11, False), (12, True), (20, False)]:
        before = memory.filter.clone()
        due = hard_negative or index in (10, 20)
        assert memory.maybe_update(index, hard_negative) is due
        assert torch.equal(memory.filter, before) is not due, index
    assert torch.equal(memory.projection, projection), "the projection learns at initialization only"


def test_remembering_stores_projected_features_and_the_rate(memory: SpatialMemory) -> None:
    memory.remember(scene(MIDDLE, background=55), (7.0, 8.0), SIZE)
    memory.remember(scene(MIDDLE, background=56), (7.0, 8.0), SIZE, hard_negative=True)
    keys, labels, weights = memory.samples.stored()
    assert tuple(keys.shape) == (11, 6, GRID, GRID)
    assert weights.tolist()[9:] == pytest.approx([0.0075 * 0.98, 0.02])
    assert int(labels[9].argmax()) in {y * (GRID + 1) + x for y in (8, 9) for x in (7, 8)}


def test_any_number_of_initializations_is_reproducible_and_takes_no_new_memory(memory: SpatialMemory) -> None:
    def run() -> tuple[Tensor, Tensor]:
        for index in range(1, 31):
            memory.remember(scene(MIDDLE, background=index), MIDDLE, SIZE, hard_negative=index % 7 == 0)
            memory.maybe_update(index)
        return memory.filter.clone(), memory.localize(scene((8.0, 7.0), background=99)).score_map

    address = memory.samples.stored()[0].data_ptr()
    first = run()
    assert len(memory.samples.stored()[0]) == CONFIG.sample_capacity
    for _ in range(2):
        start(memory)
        assert len(memory.samples.stored()[0]) == 9
        again = run()
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert memory.samples.stored()[0].data_ptr() == address


def test_works_in_float64_and_from_half_precision() -> None:
    double, single, half = (SpatialMemory(CONFIG) for _ in range(3))
    start(double, torch.float64)
    start(single)
    start(half, torch.bfloat16)
    features = scene((8.0, 7.0), background=99)
    found = [memory.localize(features) for memory in (double, single, half)]
    assert [memory.filter.dtype for memory in (double, single, half)] == [torch.float64] + [torch.float32] * 2
    assert found[0].peak == pytest.approx(found[1].peak, abs=1e-3)
    assert found[0].peak == pytest.approx(found[2].peak, abs=0.05)
    assert found[0].position == found[1].position == pytest.approx(found[2].position, abs=0.1)


def test_the_subspace_loses_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    centers = [(5.5, 5.5), (4.25, 6.0), (6.5, 5.0), (5.0, 4.5), (6.0, 7.0)]
    mixing = random(3, 60, CHANNELS) / CHANNELS**0.5
    clean = torch.stack([pattern(center, grid=12) for center in centers])
    features = torch.einsum("dc,scyx->sdyx", mixing, clean) + 0.05 * random(4, 5, 60, 12, 12)
    scores = []
    for directions in (60, 24):
        monkeypatch.setattr(spatial, "SUBSPACE", directions)
        memory = SpatialMemory(CONFIG)
        memory.initialize(features, torch.tensor(centers), SIZE)
        assert tuple(memory.projection.shape) == (6, 60)
        scores.append(memory.score(features))
    torch.testing.assert_close(scores[1], scores[0], atol=0.02, rtol=0)


def test_sample_weights_by_hand() -> None:
    memory = SampleMemory(replace(CONFIG, sample_capacity=4, initial_sample_weight=0.25))
    sample, label = torch.zeros(1, 2, 2), torch.zeros(3, 3)
    memory.reset(sample.expand(2, 1, 2, 2), label.expand(2, 3, 3))
    assert memory.stored()[2].tolist() == [0.5, 0.5]
    assert memory.add(sample + 1, label, 0.2) == 2
    assert memory.stored()[2].tolist() == pytest.approx([0.4, 0.4, 0.2])
    assert memory.add(sample + 2, label, 0.5) == 3
    assert memory.stored()[2].tolist() == pytest.approx([0.2, 0.2, 0.1, 0.5])
    # sample 2 weighs least and goes; 0.2 0.2 0.5 share 1 - 0.4; the first two hold 0.8 / 3 > 0.25
    assert memory.add(sample + 3, label, 0.4) == 2
    assert memory.stored()[2].tolist() == pytest.approx([0.4 / 3, 0.4 / 3, 0.4, 1 / 3])
    assert memory.stored()[0][:, 0, 0, 0].tolist() == [0, 0, 3, 2]
    # sample 3 goes; rate 0.5 would leave the first two 0.2; they are raised to 0.25, the others share 0.75
    assert memory.add(sample + 4, label, 0.5) == 3
    assert memory.stored()[2].tolist() == pytest.approx([0.125, 0.125, 0.75 * 0.3 / 0.8, 0.75 * 0.5 / 0.8])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0075, 0.02, 0.3]), max_size=40), st.sampled_from([0.0, 0.25, 0.6]))
def test_sample_weights_sum_to_one_and_protect_the_first_frame(rates: list[float], share: float) -> None:
    memory = SampleMemory(replace(CONFIG, sample_capacity=8, initial_sample_weight=share))
    memory.reset(torch.zeros(3, 1, 2, 2), torch.zeros(3, 3, 3))
    for index, rate in enumerate(rates):
        full = len(memory.stored()[0]) == 8
        weights = memory.stored()[2].clone()
        slot = memory.add(torch.full((1, 2, 2), 1.0 + index), torch.zeros(3, 3), rate)
        replaceable = weights[3:] if share else weights
        assert not full or float(weights[slot]) == float(replaceable.min())
        samples, _, after = memory.stored()
        assert float(after.sum()) == pytest.approx(1.0)
        assert float(after.min()) > 0.0
        if share:
            assert float(after[:3].sum()) >= share - 1e-9
            assert not samples[:3].any()


def test_bad_input_is_refused(memory: SpatialMemory) -> None:
    features, centers = scene(MIDDLE), torch.tensor([MIDDLE])
    with pytest.raises(ValueError, match="initialized on"):
        SpatialMemory(CONFIG).localize(features)
    with pytest.raises(ValueError, match="initialized on"):
        memory.localize(features[:, :, :8, :8])
    with pytest.raises(ValueError, match="not finite"):
        memory.localize(features * math.nan)
    with pytest.raises(ValueError, match="no target can have the center"):
        memory.remember(features, (math.nan, 1.0), SIZE)
    with pytest.raises(ValueError, match="not finite"):
        memory.remember(features * math.nan, MIDDLE, SIZE)
    with pytest.raises(ValueError, match="centers that are finite"):
        memory.initialize(features, centers * math.nan, SIZE)
    with pytest.raises(ValueError, match="no target can have the size"):
        memory.remember(features, MIDDLE, (0.0, 2.0))
    with pytest.raises(ValueError, match="centers S x 2"):
        memory.initialize(features, centers[:, :1], SIZE)
    with pytest.raises(ValueError, match="sample_capacity=20"):
        memory.initialize(features.expand(20, -1, -1, -1), centers.expand(20, 2), SIZE)
    with pytest.raises(ValueError, match="projection_channels=6"):
        memory.initialize(features[:, :5], centers, SIZE)
    with pytest.raises(ValueError, match="not finite"):
        memory.initialize(features * math.inf, centers, SIZE)


def test_what_was_localized_in_is_not_judged_again(memory: SpatialMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the answer would have to be waited for."""
    features = scene(MIDDLE)
    memory.localize(features)
    monkeypatch.setattr(memory, "_keys", lambda features: torch.full((1, 6, GRID, GRID), math.nan))
    memory.remember(features, MIDDLE, SIZE)
    with pytest.raises(ValueError, match="not finite"):
        memory.remember(features.clone(), MIDDLE, SIZE)


def test_low_rank_features_start_a_filter_too() -> None:
    # a flat image: all cells but a few are equal, so that nearly all eigenvalues are zero
    features = torch.ones(27, 256, 8, 8)
    features[:, :128, 3:5, 3:5] = 3.0
    memory = SpatialMemory(FilterConfig())
    memory.initialize(features, np.full((27, 2), 3.5), (2.0, 2.0))
    found = memory.localize(features[:1])
    assert found.position == pytest.approx((3.5, 3.5), abs=0.6)
    assert math.isfinite(found.peak) and found.peak > 0.3


def test_scores_are_read_at_cells_and_are_nothing_outside() -> None:
    memory = SpatialMemory(CONFIG)
    start(memory)
    found = memory.localize(scene((6.3, 8.8), background=99))
    x, y = found.position
    sampled = found.sample(np.array([x - 2.0, x, -9.0]), np.array([y, y + 2.0]))
    assert sampled.shape == (2, 3)
    assert sampled[0, 1] == pytest.approx(found.peak, rel=1e-3)
    assert sampled[0, 0] < 0.8 * found.peak and sampled[1, 1] < 0.8 * found.peak
    assert not sampled[:, 2].any()
    # between two entries of the score map it is their mean
    row, column = 40, 33
    at = [(index / CONFIG.upsampling) - score_offset(CONFIG.kernel) for index in (column + 0.5, row)]
    expected = float(found.score_map[row, column : column + 2].mean())
    assert found.sample(np.array(at[:1]), np.array(at[1:]))[0, 0] == pytest.approx(expected, rel=1e-4)
