"""Scores of masks that are wrong in known ways, by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.davis_folders import source, square, two_squares, write_davis, write_masks
from tracker.benchmarks.davis_scores import ObjectScore, Scores, Statistics, score_masks
from tracker.data.davis import open_davis
from tracker.data.davis_masks import DavisError

FRAMES = 10


def scored(
    tmp_path: Path, labels: list[np.ndarray], answers: list[np.ndarray], year: int = 2017
) -> list[dict[str, float]]:
    """The statistics of each object."""
    root = write_davis(tmp_path / "DAVIS", {"one": labels}, year)
    write_masks(tmp_path / "masks", answers)
    with open_davis(source(root, year)) as (one,):
        return [score.row() for score in score_masks(one, tmp_path / "masks")]


def test_statistics_by_hand() -> None:
    # seven frames: 2.5 and 5.5 are rounded up, so the first quarter is frames 1 to 3, the last one 6 and 7
    found = Statistics.of([1.0, 0.8, 0.6, 0.5, 0.5, 0.3, 0.1])
    assert found.mean == pytest.approx(3.8 / 7)
    assert found.recall == pytest.approx(3 / 7), "0.5 itself is not recalled"
    assert found.decay == pytest.approx(0.8 - 0.2)
    assert Statistics.of([0.7]) == Statistics(0.7, 1.0, 0.0)


def test_long_sequences_have_their_own_last_quarter() -> None:
    values = [1.0] * 300 + [0.0] * 100
    assert Statistics.of(values).decay == pytest.approx(1.0 - 1.0 / 101)  # the quarters share frame 300


def test_the_truth_scores_one(tmp_path: Path) -> None:
    frames = [two_squares(index) for index in range(FRAMES)]
    for row in scored(tmp_path, frames, frames):
        assert list(row.values()) == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("shift", [1, 5, 12])
def test_a_shift_lowers_j_by_what_it_uncovers(tmp_path: Path, shift: int) -> None:
    labels = [square(10 + index) for index in range(FRAMES)]
    answers = [square(10 + index + shift) for index in range(FRAMES)]
    (row,) = scored(tmp_path, labels, answers)
    assert row["J-Mean"] == pytest.approx((20 - shift) / (20 + shift))
    assert row["J-Recall"] == float((20 - shift) / (20 + shift) > 0.5) and row["J-Decay"] == pytest.approx(0.0)
    # one pixel is within the tolerance of 0.008 diagonals; further shifts leave parts of the horizontal edges
    assert row["F-Mean"] == 1.0 if shift == 1 else 0.0 < row["F-Mean"] < 0.8
    assert row["J&F-Mean"] == pytest.approx((row["J-Mean"] + row["F-Mean"]) / 2)


@pytest.mark.parametrize("year", [2016, 2017])
def test_erosion(tmp_path: Path, year: int) -> None:
    labels = [square(10)] * FRAMES
    (row,) = scored(tmp_path, labels, [square(13, 13, 14, 255 if year == 2016 else 1)] * FRAMES, year)
    assert row["J-Mean"] == pytest.approx(14**2 / 20**2)
    assert row["F-Mean"] == 0.0, "three pixels are more than the tolerance of one"


def test_emptied_from_a_frame_on(tmp_path: Path) -> None:
    labels = [square(10)] * FRAMES
    (row,) = scored(tmp_path, labels, [square(10)] * 5 + [square(10, value=0)] * 5)
    # frames 1 to 8 are scored, 1 to 4 are right; quarters are frames 1-3 and 6-8
    assert list(row.values()) == [0.5, 0.5, 0.5, 1.0, 0.5, 0.5, 1.0]


def test_swapped_objects_score_nothing(tmp_path: Path) -> None:
    labels = [two_squares(index) for index in range(FRAMES)]
    swap = np.array([0, 2, 1], np.uint8)
    for row in scored(tmp_path, labels, [swap[ids] for ids in labels]):
        assert (row["J-Mean"], row["F-Mean"], row["J-Recall"]) == (0.0, 0.0, 0.0)


def test_neither_the_first_nor_the_last_frame_counts_or_is_read(tmp_path: Path) -> None:
    labels = [square(10)] * 4
    folder = write_masks(tmp_path / "masks", labels)
    (folder / "00000.png").unlink()
    (folder / "00003.png").write_bytes(b"mask")
    with open_davis(source(write_davis(tmp_path / "DAVIS", {"one": labels}))) as (one,):
        (score,) = score_masks(one, folder)
    assert score.regions == [1.0, 1.0]


def test_both_empty_is_right_and_void_counts_for_nobody(tmp_path: Path) -> None:
    void = square(10) + square(30, value=255)
    labels = [square(10), square(10, value=0), void, square(10)]
    (row,) = scored(tmp_path, labels, [square(10), square(10, value=0), square(10) + square(30), square(10)])
    assert (row["J-Mean"], row["F-Mean"]) == (1.0, 1.0)


def test_ids_that_do_not_exist_and_missing_masks_are_told(tmp_path: Path) -> None:
    labels = [square(10)] * 4
    root = write_davis(tmp_path / "DAVIS", {"one": labels})
    folder = write_masks(tmp_path / "masks", [square(10), square(10), square(10, value=3), square(10)])
    with open_davis(source(root)) as (one,):
        with pytest.raises(DavisError, match=r"00002.png' holds the id 3, but sequence 'one' has 1 objects"):
            score_masks(one, folder)
        (folder / "00001.png").unlink()
        with pytest.raises(DavisError, match=r"mask '.*masks/00001.png' is missing"):
            score_masks(one, folder)
        with pytest.raises(DavisError, match=r"there is no folder '.*/other'"):
            score_masks(one, tmp_path / "other")


def test_the_table_and_the_files(tmp_path: Path) -> None:
    scores = Scores(
        [
            ObjectScore("one", 1, [1.0, 1.0], [0.5, 0.5]),
            ObjectScore("one", 2, [0.0, 0.0], [0.0, 0.0]),
            ObjectScore("two", 1, [0.5, 0.5], [0.25, 0.25]),
        ]
    )
    lines = list(scores.lines())
    assert len(lines) == 6 and lines[-1] == "J&F 0.375"  # a mean over objects, not over sequences
    assert lines[-2].split() == ["all", "3", "6", "0.375", "0.500", "0.333", "0.000", "0.250", "0.000", "0.000"]
    scores.write(tmp_path, {"year": 2017})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "global_results.csv", "per-sequence_results.csv", "scores.json",
    ]  # fmt: skip
    with (tmp_path / "per-sequence_results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["Sequence"] for row in rows] == ["one_1", "one_2", "two_1"] and float(rows[0]["J&F-Mean"]) == 0.75
    with (tmp_path / "global_results.csv").open() as file:
        assert float(next(csv.DictReader(file))["F-Mean"]) == 0.25
    document = json.loads((tmp_path / "scores.json").read_text())
    assert document["year"] == 2017 and document["all"]["J-Recall"] == pytest.approx(1 / 3)
    assert document["objects"][2] | {"sequence": "two", "object": 1, "J-Mean": 0.5} == document["objects"][2]
