"""The reset protocol on sequences in files, with a tracker that costs nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.doubles import StillTracker
from tracker.benchmarks.tracking import (
    TrackingDataError,
    center_error,
    evaluate,
    read_runs,
    read_sequence,
    run_all,
)
from tracker.cluster.tasks import Place
from tracker.metrics.resets import Run
from tracker.settings import Settings

SIZE = (120, 90)


def write(root: Path, name: str, lines: list[str]) -> Path:
    """A sequence with the given ground truth."""
    (root / name / "color").mkdir(parents=True)
    for number in range(1, len(lines) + 1):
        cv2.imwrite(str(root / name / "color" / f"{number:08d}.jpg"), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    (root / name / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    return root / name


def moving(length: int, step: float) -> list[str]:
    """Boxes 20 wide that move right, and jump back before they leave the picture."""
    return [f"{(frame * step) % 90:g},30,20,20" for frame in range(length)]


def make(settings: Settings) -> StillTracker:
    return StillTracker()


def test_a_tracker_that_lost_its_target_starts_again_five_frames_later(tmp_path: Path) -> None:
    run = evaluate(StillTracker(), read_sequence(write(tmp_path, "one", moving(30, 4.0))), 1, 0)
    # 20 wide, 4 a frame: four more frames overlap, the fifth does not
    assert run.failures[:2] == [5, 15] and [fragment.start for fragment in run.fragments[:2]] == [0, 10]
    first = run.fragments[0]
    assert first.overlaps == pytest.approx([(20 - shift) / (20 + shift) for shift in (4, 8, 12, 16)])
    assert first.errors == pytest.approx([shift / 20 for shift in (4, 8, 12, 16)])


def test_a_stride_leaves_frames_out_and_numbers_stay_the_sequences(tmp_path: Path) -> None:
    run = evaluate(StillTracker(), read_sequence(write(tmp_path, "one", moving(30, 2.0))), 4, 2)
    assert run.frames == 7 and run.failures == [2 + 4 * 3]


def test_polygons_are_answered_as_polygons(tmp_path: Path) -> None:
    line = "30,20,60,25,58,45,28,40"
    run = evaluate(StillTracker(), read_sequence(write(tmp_path, "one", [line] * 5)), 1, 0)
    assert run.fragments[0].overlaps == [1.0] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_all_runs_come_back_in_order_whoever_made_them(tmp_path: Path, workers: int) -> None:
    for name, step in (("slow", 0.0), ("fast", 3.0)):
        write(tmp_path, name, moving(24, step))
    lines: list[str] = []
    path = tmp_path / "runs.json"
    found = run_all(
        tmp_path, ["slow", "fast"], Settings(), make, strides=[1, 2], starts=2, place=Place(workers), kept=path,
        say=lines.append,
    )  # fmt: skip
    assert [run.key for run in found] == [(n, s, f) for n in ("fast", "slow") for s in (1, 2) for f in (0, 6)]
    assert not any(run.failures for run in found if run.sequence == "slow")
    assert all(run.failures for run in found if run.sequence == "fast")
    assert len(lines) == 8 and "8 of 8" in lines[-1]
    assert [run.failures for run in read_runs(path)] == [run.failures for run in found]
    assert all(isinstance(run, Run) for run in read_runs(path))


def test_a_file_of_runs_goes_on_and_is_not_overwritten_by_others(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, name, moving(12, 0.0))
    path, lines = tmp_path / "runs.json", list[str]()

    def run(names: list[str], settings: Settings) -> list[Run]:
        return run_all(
            tmp_path, names, settings, make, strides=[1], starts=1, place=Place(), kept=path, say=lines.append
        )

    assert len(run(["one"], Settings())) == 1
    assert len(run(["one", "two"], Settings())) == 2 and "1 runs are in" in lines[1]
    before = path.read_bytes()
    for names, settings in ((["two"], Settings()), (["one", "two"], Settings(threads=7))):
        with pytest.raises(TrackingDataError, match=r"runs\.json' holds runs of other sequences, .* name another file"):
            run(names, settings)
    path.write_text(json.dumps([{k: v for k, v in row.items() if k != "key"} for row in json.loads(before)]))
    with pytest.raises(TrackingDataError, match="another version of DMB"):
        run(["one", "two"], Settings())
    assert len(read_runs(path)) == 2


def test_the_center_error_is_in_sizes_of_the_truth() -> None:
    truth = np.array([10.0, 10.0, 40.0, 10.0])
    assert center_error(truth + np.array([20.0, 0.0, 0.0, 0.0]), truth) == pytest.approx(1.0)
    corners = np.array([[10.0, 10.0], [50.0, 10.0], [50.0, 20.0], [10.0, 20.0]])
    assert center_error(corners + np.array([0.0, 10.0]), corners) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,2,30,40"], "at least two"),
        (["1,2,30,40", "nan,nan,nan,nan"], "line 2"),
        (["1,2,30,40", "1,2,three,4"], "line 2"),
        (["1,2,30,40", "1,2,3"], "line 2"),
    ],
)
def test_bad_ground_truth_is_one_sentence(tmp_path: Path, lines: list[str], message: str) -> None:
    folder = write(tmp_path, "bad", lines)
    with pytest.raises(TrackingDataError, match=message) as raised:
        read_sequence(folder)
    assert str(folder) in str(raised.value) and "\n" not in str(raised.value)


def test_a_sequence_without_ground_truth_or_with_a_broken_frame_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, "one", moving(5, 0.0))
    (folder / "color" / "00000003.jpg").write_bytes(b"no picture")
    with pytest.raises(TrackingDataError, match=r"00000003\.jpg"):
        evaluate(StillTracker(), read_sequence(folder), 1, 0)
    os.remove(folder / "groundtruth.txt")
    with pytest.raises(TrackingDataError, match="cannot be read"):
        read_sequence(folder)


def test_another_file_is_no_file_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"a": 1}')
    for wrong in (path, tmp_path / "missing.json"):
        with pytest.raises(TrackingDataError, match="--runs"):
            read_runs(wrong)
