"""`dmb benchmark got10k`, `trackingnet` and `otb`: what they write, and what they say to mistakes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.box_layouts import (
    LENGTH,
    PATH,
    write_got10k,
    write_otb,
    write_trackingnet,
    write_unused_weights,
)
from tracker import __version__
from tracker.benchmarks import box_run
from tracker.benchmarks.box_datasets import BoxDataset
from tracker.benchmarks.box_run import BoxRun
from tracker.benchmarks.boxes import TrackedBoxes
from tracker.cli.benchmark import main
from tracker.cli.benchmark_boxes import main as run_benchmark
from vot_workspace.evaluation import Job
from vot_workspace.toolkit import EvaluationError

Run = Callable[..., tuple[int, str, str]]


JOBS: list[Job] = []  # of the runs


def still(dataset: BoxDataset, job: Job, *_: Any, **__: Any) -> BoxRun:
    """Answers the first box forever, without the toolkit."""
    JOBS.append(job)
    found = []
    for sequence in dataset.sequences:
        count = len(sequence.images)
        truth = np.full((count, 4), np.nan)
        truth[: len(sequence.truth)] = sequence.truth
        boxes = np.repeat(truth[:1], count, axis=0)
        found.append(TrackedBoxes(sequence.name, boxes, truth, sequence.visible, (60, 40), np.full(count, 0.5)))
    return BoxRun(found, 3)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command with a tracker that does not move; returns exit code, output and errors."""
    monkeypatch.setattr(box_run, "run", still)
    weights = write_unused_weights(tmp_path)

    def run(
        name: str, root: Path, *words: str, output: Path | None = tmp_path / "out", **environ: str
    ) -> tuple[int, str, str]:
        arguments = ["--root", str(root), *words] + ([] if output is None else ["--output", str(output)])
        code = run_benchmark(name, arguments, environ={"DMB_WEIGHTS": str(weights), "DMB_DEVICE": "cpu"} | environ)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_got10k_is_scored(run: Run, tmp_path: Path) -> None:
    code, out, err = run("got10k", write_got10k(tmp_path / "got"))
    assert code == 0, err
    # frames 1 and 3 count, moved by 1 and 3 of 20 pixels
    overlaps = [19 / 21, 17 / 23]
    assert out.splitlines()[-1] == f"AO {np.mean(overlaps):.3f} SR50 1.000 SR75 0.500"
    assert "GOT-10k val: 2 sequences, 8 frames" in out
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert document["scores"]["AO"] == pytest.approx(np.mean(overlaps)) and document["split"] == "val"
    assert document["sequences"][1]["frames"] == LENGTH and document["weights"]["checksum"]
    assert (tmp_path / "out" / "scores.csv").read_text().splitlines()[3].startswith("all,8,0.82")
    results = tmp_path / "out" / "results" / "GOT_1"
    assert (results / "GOT_1_001.txt").read_text() == "11.000,6.000,20.000,10.000\n" * LENGTH
    assert (results / "GOT_1_time.txt").read_text() == "0.50000000\n" * LENGTH
    assert not list((tmp_path / "out").glob("*.zip"))


def test_what_a_run_depends_on_and_what_its_processes_used(run: Run, tmp_path: Path) -> None:
    assert run("otb", write_otb(tmp_path / "otb"), "--workers", "2")[0] == 0
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (document["workers"], document["threads"]) == (2, 3), "of the trackers, not of this process"
    facts = (document["weights"]["checksum"], __version__, "cpu", document["precision"])
    assert JOBS[-1].identity == "weights {}, version {}, {}, {}".format(*facts)


def test_the_model_of_the_option_goes_before_that_of_the_environment(run: Run, tmp_path: Path) -> None:
    root = write_otb(tmp_path / "otb")
    assert run("otb", root, "--model", "full", DMB_MODEL="compact")[0] == 0
    assert "DMB_MODEL" not in JOBS[-1].settings, "a TraX process would refuse the weights that it is given"


def test_got10k_test_split_becomes_an_archive(run: Run, tmp_path: Path) -> None:
    root = write_got10k(tmp_path / "got", "test", first=True)
    code, out, err = run("got10k", root, "--split", "test")
    assert code == 0, err
    archive = tmp_path / "out" / "got10k.zip"
    with zipfile.ZipFile(archive) as content:
        assert content.namelist()[:2] == ["GOT_1/GOT_1_001.txt", "GOT_1/GOT_1_time.txt"]
    assert out.splitlines()[-2:] == [
        f"'{archive}' can be submitted: 2 sequences, 8 frames",
        "the ground truth of this split is not public: its server computes the scores",
    ]
    assert not (tmp_path / "out" / "scores.json").exists()
    assert run("got10k", root, "--split", "test", "--check", str(archive), output=None)[0] == 0


def test_a_part_of_the_test_split_becomes_no_archive(run: Run, tmp_path: Path) -> None:
    root = write_trackingnet(tmp_path / "net", "TEST", first=True)
    code, out, _ = run("trackingnet", root, "--frames", "3")
    assert code == 0 and not list((tmp_path / "out").glob("*.zip"))
    assert "no archive: the server wants all 2 sequences with all their frames" in out
    assert "TrackingNet TEST: 2 sequences, 6 frames" in out


