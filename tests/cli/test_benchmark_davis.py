"""`dmb benchmark davis` on generated sequences: with a tracker that costs nothing, and once with the real one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.data.davis_folders import ColorFollower, Seen, load_followers, square, two_squares, write_davis
from tracker.benchmarks.davis_run import Create
from tracker.cli import benchmark_davis
from tracker.cluster.tasks import Place
from tracker.data.davis_masks import read_ids
from tracker.settings import Settings, from_environment

FRAMES = 5
CHECKSUM = "c0ffee" + 58 * "0"


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    frames = [two_squares(index) for index in range(FRAMES)]
    return write_davis(tmp_path / "DAVIS", {"one": frames, "two": frames})


class Command:
    """The command with a weights file that is not looked into; counts loads and frames."""

    def __init__(self, davis: Path, output: Path, weights: Path) -> None:
        self.davis, self.output, self.weights = davis, output, weights
        self.loads = 0
        self.follower: type[ColorFollower] = ColorFollower

    def load(self, settings: Settings) -> Create:
        self.loads += 1
        return self.follower

    def __call__(self, *arguments: str, **environ: str) -> int:
        words = ["--root", str(self.davis), "--year", "2017", "--output", str(self.output), *arguments]
        return benchmark_davis.main(words, load=self.load, environ={"DMB_WEIGHTS": str(self.weights)} | environ)


@pytest.fixture
def command(davis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    weights = tmp_path / "best.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr("tracker.checkpoints.weights.read_weights", lambda path: ({}, {"checksum": CHECKSUM}))
    return Command(davis, tmp_path / "out", weights)


def test_masks_scores_and_conditions(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command() == 0
    lines = capsys.readouterr().out.splitlines()
    document = json.loads((command.output / "scores.json").read_text())
    assert lines[-1] == f"J&F {document['all']['J&F-Mean']:.3f}" and 0.8 < document["all"]["J&F-Mean"] <= 1.0
    assert f"best.safetensors {CHECKSUM[:12]}" in lines[0]
    assert [(row["sequence"], row["object"]) for row in document["objects"]] == [
        ("one", 1), ("one", 2), ("two", 1), ("two", 2),
    ]  # fmt: skip
    assert document["weights"]["checksum"] == CHECKSUM and document["init"] == "mask"
    assert (command.output / "per-sequence_results.csv").is_file()
    for name in ("one", "two"):
        assert sorted(path.name for path in (command.output / name).iterdir()) == [
            f"{index:05d}.png" for index in range(FRAMES)
        ]
    assert set(np.unique(read_ids(command.output / "one" / "00003.png", (40, 60)))) == {0, 1, 2}


def test_what_is_there_is_kept_and_what_is_half_there_is_redone(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 0
    untouched = (command.output / "one" / "00002.png").stat().st_mtime_ns
    whole = (command.output / "two" / "00002.png").read_bytes()
    (command.output / "two" / "00004.png").unlink()
    (command.output / "two" / "00002.png").write_bytes(b"half")
    first = capsys.readouterr().out.splitlines()[-1]
    assert command() == 0
    text = capsys.readouterr().out
    assert "1 of 2 sequences are there already" in text and "two: 5 masks" in text and "one: 5 masks" not in text
    assert text.splitlines()[-1] == first
    assert (command.output / "one" / "00002.png").stat().st_mtime_ns == untouched
    assert (command.output / "two" / "00002.png").read_bytes() == whole
    assert command() == 0 and command.loads == 2, "with all masks there, nothing is loaded"


def test_other_conditions_are_refused(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("--sequences", "one") == 0
    assert command("--sequences", "one", "two", DMB_THREADS="1") == 0, "more sequences, other threads: the same run"
    assert command("--init", "box") == 1
    assert "masks made with init mask, and this run has box" in capsys.readouterr().err
    assert command(DMB_GATE="relative") == 1
    assert 'made with settings {}, and this run has {"gate": "relative"}' in capsys.readouterr().err
    monkeypatch.setattr("tracker.checkpoints.weights.read_weights", lambda path: ({}, {"checksum": 64 * "a"}))
    assert command() == 1
    error = capsys.readouterr().err
    assert "masks made with weights c0ffee" in error and error.count("\n") == 1


class Interrupted(ColorFollower):
    """Is interrupted in the last frame of the second sequence."""

    frames = 0

    def track(self, image: np.ndarray) -> Seen:
        type(self).frames += 1
        if self.frames == 2 * 2 * FRAMES - 1:
            raise KeyboardInterrupt
        return super().track(image)


def test_an_interruption_keeps_finished_sequences(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.follower = Interrupted
    assert command() == 130
    captured = capsys.readouterr()
    assert "interrupted; the same command continues" in captured.err and "Traceback" not in captured.err
    assert "one: 5 masks" in captured.out and not (command.output / "scores.json").exists()
    command.follower = ColorFollower
    assert command() == 0
    assert "1 of 2 sequences are there already" in capsys.readouterr().out


def test_a_test_set_without_labels(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (command.davis / "Annotations").rglob("0000[1-9].png"):
        path.unlink()
    assert command() == 1
    error = capsys.readouterr().err
    assert "one/00001.png' is missing; restore it, or use --no-score" in error and command.loads == 0
    assert command("--no-score") == 0
    assert "not scored" in capsys.readouterr().out.splitlines()[-1]
    assert (command.output / "two" / f"{FRAMES - 1:05d}.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "environ", "sentence"),
    [
        (["--sequences", "three"], {}, "there is no sequence 'three'"),
        (["--weights", "none.safetensors"], {}, "none.safetensors"),
        ([], {"DMB_GATE": "open"}, "DMB_GATE is 'open'"),
    ],
)
def test_wrong_input_is_one_sentence_and_1(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], environ: dict[str, str], sentence: str
) -> None:
    assert command(*arguments, **environ) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb benchmark davis: error: ") and sentence in error and error.count("\n") == 1


def test_workers_and_usage(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command("--workers", "0")
    assert stop.value.code == 2 and "--workers is 0; it must be at least 1" in capsys.readouterr().err


def test_processes_use_the_chosen_threads_and_tell_their_errors(
    davis: Path, tmp_path: Path, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (davis / "JPEGImages" / "480p" / "two" / "00003.jpg").write_bytes(b"image")
    words = ["--root", str(davis), "--year", "2017", "--output", str(tmp_path / "out"), "--workers", "2"]
    environ = {"DMB_WEIGHTS": str(weights_file), "DMB_THREADS": "4"}
    assert benchmark_davis.main(words, load=load_followers, environ=environ) == 1
    captured = capsys.readouterr()
    assert "threads 4" in captured.out, "the user's choice is for each process, as in `dmb evaluate`"
    assert "two/00003.jpg' is damaged" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(("environ", "threads"), [({}, 3), ({"OMP_NUM_THREADS": "2"}, None), ({"DMB_THREADS": "2"}, 2)])
def test_processes_share_the_cores_unless_threads_are_chosen(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], threads: int | None
) -> None:
    monkeypatch.setattr("tracker.cluster.tasks.cores", lambda: 6)
    settings = from_environment(environ)
    assert benchmark_davis._shared(settings, Place(2), environ).threads == threads
    assert benchmark_davis._shared(settings, Place(), environ) == settings


@pytest.mark.integration
def test_the_real_tracker_in_two_processes(
    tmp_path: Path, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [two_squares(index) for index in range(3)]
    davis = write_davis(tmp_path / "DAVIS", {"one": frames, "two": [square(10 + index) for index in range(3)]})
    environ = {"DMB_WEIGHTS": str(weights_file), "DMB_CROP_SIZE": "64", "DMB_PRECISION": "float32"}
    answers, scores = [], []
    for workers in ("1", "2"):
        output = tmp_path / workers
        words = ["--root", str(davis), "--year", "2017", "--output", str(output), "--workers", workers]
        assert benchmark_davis.main(words, environ=environ | {"DMB_THREADS": "1"}) == 0
        scores.append(capsys.readouterr().out.splitlines()[-1])
        answers.append([path.read_bytes() for path in sorted(output.rglob("*.png"))])
    assert len(answers[0]) == 6 and answers[0] == answers[1]
    assert scores[0] == scores[1] and re.fullmatch(r"J&F [01]\.\d{3}", scores[0])
