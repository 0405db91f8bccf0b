"""Records: what is told in them, where they are found, and the table of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tracker.benchmarks.record import RecordsError, read_records, record, table
from tracker.benchmarks.validation import records
from tracker.cli.main import main

FACTS = {
    "date": "2026-11-20T10:00:00+00:00",
    "version": "0.1.0",
    "commit": "abc123abc123",
    "weights": {"name": "best.safetensors", "checksum": "c0ffee" + 58 * "0"},
    "device": "cuda:0",
    "gpu": "Some GPU",
    "precision": "bfloat16",
    "threads": 4,
    "processor": "Some CPU",
    "settings": {"gate": "off", "threads": 4},
}


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_a_record_tells_scores_and_conditions() -> None:
    assert record(FACTS, "DAVIS", {"J&F": 0.5, "J": None, "F": float("nan")}) == {
        "data": "DAVIS",
        "tracker": "DMB",
        "scores": {"J&F": 0.5},
        "date": "2026-11-20T10:00:00+00:00",
        "commit": "abc123abc123",
        "weights": "c0ffee" + 58 * "0",
        "hardware": "Some GPU, cuda:0, Some CPU, 4 threads",
        "precision": "bfloat16",
        "settings": "gate=off",
    }
    bare = record({"version": "0.1.0", "settings": {}}, "x", {}, "MIL")
    assert bare["commit"] == "version 0.1.0" and bare["settings"] == "default" and bare["hardware"] is None


def test_validation_has_a_record_for_each_initialization_and_for_vot() -> None:
    masks = {"source": "a.tar", "first_frames": 10, "sequences": [{"sequence": "x"}], "means": {"box": {"J": 0.5}}}
    vot = {"source": "b", "stack": "dev.yaml", "sequences": [{}, {}], "threads_per_worker": 1, "scores": {"EAO": 0.25}}
    first, second = records(FACTS | {"masks": masks, "vot": vot})
    assert first["data"] == "a.tar, 1 sequences, all but the first frame, from the box, first 10 frames"
    assert first["scores"] == {"J": 0.5} and "4 threads" in first["hardware"]
    assert second["data"] == "b, 2 sequences, dev.yaml" and second["hardware"].endswith("1 threads")
    assert second["scores"] == {"EAO": 0.25} and records(FACTS) == []


def test_records_are_found_in_files_folders_and_folders_of_folders(tmp_path: Path) -> None:
    for name in ("a/scores.json", "a/b/run.json", "c.json"):
        write(tmp_path / name, {"records": [record(FACTS, name, {"AO": 0.5})]})
    write(tmp_path / "a" / "other.json", {"something": "else"})
    write(tmp_path / "a" / "list.json", [1])
    assert [one["data"] for one in read_records([tmp_path / "a", tmp_path / "c.json"])] == [
        "a/b/run.json", "a/scores.json", "c.json",
    ]  # fmt: skip


def test_an_analyzed_workspace_is_read(tmp_path: Path) -> None:
    analyses = [{"type": "vot.analysis.supervised.EAOScore"}]
    write(
        tmp_path / "live" / "analysis" / "first.json",
        {
            "toolkit": "0.7.4",
            "timestamp": "2026-11-20T12:00:00.5",
            "trackers": {"DMB": {}, "MIL": {}},
            "results": {"baseline": {"parameters": {"analyses": analyses}, "results": [[[0.5], [0.25]]]}},
        },
    )
    found = read_records([tmp_path / "live"])
    assert [(one["data"], one["tracker"], one["scores"]) for one in found] == [
        ("live, baseline", "DMB", {"EAO": 0.5}),
        ("live, baseline", "MIL", {"EAO": 0.25}),
    ]
    write(tmp_path / "live" / "analysis" / "first.json", {"toolkit": 1, "trackers": {}, "results": 1})
    with pytest.raises(RecordsError, match="is not an analysis"):
        read_records([tmp_path / "live"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ('{"records": [{"data": "x"}]}', "damaged record"),
        ('{"records": [{"data": "x", "tracker": "y", "scores": {"AO": "much"}}]}', "damaged record"),
        ('{"records": 1}', "damaged record"),
        ('{"scores": {}}', "holds no record"),
        (None, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_leaves_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, told: str
) -> None:
    out, path = tmp_path / "out.md", tmp_path / "wrong.json"
    out.write_text("before")
    if content is not None:
        path.write_text(content)
    assert main(["results", str(path), "--output", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb results: error: ") and told in error and "wrong.json" in error
    assert error.count("\n") == 1 and out.read_text() == "before"


def test_the_table_is_by_data_and_the_newest_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = record(FACTS, "b | c", {"AO": 0.5, "SR75": 0.25})
    newer = record(FACTS | {"date": "2026-11-21"}, "b | c", {"AO": 0.75})
    first = record({}, "a", {"AO": 1.0})
    lines = table([older, newer, first])
    assert lines[0] == "| data | tracker | scores | date | commit | weights | hardware | precision | settings |"
    assert [line.split(" | ")[-7:-5] for line in lines[2:]] == [
        ["AO 1.000", "-"], ["AO 0.750", "2026-11-21"], ["AO 0.500, SR75 0.250", "2026-11-20"]
    ]  # fmt: skip
    assert all(line.startswith("| b \\| c | DMB |") for line in lines[3:]) and "| c0ffee000000 |" in lines[3]
    source = write(tmp_path / "all.json", {"records": [older, newer, first]})
    assert main(["results", str(source), "--output", str(tmp_path / "out.md")]) == 0
    assert (tmp_path / "out.md").read_text() == capsys.readouterr().out == "\n".join(lines) + "\n"