def test_trackingnet_archive_and_its_check(run: Run, tmp_path: Path) -> None:
    root = write_trackingnet(tmp_path / "net", "TEST", first=True)
    assert run("trackingnet", root)[0] == 0
    archive = tmp_path / "out" / "trackingnet.zip"
    with zipfile.ZipFile(archive) as content:
        assert content.namelist() == ["-a_0.txt", "b_1.txt"]
        assert content.read("b_1.txt").decode().splitlines()[0] == "10.000,5.000,20.000,10.000"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("b_1.txt", "10 5 20 10\n" * LENGTH)
    code, out, err = run("trackingnet", root, "--check", str(archive), output=None)
    assert code == 1 and not out
    assert "error: sequence '-a_0' is missing: there is no '-a_0.txt'" in err
    assert "error: line 1 of 'b_1.txt' is '10 5 20 10', whose numbers are not separated by commas" in err


def test_only_the_first_complaints_are_printed(run: Run, tmp_path: Path) -> None:
    root = write_trackingnet(tmp_path / "net", "TEST", first=True)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as content:
        for number in range(30):
            content.writestr(f"{number}.txt", "1,2,3,4\n")
    _, _, err = run("trackingnet", root, "--check", str(tmp_path / "x.zip"), output=None)
    assert len(err.splitlines()) == 21 and err.splitlines()[-1] == "dmb benchmark trackingnet: error: and 12 more"


def test_trackingnet_and_otb_are_scored(run: Run, tmp_path: Path) -> None:
    code, out, err = run("trackingnet", write_trackingnet(tmp_path / "net"), "--split", "TRAIN_0")
    assert code == 0, err
    assert out.splitlines()[-1].startswith("Success 0.8") and "Precision 1.000 NormalizedPrecision 0.8" in out
    code, out, err = run("otb", write_otb(tmp_path / "otb"), output=tmp_path / "otb_out")
    assert code == 0, err
    assert out.splitlines()[-1].startswith("Success 0.8") and out.splitlines()[-1].endswith("Precision 1.000")
    names = sorted(path.name for path in (tmp_path / "otb_out" / "results").iterdir())
    assert names == ["Car.txt", "Jogging-1.txt", "Jogging-2.txt"]
    assert PATH[0] == (10.0, 5.0, 20.0, 10.0)  # counted from 0; OTB's files count from 1:
    assert (tmp_path / "otb_out" / "results" / "Car.txt").read_text().startswith("11.000,6.000,20.000,10.000\n")


def test_sequences_may_be_chosen(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("otb", write_otb(tmp_path / "otb"), "--sequences", "Jogging-2")
    assert code == 0 and "OTB: 1 sequences, 4 frames" in out
    code, _, err = run("otb", tmp_path / "otb", "--sequences", "Dog")
    told = "there is no sequence 'Dog'; there are 3: Car, Jogging-1, Jogging-2"
    assert code == 1 and err == f"dmb benchmark otb: error: {told}\n"


def test_mistakes_are_one_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("got10k", tmp_path / "nowhere")
    assert code == 1 and err.startswith("dmb benchmark got10k: error: '") and err.count("\n") == 1
    assert "is not a folder; name the one" in err
    code, _, err = run("otb", tmp_path, output=Path(__file__))
    assert code == 1 and "which is a file; name a folder" in err and err.count("\n") == 1
    write_otb(tmp_path / "otb")
    code, _, err = run("otb", tmp_path / "otb", "--weights", str(tmp_path / "none.safetensors"))
    assert code == 1 and "none.safetensors" in err and err.count("\n") == 1

    def fail(*_: Any, **__: Any) -> BoxRun:
        raise EvaluationError("the VOT toolkit stopped")

    monkeypatch.setattr(box_run, "run", fail)
    assert run("otb", tmp_path / "otb")[::2] == (1, "dmb benchmark otb: error: the VOT toolkit stopped\n")
    assert not (tmp_path / "out" / "scores.json").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["got10k"], "--root must be given; see dmb benchmark got10k --help"),
        (["got10k", "--root", "x"], "give --output DIR or --check FILE.zip"),
        (["otb", "--root", "x"], "give --output DIR"),
        (["otb", "--root", "x", "--check", "a.zip"], "unknown option --check; see dmb benchmark otb --help"),
        (["got10k", "--root", "x", "--check", "a.zip", "--frames", "3"], "--check takes --root and --split only"),
        (["got10k", "--root", "x", "--output", "y", "--split", "TEST"], "'TEST' is not possible; did you mean test?"),
        (["otb", "--root", "x", "--output", "y", "--frames", "1"], "--frames is 1; it must be at least 2"),
        (["otb", "--root", "x", "--output", "y", "--workers", "0"], "--workers is 0; it must be at least 1"),
    ],
)
def test_wrong_usage(arguments: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and complaint in capsys.readouterr().err


@pytest.mark.parametrize("name", ["got10k", "trackingnet", "otb"])
def test_help_tells_the_layout(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out
    assert f"dmb benchmark {name}" in text and "--root: the folder with" in text
    assert ("--check" in text) == (name != "otb")
