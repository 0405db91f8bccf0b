"""The rows of the study, and how what was measured is laid out."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tracker.benchmarks.ablation import (
    COLUMNS,
    FULL,
    ROWS,
    AblationError,
    choose_rows,
    comma_separated,
    curve,
    markdown,
    plot,
    table,
)
from tracker.config import TrackerConfig
from tracker.settings import from_environment

SCORES = {
    FULL: {"EAO": 0.5, "accuracy": 0.6, "failures per sequence": 0.2, "J&F": 0.7},
    "interval_10": {"EAO": 0.45, "accuracy": 0.61, "failures per sequence": 0.3},
    "box2seg_off": {"EAO": 0.52, "accuracy": 0.55, "failures per sequence": 0.2},
}


def test_every_row_changes_the_tracker_in_its_own_way() -> None:
    configs = [from_environment(row.settings).tracker_config() for row in ROWS]
    assert configs[0] == TrackerConfig()
    assert len(set(configs)) == len(ROWS)
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_curve_has_all_intervals_of_the_figure_once() -> None:
    by_interval = {row.interval: row for row in ROWS if row.interval is not None}
    assert sorted(by_interval) == [0, 1, 5, 10, 15, 20, 30]
    for interval, row in by_interval.items():
        config = from_environment(row.settings).tracker_config()
        assert config.appearance.sampling_interval == interval
        assert config.gate == TrackerConfig().gate


def test_the_papers_numbers_give_the_gains_that_its_text_names() -> None:
    eao = {row.name: row.paper["EAO"] for row in ROWS if row.paper}
    assert eao[FULL] - eao["last_frame_off"] == pytest.approx(0.039)
    assert eao[FULL] - eao["box2seg_off"] == pytest.approx(0.014)
    assert eao[FULL] - eao["concat"] == pytest.approx(0.020)
    assert len(eao) == 8, "Table VIII has eight columns"


def test_differences_are_against_the_full_tracker_and_gaps_stay_empty() -> None:
    lines = {line[0]: dict(zip(table(ROWS, SCORES)[0], line, strict=True)) for line in table(ROWS, SCORES)[1:]}
    assert lines["interval 10"]["EAO against full"] == "-0.050"
    assert lines["interval 10"]["paper: EAO against full"] == "-0.026"
    assert lines["interval 10"]["J&F"] == ""
    assert lines["without Box2Seg"]["EAO against full"] == "+0.020"
    assert all(lines["interval 30"][column] == "" for column in (*COLUMNS, "EAO against full", "paper: EAO"))


def test_without_the_full_tracker_there_are_no_differences() -> None:
    scores = {"interval_10": SCORES["interval_10"]}
    assert "-0.050" not in comma_separated(ROWS, scores) and "0.450" in comma_separated(ROWS, scores)


def test_what_is_not_defined_is_a_gap() -> None:
    scores = {FULL: SCORES[FULL], "interval_10": {"EAO": float("nan"), "accuracy": 0.6}, "gate_off": {"EAO": None}}
    text = comma_separated(ROWS, scores)
    assert "nan" not in text and "None" not in text and "0.600" in text


def test_the_document_says_what_was_not_measured() -> None:
    text = markdown(ROWS, SCORES, ["a condition"])
    assert "- a condition" in text and "## Table VIII" in text and "## Fig. 14" in text
    missing = text.rpartition("Not measured:")[2]
    assert "interval 30" in missing and "interval 10" not in missing
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1, "every line has as many cells"


def test_the_curve_is_drawn_from_two_points_on(tmp_path: Path) -> None:
    assert curve(ROWS, SCORES, "EAO") == ([5, 10], [0.5, 0.45])
    path = tmp_path / "plot.png"
    assert not plot(ROWS, {FULL: SCORES[FULL]}, str(path)) and not path.exists()
    assert plot(ROWS, SCORES, str(path))
    picture = cv2.imread(str(path))
    assert picture is not None and picture.std() > 5


def test_rows_come_in_the_order_of_the_study() -> None:
    assert [row.name for row in choose_rows(["interval_0", FULL], {None})] == [FULL, "interval_0"]
    with pytest.raises(AblationError, match=r"'nothing'.*last_frame_off"):
        choose_rows(["nothing"], {None})
    with pytest.raises(AblationError, match=r"'concat' needs weights .*--concat-weights"):
        choose_rows(["concat"], {None, "response"})
    assert [row.name for row in choose_rows(["concat"], {None, "concat"})] == ["concat"]
