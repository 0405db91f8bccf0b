"""The three rules of the quality gate against tables computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.config import GateConfig, GateRule
from tracker.memory.quality import Decision, QualityGate

PAPER = GateConfig(rule="paper", queue_length=3, max_uncertainty=10.0)
RELATIVE = GateConfig(rule="relative", queue_length=3, trusted_frames=2)


def accepted(decision: Decision) -> list[bool]:
    return [decision.remember, decision.found]


def test_paper_rule_by_hand() -> None:
    """U = 1 / peak; the queue holds three; full, the mean is (U_1 + U_2) / 3."""
    gate = QualityGate(PAPER)
    table = [  # U, U_avg, preserved        queue before
        (2.0, math.inf, True),  # empty: only the limit decides
        (2.0, 2.0, False),  # 2             equal is not below
        (1.0, 2.0, True),  # 2 2
        (0.9, 1.0, True),  # 2 2 1          full: (2 + 1) / 3
        (0.97, 1.9 / 3, False),  # 2 1 0.9
        (0.62, 1.87 / 3, True),  # 1 0.9 0.97
        (12.0, 1.59 / 3, False),  # 0.9 0.97 0.62    above 10: does not enter
        (0.525, 1.59 / 3, True),  # 0.9 0.97 0.62
    ]
    for uncertainty, average, preserved in table:
        decision = gate.judge(1.0 / uncertainty)
        assert decision.uncertainty == pytest.approx(uncertainty)
        assert decision.average == pytest.approx(average)
        assert accepted(decision) == [preserved, uncertainty <= 4.0], (uncertainty, decision)


def test_reasons_name_an_average_only_where_there_is_one() -> None:
    paper, relative = QualityGate(PAPER), QualityGate(RELATIVE)
    words = [paper.judge(1 / value).reason for value in (2.0, 2.0, 1.0, 12.0)]
    assert words == [
        "uncertainty within the limit; nothing to compare it with yet",
        "uncertainty not below the average",
        "uncertainty below the average",
        "uncertainty above the limit",
    ]
    early = "taken for certain: too early to compare"
    assert [relative.judge(1.0).reason for _ in range(3)] == [early, early, "certain"]


def test_paper_rule_drops_about_half_of_the_frames() -> None:
    gate = QualityGate(GateConfig(rule="paper"))
    peaks = [0.6 + 0.1 * math.sin(2.4 * i) for i in range(500)]
    share = sum(gate.judge(peak).remember for peak in peaks) / len(peaks)
    assert 0.3 < share < 0.5


def test_the_filter_learns_wherever_the_target_is_found_whatever_eq_11_says() -> None:
    gate = QualityGate(GateConfig(rule="paper", lost_above=4.0))
    decisions = [gate.judge(1.0 / uncertainty) for uncertainty in (1.0, 3.9, 4.1, 20.0, math.inf, 2.0)]
    assert [decision.found for decision in decisions] == [True, True, False, False, False, True]
    assert [decision.remember for decision in decisions] == [True, False, False, False, False, True]


def test_without_a_filter_nothing_is_judged() -> None:
    decision = QualityGate(GateConfig()).judge(None)
    assert accepted(decision) == [True, True] and decision.reason == "no filter"


def test_relative_rule_by_hand() -> None:
    gate = QualityGate(RELATIVE)
    table = [  # peak, U, appearance, filter    queue before
        (0.6, 0.0, [1, 1]),  # trusted
        (0.3, 0.0, [1, 1]),  # trusted          0.6
        (0.9, 0.5, [1, 1]),  #                  0.6 0.3
        (0.3, 2.0, [1, 1]),  #                  0.6 0.3 0.9
        (0.15, 10 / 3, [1, 0]),  # does not enter  0.3 0.9 0.3
        (0.1, 5.0, [1, 0]),
        (0.04, 12.5, [0, 0]),
        (0.0, math.inf, [0, 0]),
        (-0.2, math.inf, [0, 0]),
        (0.25, 2.0, [1, 1]),  # recovered       0.3 0.9 0.3
        (0.145 / 0.3, 1.0, [1, 1]),  #          0.9 0.3 0.25
    ]
    for row, (peak, uncertainty, answers) in enumerate(table):
        decision = gate.judge(peak)
        assert decision.uncertainty == pytest.approx(uncertainty), row
        assert accepted(decision) == [bool(answer) for answer in answers], row


def test_relative_rule_trusts_until_a_first_peak_is_accepted() -> None:
    gate = QualityGate(RELATIVE)
    for _ in range(4):
        assert gate.judge(0.0).uncertainty == math.inf
    assert gate.judge(0.2).uncertainty == 0.0
    assert gate.judge(0.1).uncertainty == pytest.approx(2.0)


@pytest.mark.parametrize("peak", [0.0, -1.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", ["paper", "relative", "off"])
def test_a_peak_that_is_none_is_infinitely_uncertain(rule: GateRule, peak: float) -> None:
    gate = QualityGate(GateConfig(rule=rule))
    gate.judge(0.5)
    decision = gate.judge(peak)
    assert decision.uncertainty == math.inf
    assert accepted(decision) == [rule == "off"] * 2
    assert gate.judge(0.9).remember, "the bad peak spoilt the next frame"


def test_off_accepts_everything() -> None:
    gate = QualityGate(GateConfig(rule="off"))
    for peak in (0.9, 0.01, -1.0):
        assert all(accepted(gate.judge(peak)))
    assert gate.judge(0.5).uncertainty == 2.0


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["paper", "relative", "off"]), st.lists(st.floats(-1, 2), max_size=40))
def test_reset_forgets(rule: GateRule, peaks: list[float]) -> None:
    used, fresh = QualityGate(GateConfig(rule=rule)), QualityGate(GateConfig(rule=rule))
    for peak in peaks:
        used.judge(peak)
    used.reset()
    assert [used.judge(peak) for peak in peaks] == [fresh.judge(peak) for peak in peaks]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=30), st.floats(0.01, 1))
def test_relative_decisions_are_ordered(peaks: list[float], peak: float) -> None:
    """A higher peak never gets a smaller permission; who may enter the filter may also be segmented."""
    lower, higher = QualityGate(RELATIVE), QualityGate(RELATIVE)
    for earlier in peaks:
        lower.judge(earlier)
        higher.judge(earlier)
    low, high = lower.judge(peak), higher.judge(2 * peak)
    assert high.uncertainty <= low.uncertainty
    assert all(a <= b for a, b in zip(accepted(low), accepted(high), strict=True))
    assert low.found <= low.remember
