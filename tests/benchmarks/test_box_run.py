"""Sequences are offered to the toolkit by links, and its results come back in the data set's convention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.box_layouts import LENGTH, write_got10k, write_images, write_otb, write_trackingnet
from tracker.benchmarks import box_run
from tracker.benchmarks.box_datasets import BoxDatasetError, read_got10k, read_otb, read_trackingnet
from tracker.benchmarks.box_run import PARTS, digest, read_result, run, stage
from vot_workspace.evaluation import REGISTRY, RESULTS, Job, Tracked
from vot_workspace.toolkit import EvaluationError, Toolkit


def facts(folder: Path) -> dict[str, str]:
    return dict(line.split("=") for line in (folder / "sequence").read_text().split())


def finished(workspace: Path, name: str, lines: list[str], seconds: list[str] | None = None) -> Tracked:
    """A workspace in which the toolkit has tracked one sequence."""
    folder = workspace / RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_001.txt").write_text("\n".join(lines) + "\n")
    times = seconds or [str(0.5 + index) for index in range(len(lines))]
    (folder / f"{name}_001_time.value").write_text("\n".join(times) + "\n")
    return Tracked(workspace, [name], None, Toolkit({}, workspace, kept=True))


def test_images_that_count_from_1_are_one_link(tmp_path: Path) -> None:
    dataset = read_otb(write_otb(tmp_path / "otb"))
    stage(dataset, tmp_path / "out")
    folder = tmp_path / "out" / "Jogging-2"
    assert (folder / "color").is_symlink()
    assert facts(folder) == {
        "channels.color": "color/%04d.jpg",
        "format": "default",
        "fps": "30",
        "name": "Jogging-2",
        "length": str(LENGTH),
    }
    assert (folder / "groundtruth.txt").read_text().split()[0] == "10.0000,5.0000,20.0000,10.0000"


def test_images_that_count_from_0_are_linked_one_by_one(tmp_path: Path) -> None:
    dataset = read_trackingnet(write_trackingnet(tmp_path / "net"), "TRAIN_0")
    stage(dataset, tmp_path / "out")
    folder = tmp_path / "out" / "-a_0"
    assert facts(folder)["channels.color"] == "color/%08d.jpg"
    linked = [(path.name, path.resolve().name) for path in sorted((folder / "color").iterdir())]
    assert linked == [(f"{index + 1:08d}.jpg", f"{index}.jpg") for index in range(LENGTH)]
    assert (folder / "groundtruth.txt").read_text().split()[0] == "10.0000,5.0000,20.0000,10.0000"


def test_staging_again_changes_nothing_and_follows_a_data_set_that_moved(tmp_path: Path) -> None:
    here = read_otb(write_otb(tmp_path / "here"))
    before = digest(here)
    for _ in range(2):
        stage(here, tmp_path / "out")
    written = (tmp_path / "out" / "Car" / "groundtruth.txt").read_text()
    (tmp_path / "here").rename(tmp_path / "there")
    there = read_otb(tmp_path / "there")
    stage(there, tmp_path / "out")
    assert digest(there) == before and (tmp_path / "out" / "Car" / "groundtruth.txt").read_text() == written
    assert (tmp_path / "out" / "Car" / "color" / "0001.jpg").is_file()


def test_a_data_set_that_is_numbered_otherwise_replaces_the_links(tmp_path: Path) -> None:
    dataset = read_otb(write_otb(tmp_path / "otb")).choose(["Car"], None)
    images = tmp_path / "otb" / "Car" / "img"
    for numbers in (range(1, LENGTH + 1), range(7, LENGTH + 7), range(1, LENGTH + 1)):
        for path in images.iterdir():
            path.unlink()
        write_images(images, [f"{number:08d}.jpg" for number in numbers])
        dataset = read_otb(tmp_path / "otb").choose(["Car"], None)
        stage(dataset, tmp_path / "out")
        pattern = facts(tmp_path / "out" / "Car")["channels.color"]
        assert (tmp_path / "out" / "Car" / (pattern % 1)).resolve() == dataset.sequences[0].images[0]


def test_another_run_leaves_the_files_of_the_first_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def track(job: Job, *, keep: Path, **_: object) -> Iterator[Tracked]:
        keep.mkdir(exist_ok=True)
        (keep / REGISTRY).write_text(job.registry(keep.resolve()))
        for name in job.names or ():
            tracked = finished(keep, name, ["1", *["9,9,9,9"] * (LENGTH - 1)])
        yield replace(tracked, threads=3)

    monkeypatch.setattr(box_run, "track_sequences", track)
    root = write_otb(tmp_path / "otb")
    whole = read_otb(root)
    found = run(whole, Job(root, None, {}, identity="weights 1"), tmp_path)
    assert [one.name for one in found.boxes] == ["Car", "Jogging-1", "Jogging-2"] and found.threads == 3
    (staged,) = (tmp_path / PARTS[0]).iterdir()
    assert staged.name == digest(whole) and facts(staged / "Car")["length"] == str(LENGTH)
    for part, identity in ((whole.choose(None, 3), "weights 1"), (whole, "weights 2")):
        with pytest.raises(EvaluationError, match="holds results of other weights, settings or sequences"):
            run(part, Job(root, None, {}, identity=identity), tmp_path)
    assert list((tmp_path / PARTS[0]).iterdir()) == [staged] and facts(staged / "Car")["length"] == str(LENGTH)
    parts = [whole, whole.choose(None, 3), whole.choose(["Car"], None)]
    assert len({digest(part) for part in parts}) == 3


def test_frames_without_truth_are_unknown_to_the_toolkit(tmp_path: Path) -> None:
    dataset = read_got10k(write_got10k(tmp_path / "got", "test", first=True), "test")
    stage(dataset, tmp_path / "out")
    lines = (tmp_path / "out" / "GOT_1" / "groundtruth.txt").read_text().split()
    assert lines == ["10.0000,5.0000,20.0000,10.0000", "0", "0", "0"]


def test_a_folder_without_links_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(box_run, "_link", refuse)
    with pytest.raises(BoxDatasetError, match=r"'Car' cannot be made .*no links here.*with symbolic links and space"):
        stage(read_otb(write_otb(tmp_path / "otb")), tmp_path / "out")


def test_results_come_back_in_the_convention_of_the_data_set(tmp_path: Path) -> None:
    (sequence,) = read_otb(write_otb(tmp_path / "otb")).choose(["Car"], None).sequences
    tracked = finished(tmp_path, "Car", ["1", "9.5,4,20,10", "0,0,5,5", "1,1,2.25,2"])
    found = read_result(sequence, tracked, 1)
    assert found.boxes.tolist() == [[11, 6, 20, 10], [10.5, 5, 20, 10], [1, 1, 5, 5], [2, 2, 2.25, 2]]
    assert found.truth.tolist() == sequence.truth.tolist() and found.seconds.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert found.size == (60, 40)
    assert read_result(sequence, tracked, 0).boxes[1].tolist() == [9.5, 4, 20, 10]


def test_a_truth_that_is_not_public_is_not_a_number(tmp_path: Path) -> None:
    root = write_got10k(tmp_path / "got", "test", names=("a",), first=True)
    (sequence,) = read_got10k(root, "test").sequences
    found = read_result(sequence, finished(tmp_path, "a", ["1", *["9,9,9,9"] * 3]), 1)
    assert found.boxes[0].tolist() == [11, 6, 20, 10] and np.isnan(found.truth[1:]).all()


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["1", "1,1,2,2"], None),
        (["1", "1,1,2,2", "0", "1,1,2,2"], None),
        (["1", *["nan,1,2,2"] * 3], None),
        (["1", *["1,1,2,2"] * 3], ["0.1", "0.1"]),
        (["1", *["m0,0,2,2,0,4"] * 3], None),
    ],
)
def test_damaged_results_are_one_sentence(tmp_path: Path, lines: list[str], seconds: list[str] | None) -> None:
    (sequence,) = read_otb(write_otb(tmp_path / "otb")).choose(["Car"], None).sequences
    with pytest.raises(EvaluationError, match=r"the result of 'Car' in .* is damaged; delete that folder and run"):
        read_result(sequence, finished(tmp_path, "Car", lines, seconds), 1)


def test_an_image_that_is_none(tmp_path: Path) -> None:
    (sequence,) = read_otb(write_otb(tmp_path / "otb")).choose(["Car"], None).sequences
    sequence.images[0].write_text("no image")
    assert cv2.imread(str(sequence.images[0])) is None
    with pytest.raises(BoxDatasetError, match=r"0001\.jpg' is damaged or not an image"):
        read_result(sequence, finished(tmp_path, "Car", ["1", *["1,1,2,2"] * 3]), 1)
