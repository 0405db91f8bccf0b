"""The quality gate against equations 9 to 11 and against the release's rule."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.restatement import gate
from tracker.config import GateConfig
from tracker.memory.quality import QualityGate

FLAGS = ("remember", "found")


def sequence(seed: int, length: int = 120) -> list[float]:
    """Peaks that vary, fade, vanish and come back, some of them no peaks at all."""
    rng = np.random.default_rng(seed)
    peaks = 0.5 * np.exp(0.25 * rng.standard_normal(length))
    peaks[40:55] *= np.geomspace(1.0, 0.02, 15)  # the target fades
    peaks[55:60] = rng.uniform(0.0, 0.05, 5)
    peaks[[20, 57, 70]] = [0.0, -0.3, math.nan]
    return [float(peak) for peak in peaks]


def assert_judged(config: GateConfig, peaks: list[float], expected: list[gate.Verdict]) -> None:
    judge = QualityGate(config)
    for t, (peak, verdict) in enumerate(zip(peaks, expected, strict=True)):
        decision = judge.judge(peak)
        assert decision.uncertainty == pytest.approx(verdict.uncertainty, rel=1e-5, abs=1e-5), t
        if not math.isnan(verdict.average):
            assert decision.average == pytest.approx(verdict.average, rel=1e-5, abs=1e-5), t
        for flag in FLAGS:
            assert getattr(decision, flag) == getattr(verdict, flag), (t, peak, flag, decision.reason)


@pytest.mark.parametrize("length", [3, 25])
@pytest.mark.parametrize("seed", range(5))
def test_paper(seed: int, length: int) -> None:
    peaks = sequence(seed)
    expected = gate.paper(peaks, length, 10.0)
    assert 0.05 < np.mean([verdict.remember for verdict in expected]) < 0.8
    assert_judged(GateConfig(rule="paper", queue_length=length), peaks, expected)


@pytest.mark.parametrize("length", [3, 25])
def test_the_readings_of_equation_10_differ_on_these_sequences(length: int) -> None:
    """Were U_0 summed too, or L - 1 the divisor, frames would be judged otherwise: the sequences above can tell."""
    differs = {"all L": 0, "L - 1": 0}
    for seed in range(5):
        values = [gate.uncertainty(peak) for peak in sequence(seed)]
        for t, value in enumerate(values):
            queue = [earlier for earlier in values[:t] if earlier <= 10.0][-length:]
            if len(queue) == length:
                printed = gate.decide(value, gate.average(queue, length), 10.0)
                differs["all L"] += printed != gate.decide(value, sum(queue) / length, 10.0)
                differs["L - 1"] += printed != gate.decide(value, sum(queue[1:]) / (length - 1), 10.0)
    assert min(differs.values()) > 0, differs


def test_paper_at_its_limits() -> None:
    """Powers of two, so that nothing is rounded: U equal to the mean, and equal to the limit."""
    limit, length = 8.0, 4
    peaks = [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 16, 1 / 8, 1 / 2, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 3, 1 / 2, 1 / 2]
    expected = gate.paper(peaks, length, limit)
    assert expected[0].remember, "an empty queue bounds nothing, and the limit itself is allowed"
    assert not expected[1].remember, "U = U_avg is not below it"
    config = GateConfig(rule="paper", queue_length=length, max_uncertainty=limit)
    assert_judged(config, peaks, expected)


@pytest.mark.parametrize("seed", range(5))
def test_relative(seed: int) -> None:
    peaks = sequence(seed)
    expected = gate.relative(peaks)
    values = [verdict.uncertainty for verdict in expected]
    for low, high in ((0.1, 3.0), (3.0, 10.0), (10.0, math.inf)):
        assert any(low < value < high for value in values), "a range without a frame"
    assert_judged(GateConfig(rule="relative"), peaks, expected)


def test_relative_at_its_limits() -> None:
    """U = 3 and 10 exactly, each a step that is not below its limit, and their neighbors just below."""
    start = [0.5, 0.5, 0.5, 0.5]
    for limit in (3.0, 10.0):
        for peak in (0.5 / limit, 0.5 / limit * (1.0 + 1e-9)):
            peaks = [*start, peak, 0.4, 0.1]
            assert_judged(GateConfig(rule="relative"), peaks, gate.relative(peaks))
    peaks = [0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.05]  # none accepted while the first frames are trusted
    assert_judged(GateConfig(rule="relative"), peaks, gate.relative(peaks))


def test_off_reports_equation_9() -> None:
    peaks = sequence(1)
    expected = [gate.Verdict(gate.uncertainty(peak), True, True) for peak in peaks]
    assert_judged(GateConfig(rule="off"), peaks, expected)
