"""Which trajectories are complete, and what an experiment has left to compute."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from vot_workspace.trajectories import anchor_frames, is_finished, publish, read_trajectories


def write(folder: Path, name: str, *, frames: int = 3, binary: bool = False, text: str = "1,2,3,4\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if binary:
        (folder / f"{name}.bin").write_bytes(struct.pack("<hI", 1, frames) + b"regions")
    else:
        (folder / f"{name}.txt").write_text(text * frames)
    for value in ("time", "confidence"):
        (folder / f"{name}_{value}.value").write_text("0.1\n" * frames)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    folder = tmp_path / "sequences" / "car"
    folder.mkdir(parents=True)
    (folder / "groundtruth.txt").write_text("0,0,9,9\n" * 4)
    (folder / "anchor.value").write_text("1\n0\n0\n-1\n")
    return folder


@pytest.mark.parametrize("binary", [False, True])
def test_files_must_agree(tmp_path: Path, binary: bool) -> None:
    write(tmp_path, "car_001", binary=binary)
    (trajectory,) = read_trajectories(tmp_path).values()
    assert trajectory.whole and trajectory.consistent and len(trajectory.values) == 2
    (tmp_path / "car_001_confidence.value").write_text("0.1\n" * 2)
    assert not trajectory.consistent and not trajectory.whole
    (tmp_path / "car_001_confidence.value").write_text("0.1\n0.1\n0.1")  # no newline at the end, as others write it
    assert trajectory.whole
    (tmp_path / "car_001_time.value").unlink()
    (trajectory,) = read_trajectories(tmp_path).values()
    assert trajectory.consistent and not trajectory.whole
    trajectory.regions.write_bytes(b"")
    assert not trajectory.consistent


def test_what_has_just_been_written_may_be_incomplete(tmp_path: Path) -> None:
    write(tmp_path, "car_001")
    (trajectory,) = read_trajectories(tmp_path).values()
    assert not trajectory.settled(time.time()) and trajectory.settled(time.time() + 2)


def test_a_published_trajectory_replaces_a_damaged_one_of_the_other_kind(tmp_path: Path) -> None:
    write(tmp_path / "part", "car_001")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "car_001.bin").write_bytes(b"")
    publish(read_trajectories(tmp_path / "part")["car_001"].files(), tmp_path / "real")
    names = sorted(path.name for path in (tmp_path / "real").iterdir())
    assert names == ["car_001.txt", "car_001_confidence.value", "car_001_time.value"]


def test_links_are_not_taken_for_results(tmp_path: Path) -> None:
    write(tmp_path / "real", "car_001")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "car_001.txt").symlink_to(tmp_path / "real" / "car_001.txt")
    assert read_trajectories(tmp_path / "part") == {}


def test_repetitions_end_early_where_a_tracker_repeats_itself(tmp_path: Path, sequence: Path) -> None:
    experiment = {"type": "supervised", "repetitions": 15}
    folder = tmp_path / "results"
    for run in (1, 2):
        write(folder, f"car_{run:03d}")
    assert not is_finished(experiment, sequence, read_trajectories(folder))
    assert is_finished(experiment | {"repetitions": 2}, sequence, read_trajectories(folder))
    write(folder, "car_003")
    found = read_trajectories(folder)
    assert is_finished(experiment, sequence, found)
    assert not is_finished(experiment | {"early_stop": False}, sequence, found)
    assert not is_finished(experiment | {"transformers": [{"type": "redetection"}]}, sequence, found)
    write(folder, "car_003", text="1,2,3,5\n")
    assert not is_finished(experiment, sequence, read_trajectories(folder))


def test_every_start_needs_its_trajectory(tmp_path: Path, sequence: Path) -> None:
    folder = tmp_path / "results"
    assert anchor_frames(sequence, "anchor") == [0, 3] and anchor_frames(sequence, "other") == []
    write(folder, "car_00000000")
    assert not is_finished({"type": "multistart"}, sequence, read_trajectories(folder))
    write(folder, "car_00000003")
    assert is_finished({"type": "multistart"}, sequence, read_trajectories(folder))
    assert not is_finished({"type": "multistart", "anchor": "other"}, sequence, read_trajectories(folder))
    assert not is_finished({"type": "another"}, sequence, read_trajectories(folder))
