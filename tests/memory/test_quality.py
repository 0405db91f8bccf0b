"""The three rules of the quality gate against tables computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.config import GateConfig, GateRule
from tracker.memory.quality import Decision, QualityGate

PAPER = GateConfig(rule="paper", queue_length=3, max_uncertainty=10.0, segment_lost=False)
RELATIVE = GateConfig(rule="relative", queue_length=3, trusted_frames=2)


def accepted(decision: Decision) -> list[bool]:
    return [
        decision.segment,
        decision.remember_appearance,
        decision.remember_filter,
        decision.follow_size,
        decision.correct_centre,
    ]


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
        assert accepted(decision) == [preserved] * 5, (uncertainty, decision)


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
    share = sum(gate.judge(peak).segment for peak in peaks) / len(peaks)
    assert 0.3 < share < 0.5


def test_the_size_stays_while_the_target_is_lost() -> None:
    gate = QualityGate(GateConfig(rule="paper", lost_above=4.0))
    gate.reset(every_frame=True)
    followed = [gate.judge(1.0 / uncertainty).follow_size for uncertainty in (1.0, 3.9, 4.1, 20.0, 2.0)]
    assert followed == [True, True, False, False, True]
    gate.reset()
    assert gate.judge(1.0 / 9.0).follow_size, "what eq. 11 preserves is followed"


def test_a_lost_target_is_looked_for_and_nothing_is_learned() -> None:
    for looks in (True, False):
        gate = QualityGate(GateConfig(rule="paper", lost_above=4.0, segment_lost=looks))
        decisions = [gate.judge(1.0 / uncertainty) for uncertainty in (1.0, 3.9, 4.1, 20.0, math.inf)]
        assert [decision.segment for decision in decisions] == [True, False, looks, looks, looks]
        told = "; the target is lost and looked for" if looks else ""
        assert decisions[2].reason == f"uncertainty not below the average{told}"
        assert [decision.correct_centre for decision in decisions] == [True, False, looks, looks, looks]
        for decision in decisions[1:]:
            assert not (decision.remember_appearance or decision.remember_filter or decision.follow_size)


@pytest.mark.parametrize("rule", ["paper", "relative", "off"])
def test_no_decision_corrects_the_centre_where_that_is_switched_off(rule: GateRule) -> None:
    for corrects in (True, False):
        gate = QualityGate(GateConfig(rule=rule, correct_centre=corrects))
        assert {decision.correct_centre for decision in (gate.judge(0.7), gate.accept("no filter"))} == {corrects}
        assert gate.judge(0.8).segment


def test_relative_rule_by_hand() -> None:
    gate = QualityGate(RELATIVE)
    table = [  # peak, U, accepted: segment, appearance, filter, size, centre    queue before
        (0.6, 0.0, [1, 1, 1, 1, 1]),  # trusted
        (0.3, 0.0, [1, 1, 1, 1, 1]),  # trusted                                  0.6
        (0.9, 0.5, [1, 1, 1, 1, 1]),  #                                          0.6 0.3
        (0.3, 2.0, [1, 1, 1, 1, 1]),  #                                          0.6 0.3 0.9
        (0.15, 10 / 3, [1, 1, 0, 1, 1]),  # does not enter                       0.3 0.9 0.3
        (0.1, 5.0, [1, 1, 0, 0, 1]),
        (0.04, 12.5, [0, 0, 0, 0, 0]),
        (0.0, math.inf, [0, 0, 0, 0, 0]),
        (-0.2, math.inf, [0, 0, 0, 0, 0]),
        (0.25, 2.0, [1, 1, 1, 1, 1]),  # recovered                               0.3 0.9 0.3
        (0.145 / 0.3, 1.0, [1, 1, 1, 1, 1]),  #                                  0.9 0.3 0.25
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
    gate = QualityGate(GateConfig(rule=rule, segment_lost=False))
    gate.judge(0.5)
    decision = gate.judge(peak)
    assert decision.uncertainty == math.inf
    assert accepted(decision) == [rule == "off"] * 5
    assert gate.judge(0.9).segment, "the bad peak spoilt the next frame"


def test_off_accepts_everything() -> None:
    gate = QualityGate(GateConfig(rule="off"))
    for peak in (0.9, 0.01, -1.0):
        assert all(accepted(gate.judge(peak)))
    assert gate.judge(0.5).uncertainty == 2.0


@pytest.mark.parametrize(
    ("rule", "answers"), [("paper", [1, 0, 0, 0, 1]), ("relative", [1, 1, 0, 0, 1]), ("off", [1, 1, 1, 1, 1])]
)
def test_where_every_frame_must_show_a_mask_each_is_segmented(rule: GateRule, answers: list[int]) -> None:
    gate = QualityGate(GateConfig(rule=rule, segment_lost=False))
    gate.reset(every_frame=True)
    gate.judge(0.5)
    assert accepted(gate.judge(0.0)) == [bool(answer) for answer in answers]
    gate.reset()
    gate.judge(0.5)
    assert gate.judge(0.0).segment == (rule == "off")


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
    assert low.remember_filter <= low.follow_size <= low.segment
