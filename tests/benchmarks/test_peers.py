"""The comparison of trackers: rows from what the toolkit has left, the table, and the plot."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tracker.benchmarks.peers import Row, markdown, plot, rows
from vot_workspace.layout import Layout
from vot_workspace.scores import Table


def layout_with(tmp_path: Path, kind: str) -> Layout:
    """Two trackers on two sequences, one of them under another folder's name."""
    for tracker, lost, milliseconds in (("DMB", 0, 200), ("MIL@1", 1, 20)):
        for name in ("cat", "cup"):
            folder = tmp_path / "results" / tracker / "baseline" / name
            folder.mkdir(parents=True)
            lines = ["1", "0,0,5,5", "2" if lost and name == "cup" else "0,0,5,5"]
            (folder / f"{name}_001.txt").write_text("\n".join(lines) + "\n")
            times = (9.0, milliseconds / 1000, 1.5 * milliseconds / 1000)
            (folder / f"{name}_001_time.value").write_text("".join(f"{time}\n" for time in times))
    sequences = {name: tmp_path / "sequences" / name for name in ("cat", "cup")}
    return Layout(tmp_path, [], {}, {"baseline": {"type": kind}}, sequences)


def test_rows_tell_failures_times_and_memory_best_first(tmp_path: Path) -> None:
    scores = {"MIL": {"EAO": 0.25, "accuracy": 0.5}, "DMB": {"EAO": 0.75, "accuracy": 0.625}}
    table, folders = Table("baseline", scores), {"DMB": "DMB", "MIL": "MIL@1"}
    best, other = rows(layout_with(tmp_path, "supervised"), table, folders, {"MIL": 101.6})
    assert (best.tracker, best.failures, best.megabytes) == ("DMB", 0, None)
    assert (other.tracker, other.failures, other.megabytes) == ("MIL", 1, 101.6)
    assert best.milliseconds == pytest.approx(250) and other.milliseconds == pytest.approx(25)
    assert markdown([best, other]) == [
        "| tracker | EAO | accuracy | failures | ms a frame | memory, MB |",
        "|---|---|---|---|---|---|",
        "| DMB | 0.750 | 0.625 | 0 | 250.0 | - |",
        "| MIL | 0.250 | 0.500 | 1 | 25.0 | 102 |",
    ]


def test_where_nothing_starts_again_robustness_takes_the_place_of_failures(tmp_path: Path) -> None:
    table = Table("baseline", {"DMB": {"EAO": 0.5, "accuracy": 0.25, "robustness": 0.875}})
    found = rows(layout_with(tmp_path, "multistart"), table, {"DMB": "DMB"}, {})
    assert markdown(found)[0].split(" | ")[3] == "robustness" and markdown(found)[2].split(" | ")[3] == "0.875"


def test_the_plot_is_a_picture_of_what_has_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    timeless = Row("MIL", {"EAO": 0.2}, 1, None, None)
    assert not plot([timeless], path) and not path.exists()
    assert plot([timeless, Row("DMB", {"EAO": 0.5}, 0, 200.0, None)], path)
    picture = cv2.imread(str(path))
    assert picture is not None and picture.std() > 5
