"""What must hold of the two memories, the filter's optimization and the gate, whatever they are fed."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.config import AppearanceConfig, FilterConfig, GateConfig
from tracker.memory.appearance import AppearanceMemory
from tracker.memory.least_squares import gauss_newton
from tracker.memory.quality import QualityGate
from tracker.memory.samples import FilterProblem, SampleMemory, gaussian_labels, score_cells
from tracker.memory.spatial import SpatialMemory

KEYS, VALUES, CELLS = 3, 5, 4
FILTER = FilterConfig(
    projection_channels=3, initial_gn_iterations=3, initial_cg_iterations=5, sample_capacity=12, upsampling=2
)
GRID = 6
seeds = st.integers(0, 2**31)


def features(frame: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that tell their frame."""
    return torch.full((1, CELLS, KEYS), float(frame)), torch.full((1, CELLS, VALUES), -float(frame))


@given(
    places=st.integers(1, 6),
    interval=st.integers(0, 7),
    last=st.booleans(),
    steps=st.lists(st.integers(1, 9), max_size=40),
)
def test_the_appearance_memory_is_bounded_and_keeps_the_first_frame(
    places: int, interval: int, last: bool, steps: list[int]
) -> None:
    memory = AppearanceMemory(AppearanceConfig(max_frames=places, sampling_interval=interval, last_frame=last))
    memory.reset(*features(0))
    storage = memory.rows()[0].data_ptr()
    for index in accumulate(steps):
        before = memory.frames
        memory.commit(*features(index), index)
        frames = memory.frames
        assert frames[0] == 0 and 1 <= len(frames) <= places and len(set(frames)) == len(frames)
        assert set(frames) <= {*before, index}, "nothing comes back"
        assert len(set(before) - set(frames)) <= 1, "one frame makes room for one"
        if last and places > 1 and interval > 0:
            assert index in frames
        if interval == 0 or places == 1:
            assert frames == [0]
        keys, values = memory.rows()
        assert keys.shape == (1, len(frames) * CELLS, KEYS) and values.shape == (1, len(frames) * CELLS, VALUES)
        assert keys[0, ::CELLS, 0].tolist() == frames and values[0, ::CELLS, 0].tolist() == [-f for f in frames]
        assert keys.data_ptr() == storage, "storage is allocated once"


@given(interval=st.integers(1, 7), places=st.integers(3, 6), count=st.integers(1, 60))
def test_what_stays_is_the_newest_of_every_interval(interval: int, places: int, count: int) -> None:
    memory = AppearanceMemory(AppearanceConfig(max_frames=places, sampling_interval=interval))
    memory.reset(*features(0))
    for index in range(1, count + 1):
        memory.commit(*features(index), index)
    kept = [index for index in range(interval, count + 1, interval)]
    passing = [] if count % interval == 0 else [count]
    newest = (kept + passing)[-(places - 1) :]
    assert sorted(memory.frames) == [0, *newest]


@given(st.lists(st.integers(-3, 9), min_size=1, max_size=10))
def test_frames_that_do_not_rise_are_refused_and_change_nothing(indices: list[int]) -> None:
    memory = AppearanceMemory(AppearanceConfig())
    memory.reset(*features(0))
    highest = 0
    for index in indices:
        before = memory.frames
        if index > highest:
            memory.commit(*features(index), index)
            highest = index
        else:
            with pytest.raises(ValueError, match="cannot follow"):
                memory.commit(*features(index), index)
            assert memory.frames == before


rules = st.sampled_from(["paper", "relative", "off"])
peaks = st.lists(st.floats() | st.floats(-1, 2), max_size=60)


@given(rules, peaks, st.integers(2, 25))
def test_the_gate_decides_on_any_peak(rule: str, values: list[float], length: int) -> None:
    gate = QualityGate(GateConfig(rule=rule, queue_length=length))  # type: ignore[arg-type]
    for peak in values:
        decision = gate.judge(peak)
        assert decision.uncertainty >= 0 and not math.isnan(decision.uncertainty)
        usable = math.isfinite(peak) and peak > 0
        assert usable or decision.uncertainty == math.inf
        if rule != "off" and not usable:
            assert not decision.found and not decision.remember
        assert decision.average >= 0 or math.isnan(decision.average)
        assert decision.reason


