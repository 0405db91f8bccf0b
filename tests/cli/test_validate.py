"""`dmb validate` with a tracker and an evaluation that cost nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import vot_workspace.evaluation
from tests.doubles import StillTracker
from tracker import __version__
from tracker.cli import validate
from tracker.cluster.tasks import Place
from vot_workspace.evaluation import Evaluation, EvaluationError, Job
from vot_workspace.scores import Table

SHAPE = (40, 60)
CHECKSUM = "c0ffee" + 58 * "0"


def square(left: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:30, left : left + 20] = 255
    return mask


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Two sequences of three frames; a still answer has an overlap of 1/3, then 0."""
    for name in ("one", "two"):
        folder = tmp_path / "masks" / name
        folder.mkdir(parents=True)
        for index, left in enumerate((0, 10, 40)):
            cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.full((*SHAPE, 3), 90, np.uint8))
            cv2.imwrite(str(folder / f"{index:05d}.png"), square(left))
    return tmp_path / "masks"


@pytest.fixture
def vot(tmp_path: Path) -> Path:
    """Two sequences as far as their names go."""
    for name in ("ball", "car"):
        (tmp_path / "vot" / "sequences" / name).mkdir(parents=True)
        (tmp_path / "vot" / "sequences" / name / "groundtruth.txt").write_text("0,0,9,9\n")
    return tmp_path / "vot"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command with a weights file that is not looked into."""
    weights = tmp_path / "best.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr("tracker.checkpoints.weights.read_weights", lambda path: ({}, {"checksum": CHECKSUM}))

    def run(*arguments: object, **environ: str) -> int:
        words = [str(argument) for argument in arguments]
        environment = {"DMB_WEIGHTS": str(weights), "DMB_DEVICE": "cpu", "DMB_THREADS": "1"} | environ
        return validate.main(words, load=lambda settings: StillTracker(), environ=environment)  # type: ignore[arg-type,return-value]

    return run


def test_masks_are_scored_from_both_initializations(
    masks: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scores.json"
    assert command("--masks", masks, "--output", output, DMB_PRECISION="float32", DMB_GATE="relative") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"best.safetensors {CHECKSUM[:12]}, cpu, float32, threads 1"
    assert [line.split()[:4] for line in lines[1:5]] == [
        [name, init, "J", "0.167"] for name in ("one", "two") for init in ("mask", "box")
    ]
    assert all("J of frames 1-10 0.167" in line and line.endswith(" fps") for line in lines[1:5])
    assert lines[5].startswith("mean of 2") and "J&F" in lines[5]
    assert lines[-1].endswith("Box2Seg J 1.000  filled box J 1.000  difference +0.000")

    document = json.loads(output.read_text())
    assert document["weights"] == {"name": "best.safetensors", "checksum": CHECKSUM}
    assert document["precision"] == "float32" and document["threads"] == 1
    assert document["settings"] == {"device": "cpu", "precision": "float32", "threads": 1, "gate": "relative"}
    assert {"date", "torch", "processor"} <= set(document) and "vot" not in document
    rows = document["masks"]["sequences"]
    assert [(row["sequence"], row["init"]) for row in rows[1:3]] == [("two", "mask"), ("one", "box")]
    assert [row["frames"] for row in rows] == [3, 3, 3, 3]
    assert rows[0]["J"] == pytest.approx(1 / 6)
    means = document["masks"]["means"]["box"]
    assert means["J&F"] == pytest.approx((means["J"] + means["F"]) / 2)
    assert (means["box2seg_J"], means["filled_box_J"], means["box2seg_gain"]) == (1, 1, 0)
    assert str(tmp_path) not in output.read_text()  # no paths of this machine
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["best.safetensors", "scores.json"]


def test_sequences_initialization_and_frames_can_be_chosen(
    masks: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--masks", masks, "--sequences", "two", "--init", "mask", "--frames", "2") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:4] for line in lines] == [["two", "mask", "J", "0.333"], ["mean", "of", "1", "mask"]]


def test_the_evaluation_gets_weights_and_settings_and_its_scores_are_printed(
    vot: Path,
    tmp_path: Path,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    jobs: list[Job] = []

    def evaluate(job: Job, **options: object) -> Evaluation:
        assert options["place"] == Place(2) and options["keep"] is None
        assert job.weights is not None and job.weights.read_bytes() == b"weights"
        jobs.append(job)
        scores = {"EAO": math.nan, "accuracy": 0.5, "failures per sequence": 1.0}
        return Evaluation(Table("baseline", {"DMB": scores}), {"car": 2}, {"car": 30}, 3)

    monkeypatch.setattr(vot_workspace.evaluation, "evaluate_sequences", evaluate)
    output = tmp_path / "scores.json"
    chosen = ("--vot", vot, "--vot-sequences", "car", "--workers", "2")
    assert command(*chosen, "--output", output, DMB_GATE="relative", DMB_PRECISION="float32") == 0
    printed = capsys.readouterr().out
    assert "failures: car 2" in printed and "too short for the bounds in dev.yaml" in printed
    assert jobs[0].names == ["car"]
    assert jobs[0].identity == f"weights {CHECKSUM}, version {__version__}, cpu, float32"
    assert jobs[0].settings == {
        "DMB_DEVICE": "cpu", "DMB_THREADS": "1", "DMB_GATE": "relative", "DMB_PRECISION": "float32",
    }  # fmt: skip
    found = json.loads(output.read_text())["vot"]
    assert found["scores"] == {"EAO": None, "accuracy": 0.5, "failures per sequence": 1.0}
    assert found["sequences"] == [{"sequence": "car", "frames": 30, "failures": 2}]
    assert (found["workers"], found["threads_per_worker"]) == (2, 3)


def test_the_model_of_the_option_goes_before_that_of_the_environment(
    vot: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def evaluate(job: Job, **options: object) -> Evaluation:
        jobs.append(job)
        return Evaluation(Table("baseline", {"DMB": {"EAO": 0.5}}), {}, {"car": 30}, None)

    monkeypatch.setattr(vot_workspace.evaluation, "evaluate_sequences", evaluate)
    assert command("--vot", vot, "--model", "compact", DMB_MODEL="full") == 0
    assert "DMB_MODEL" not in jobs[0].settings, "a TraX process would refuse the weights that it is given"


def test_a_failed_evaluation_is_one_sentence_and_the_rest_is_written(
    masks: Path,
    vot: Path,
    tmp_path: Path,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def evaluate(job: Job, **options: object) -> Evaluation:
        raise EvaluationError("the VOT toolkit stopped")

    monkeypatch.setattr(vot_workspace.evaluation, "evaluate_sequences", evaluate)
    output = tmp_path / "scores.json"
    assert command("--masks", masks, "--vot", vot, "--output", output) == 1
    assert capsys.readouterr().err == "dmb validate: error: the VOT toolkit stopped\n"
    assert "masks" in json.loads(output.read_text())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--masks", "nowhere"], "'nowhere' does not exist; name a folder of sequences or a tar file"),
        (["--masks", "{masks}", "--sequences", "three"], "no sequence 'three' in '{masks}'; it holds: one, two"),
        (["--masks", "{masks}", "--weights", "none.safetensors"], "none.safetensors' (named by the weights option"),
        (["--masks", "{masks}", "--output", "nowhere/scores.json"], "which is a folder or in none"),
        (["--vot", "nowhere"], "'nowhere' does not exist; name a folder of VOT sequences or a tar file"),
        (["--vot", "{vot}", "--vot-sequences", "bus"], "no sequence 'bus' in '{vot}'; it holds: ball, car"),
    ],
)
def test_wrong_input_is_one_sentence(
    arguments: list[str],
    sentence: str,
    masks: Path,
    vot: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(*(argument.format(masks=masks, vot=vot) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb validate: error: ") and error.count("\n") == 1
    assert sentence.format(masks=masks, vot=vot) in error


def test_an_empty_first_mask_and_a_bad_setting_are_one_sentence(
    masks: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--masks", masks, DMB_GATE="open") == 1
    assert "DMB_GATE is 'open'" in capsys.readouterr().err
    cv2.imwrite(str(masks / "one" / "00000.png"), np.zeros(SHAPE, np.uint8))
    assert command("--masks", masks, DMB_GAET="off") == 1
    error = capsys.readouterr().err
    assert "one' is empty; there is nothing to track" in error and "did you mean DMB_GATE?" in error


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give --masks, --vot or --tracking"),
        (["--masks", "a", "--init", "none"], "--init: 'none' is not possible; use one of: mask, box, both"),
        (["--vot", "a", "--frames", "5"], "--frames has no effect without --masks"),
        (["--masks", "a", "--keep", "b"], "--keep has no effect without --vot"),
        (["--masks", "a", "--frames", "1"], "--frames is 1; it must be at least 2"),
        (["--vot", "a", "--workers", "0"], "--workers is 0; it must be at least 1"),
        (["--masks", "a", "--cluster", "b"], "--cluster has no effect without --vot or --tracking"),
        (["--vot", "a", "--workers", "2", "--cluster", "b"], "--workers has no effect with --cluster"),
        (["--vot", "a", "--send"], "--send has no effect without --cluster"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], complaint: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command(*arguments)
    assert stop.value.code == 2 and complaint in capsys.readouterr().err


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\nfrom tracker.cli.main import main\ntry:\n    main(['validate', '--help'])\n"
        "finally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--vot-sequences" in done.stdout, done.stderr


def test_sigterm_unwinds_the_stack(masks: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StillTracker, "track", lambda self, image: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        command("--masks", masks)
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_tracking_is_scored_and_compared_with_a_saved_run(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tracking"
    for name, step in (("slow", 0), ("fast", 9)):
        (folder / name / "color").mkdir(parents=True)
        for number in range(12):
            cv2.imwrite(str(folder / name / "color" / f"{number + 1:08d}.jpg"), np.full((*SHAPE, 3), 90, np.uint8))
        (folder / name / "groundtruth.txt").write_text("".join(f"{n * step % 40},5,12,12\n" for n in range(12)))
    runs, document = tmp_path / "runs.json", tmp_path / "scores.json"
    fast = ("--tracking", str(folder), "--strides", "1", "2")
    assert command(*fast, "--runs", str(runs), "--output", str(document)) == 0
    said = capsys.readouterr().out
    assert "failures: fast" in said and "slow /2 from 0" in said and "scores EAO" in said
    found = json.loads(document.read_text())["tracking"]
    assert found["failures"]["slow"] == 0 < found["failures"]["fast"]
    assert found["scores"]["accuracy"]["low"] <= found["scores"]["accuracy"]["value"]
    assert command(*fast, "--against", str(runs)) == 0
    said = capsys.readouterr().out
    assert "difference failures per 1000 frames   0.000 [0.000, 0.000]\n" in said
    assert command("--tracking", str(folder), "--strides", "4", "--against", str(runs)) == 1
    assert "lacks sequence" in capsys.readouterr().err
