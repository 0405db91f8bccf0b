"""Scores are read from what the toolkit writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vot_workspace.scores import ScoresError, main, read_scores

SUPERVISED = [
    ("vot.analysis.supervised.AverageAccuracyRobustness", [[0.5, 0.25, [0.8, 0.5]], [0.7, 0.0, [1.0, 0.7]]]),
    ("vot.analysis.supervised.EAOScore", [[0.4], [0.6]]),
    ("vot.analysis.supervised.EAOCurve", [[[0.0, 0.9]], [[0.0, 0.8]]]),
]


def write(folder: Path, analyses: list[tuple[str, object]]) -> Path:
    document = {
        "trackers": {"MIL": {}, "DMB": {}},
        "results": {
            "baseline": {
                "parameters": {"analyses": [{"type": kind} for kind, _ in analyses]},
                "results": [result for _, result in analyses],
            }
        },
    }
    path = folder / "analysis" / "demo.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))
    return path


def test_numbers_get_their_names(tmp_path: Path) -> None:
    (table,) = read_scores(write(tmp_path, SUPERVISED))
    assert table.experiment == "baseline"
    assert table.scores["MIL"] == {"EAO": 0.4, "accuracy": 0.5, "failures per sequence": 0.25}
    assert table.scores["DMB"] == {"EAO": 0.6, "accuracy": 0.7, "failures per sequence": 0.0}


def test_the_best_comes_first_and_columns_align(tmp_path: Path) -> None:
    header, *rows = read_scores(write(tmp_path, SUPERVISED))[0].lines()
    assert [row.split()[0] for row in rows] == ["DMB", "MIL"]
    assert len({len(line) for line in (header, *rows)}) == 1


def test_multistart_robustness_is_a_share(tmp_path: Path) -> None:
    kind = "vot.analysis.multistart.AverageAccuracyRobustness"
    (table,) = read_scores(write(tmp_path, [(kind, [[0.5, 0.9, None], [0.6, 1.0, None]])]))
    assert table.scores["MIL"] == {"accuracy": 0.5, "robustness": 0.9}


def test_the_command_prints_scores_and_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SUPERVISED)
    report = tmp_path / "reports" / "demo" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("")
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "0.600" in printed and str(report) in printed


def test_a_missing_or_foreign_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "vot analysis --name demo" in capsys.readouterr().err
    path = write(tmp_path, SUPERVISED)
    path.write_text("[1, 2]")
    with pytest.raises(ScoresError, match="analyze again"):
        read_scores(path)


def test_an_eao_that_is_not_defined_has_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [SUPERVISED[0], (SUPERVISED[1][0], [[float("nan")], [0.6]])])
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "EAO is nan: no sequence is as long as the bounds in the workspace's stack ask for" in printed