@given(
    st.sampled_from(["paper", "relative"]),
    st.lists(st.floats(0.05, 2), max_size=30),
    st.floats(0.01, 3),
    st.floats(1, 5),
)
def test_a_higher_peak_is_never_allowed_less(rule: str, past: list[float], peak: float, factor: float) -> None:
    decisions = []
    for now in (peak, peak * factor):
        gate = QualityGate(GateConfig(rule=rule))  # type: ignore[arg-type]
        gate.reset()
        for value in past:
            gate.judge(value)
        decisions.append(gate.judge(now))
    low, high = decisions
    assert high.uncertainty <= low.uncertainty
    for name in ("remember", "found"):
        assert getattr(high, name) >= getattr(low, name)


def drawn(seed: int, scale: float, count: int, channels: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, channels, GRID, GRID, generator=generator)


scales = st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e3, 1e15])


@given(seeds, st.integers(1, 4), st.floats(0.2, 6), st.floats(0.2, 6), st.floats(-9, 15), st.floats(-9, 15))
@settings(max_examples=25)
def test_the_filters_objective_never_rises(seed: int, count: int, w: float, h: float, x: float, y: float) -> None:
    labels = gaussian_labels(torch.tensor([[x, y]] * count), (w, h), GRID, FILTER)
    problem = FilterProblem(drawn(seed, 1.0, count, 3), labels, torch.full((count,), 1.0 / count), FILTER)
    result = gauss_newton(problem, (torch.zeros(3, FILTER.kernel**2),), gn_iterations=4, cg_iterations=6)
    assert all(map(math.isfinite, result.objectives))
    assert all(later <= earlier for earlier, later in zip(result.objectives, result.objectives[1:], strict=False))
    assert torch.isfinite(result.x[0]).all()


@given(seeds, scales, scales, st.integers(1, 4), st.lists(st.booleans(), max_size=15))
@settings(max_examples=15)
def test_the_filter_stays_finite_and_its_peak_is_in_the_region(
    seed: int, first: float, later: float, count: int, hard: list[bool]
) -> None:
    memory = SpatialMemory(FILTER)
    centers = np.full((count, 2), (GRID - 1) / 2)
    memory.initialize(drawn(seed, first, count), centers, (2.0, 2.0))
    for number, negative in enumerate([False, *hard]):
        sample = drawn(seed + number, later, 1)
        where = memory.localize(sample)
        assert math.isfinite(where.peak) and math.isfinite(where.second_peak)
        assert torch.isfinite(where.score_map).all()
        assert all(-1 <= cell <= GRID for cell in where.position)
        assert where.second_peak <= max(where.peak, 0.0) + 1e-12
        memory.remember(sample, where.position, (2.0, 2.0), hard_negative=negative)
        memory.update(3)
        assert torch.isfinite(memory.filter).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("when", ["initialize", "localize", "remember"])
def test_features_that_are_not_finite_are_refused(bad: float, when: str) -> None:
    memory, good = SpatialMemory(FILTER), drawn(0, 1.0, 1)
    spoilt = good.clone()
    spoilt[0, 0, 0, 0] = bad
    calls: dict[str, Callable[[], object]] = {
        "initialize": lambda: memory.initialize(spoilt, np.full((1, 2), 2.5), (2.0, 2.0)),
        "localize": lambda: memory.localize(spoilt),
        "remember": lambda: memory.remember(spoilt, (2.5, 2.5), (2.0, 2.0)),
    }
    memory.initialize(good, np.full((1, 2), 2.5), (2.0, 2.0))
    with pytest.raises(ValueError, match="not finite; run the network in float32"):
        calls[when]()


@given(st.integers(1, 5), st.floats(0, 0.9), st.lists(st.floats(0.001, 0.5), max_size=40))
def test_sample_weights_are_shares_and_the_first_frames_are_protected(
    initial: int, share: float, rates: list[float]
) -> None:
    config = FilterConfig(sample_capacity=9, initial_sample_weight=share, projection_channels=2)
    memory, cells = SampleMemory(config), score_cells(GRID, config.kernel)
    memory.reset(torch.zeros(initial, 2, GRID, GRID), torch.zeros(initial, cells, cells))
    for number, rate in enumerate(rates, 1):
        slot = memory.add(torch.full((2, GRID, GRID), float(number)), torch.zeros(cells, cells), rate)
        samples, _, weights = memory.stored()
        assert len(samples) <= 9 and 0 <= slot < 9
        assert float(samples[slot, 0, 0, 0]) == number
        assert float(weights.sum()) == pytest.approx(1.0) and float(weights.min()) >= 0
        if share > 0:
            assert slot >= initial and not samples[:initial].any()
            assert float(weights[:initial].sum()) >= share - 1e-9
