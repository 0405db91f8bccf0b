"""Scores of the box benchmarks on boxes whose scores are worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.benchmarks import boxes
from tracker.benchmarks.boxes import TrackedBoxes

TRUE = (10.0, 10.0, 20.0, 10.0)


def tracked(*rows: tuple[float, float, float, float], name: str = "one", **changes: object) -> TrackedBoxes:
    """A sequence whose true box stays TRUE."""
    count = len(rows)
    facts: dict = {"truth": np.array([TRUE] * count), "visible": np.ones(count, np.bool_), "size": (100, 80)}
    facts |= {"seconds": np.full(count, 0.5)}
    return TrackedBoxes(name, np.array(rows), **(facts | changes))  # type: ignore[arg-type]


def moved(x: float, y: float = 0.0) -> tuple[float, float, float, float]:
    return TRUE[0] + x, TRUE[1] + y, TRUE[2], TRUE[3]


def test_overlaps_and_center_errors() -> None:
    first = np.array([TRUE, TRUE, TRUE, (0.0, 0.0, 0.0, 0.0)])
    second = np.array([moved(10), moved(20), (10.0, 10.0, 10.0, 5.0), (0.0, 0.0, 0.0, 0.0)])
    assert boxes.overlaps(first, second) == pytest.approx([1 / 3, 0, 1 / 4, 0])
    found = boxes.center_errors(np.array([moved(3, 4), (10, 10, 10, 5)]), np.array([TRUE, TRUE]))
    assert found == pytest.approx([5, math.hypot(5, 2.5)])
    found = boxes.center_errors(np.array([moved(3, 4)]), np.array([TRUE]), normalized=True)
    assert found == pytest.approx([math.hypot(3 / 20, 4 / 10)])


def test_boxes_are_bounded_as_the_got10k_toolkit_does() -> None:
    outside = np.array([(-5.0, -2.0, 20.0, 10.0), (90.0, 70.0, 20.0, 20.0), (120.0, 90.0, 5.0, 5.0)])
    found = boxes.bounded(outside, (100, 80))
    assert found.tolist() == [[0, 0, 20, 10], [90, 70, 10, 10], [100, 80, 0, 0]]


def test_got10k_leaves_out_the_first_frame_and_the_invisible_ones_and_pools_frames() -> None:
    visible = np.array([True, True, True, False])
    one = tracked(TRUE, TRUE, moved(10), moved(90), visible=visible)  # 1, 1/3
    other = tracked(moved(90), moved(4), name="other")  # 16/24
    scores = boxes.got10k([one, other])
    assert scores.sequences["one"] == pytest.approx({"AO": 2 / 3, "SR50": 1 / 2, "SR75": 1 / 2})
    assert scores.sequences["other"] == pytest.approx({"AO": 2 / 3, "SR50": 1, "SR75": 0})
    assert scores.overall == pytest.approx({"AO": 2 / 3, "SR50": 2 / 3, "SR75": 1 / 3})
    assert scores.line() == "AO 0.667 SR50 0.667 SR75 0.333"


def test_got10k_success_is_above_the_threshold() -> None:
    half = (10.0, 10.0, 10.0, 10.0)  # an overlap of exactly 0.5
    assert boxes.got10k([tracked(TRUE, half)]).overall["SR50"] == 0.0


def test_a_sequence_without_a_visible_frame_has_no_score_and_spoils_none() -> None:
    hidden = tracked(TRUE, TRUE, name="hidden", visible=np.array([True, False]))
    scores = boxes.got10k([hidden, tracked(TRUE, moved(10))])
    assert math.isnan(scores.sequences["hidden"]["AO"]) and scores.overall["AO"] == pytest.approx(1 / 3)
    unknown = tracked(TRUE, TRUE, name="unknown", truth=np.full((2, 4), np.nan))
    scores = boxes.otb([unknown, tracked(TRUE, TRUE)])
    assert scores.overall["Precision"] == 1.0
    assert scores.table().splitlines()[1].startswith("unknown,2,,,")


def test_otb_averages_the_curves_of_sequences() -> None:
    one = tracked(TRUE, moved(10), moved(20), moved(20.5))  # overlaps 1, 1/3, 0, 0; centers 0, 10, 20, 20.5 off
    scores = boxes.otb([one, tracked(TRUE, TRUE, name="two")])
    # thresholds 0, 0.05 ... 1: overlap 1 is above 20 of the 21, 1/3 above 7 (0 to 0.3), 0 above none
    assert scores.sequences["one"] == pytest.approx({"Success": (20 + 7) / 21 / 4, "Precision": 3 / 4})
    assert scores.overall["Success"] == pytest.approx(((20 + 7) / 21 / 4 + 20 / 21) / 2)
    assert scores.line() == "Success 0.637 Precision 0.875"


def test_otb_leaves_out_frames_without_a_true_box() -> None:
    truth = np.array([TRUE, (0.0, 0.0, 0.0, 0.0), (np.nan, 0, 1, 1), TRUE])
    scores = boxes.otb([tracked(TRUE, moved(50), moved(50), TRUE, truth=truth)])
    assert scores.overall == pytest.approx({"Success": 20 / 21, "Precision": 1.0})


def test_trackingnet_integrates_curves() -> None:
    one = tracked(TRUE, moved(10), moved(0, 25))  # overlaps 1, 1/3, 0; centers 0, 10, 25 px, 0, 0.5, 2.5 sizes off
    scores = boxes.trackingnet([one])
    # trapezoids of 1/20: overlap 1 is at least every threshold, 1/3 at least 0 to 0.3, 0 at least 0 only
    success = (1 + (6 + 0.5) / 20 + 0.5 / 20) / 3
    # at most 0 to 0.5 sizes off: always, at the last threshold only, never
    normalized = (1 + 0.5 / 20) / 3
    # at most 0, 2.5 ... 50 pixels off: 10 holds from the 5th of 21 thresholds on, 25 from the 11th
    area = (1 + (16 + 0.5) / 20 + (10 + 0.5) / 20) / 3
    expected = {"Success": success, "Precision": 2 / 3, "NormalizedPrecision": normalized, "PrecisionArea": area}
    assert scores.overall == pytest.approx(expected)
    assert scores.line() == f"Success {success:.3f} Precision 0.667 NormalizedPrecision {normalized:.3f}"


def test_trackingnet_rounds_to_whole_pixels() -> None:
    assert boxes.trackingnet([tracked(TRUE, moved(0.4))]).overall["Success"] == 1.0
    assert boxes.trackingnet([tracked(TRUE, moved(0.6))]).overall["Success"] < 1.0
    thin = np.array([TRUE, (10.0, 10.0, 0.4, 10.0)])
    assert boxes.trackingnet([tracked(TRUE, TRUE, truth=thin)]).overall["NormalizedPrecision"] == 1.0


def test_speed_is_without_the_initialization() -> None:
    one = tracked(TRUE, TRUE, TRUE, seconds=np.array([9.0, 0.25, 0.25]))
    other = tracked(TRUE, TRUE, name="other", seconds=np.array([9.0, 0.5]))
    scores = boxes.otb([one, other])
    assert scores.fps == pytest.approx({"one": 4, "other": 2, "": 3})
    assert tracked(TRUE, TRUE, seconds=np.zeros(2)).fps == 0.0


def test_tables_hold_every_sequence_and_the_whole() -> None:
    scores = boxes.got10k([tracked(TRUE, TRUE), tracked(TRUE, moved(10), moved(10), name="two")])
    lines = scores.table().splitlines()
    assert lines[0] == "sequence,frames,AO,SR50,SR75,fps"
    assert lines[1] == "one,2,1.000000,1.000000,1.000000,2.000"
    assert lines[3] == "all,5,0.555556,0.333333,0.333333,2.000"
    document = scores.document()
    assert document["scores"]["AO"] == pytest.approx(5 / 9)
    assert document["sequences"][1]["sequence"] == "two" and document["sequences"][1]["frames"] == 3
    curve = document["success"]
    assert (len(curve["thresholds"]), curve["rates"][0], curve["rates"][50]) == (101, 1, pytest.approx(1 / 3))
    means = boxes.otb([tracked(TRUE, moved(10)), tracked(TRUE, TRUE, TRUE, name="two")]).success[1]
    assert (means[0], means[10], means[20]) == (1, 0.75, 0)  # of sequences, not of frames
    assert boxes.trackingnet([tracked(TRUE, TRUE)]).success[1][-1] == 1
