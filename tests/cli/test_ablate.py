"""`dmb ablate` measures each row once, goes on where it stopped, and says what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.end_to_end.workspace import Video, straight
from tracker.cli.ablate import main
from tracker.network import DMBNet
from tracker.weights import save_weights
from vot_workspace import evaluation
from vot_workspace.scores import Table
from vot_workspace.toolkit import EvaluationError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(DMBNet(), path)
    return path


class Toolkit:
    """In place of the evaluation: a score for every set of settings, and a record of the calls."""

    def __init__(self) -> None:
        self.jobs: list[evaluation.Job] = []
        self.kept: list[Path] = []
        self.fails_at = -1

    def evaluate(self, job: evaluation.Job, *, keep: Path, **_: Any) -> evaluation.Evaluation:
        if len(self.jobs) == self.fails_at:
            raise EvaluationError("the VOT toolkit stopped")
        self.jobs.append(job)
        self.kept.append(keep)
        scores = {"EAO": 0.5 - 0.01 * len(self.jobs), "accuracy": 0.6, "failures per sequence": 0.1}
        return evaluation.Evaluation(Table("baseline", {"DMB": scores}), {}, {}, None)


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch) -> Toolkit:
    double = Toolkit()
    monkeypatch.setattr(evaluation, "evaluate_sequences", double.evaluate)
    return double


@pytest.fixture
def call(tmp_path: Path, weights: Path) -> list[str]:
    for name in ("one", "two"):
        Video(name, {"object": straight(5, (40, 60), (1, 0))}, "polygon").write(tmp_path / "vot" / name)
    words = ["--vot", str(tmp_path / "vot"), "--weights", str(weights), "--output", str(tmp_path / "out")]
    return [*words, "--rows", "full", "gate_off", "concat"]


def test_rows_are_measured_once_and_written(
    toolkit: Toolkit, call: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call, environ={"DMB_THREADS": "1"}) == 0
    assert [dict(job.settings) for job in toolkit.jobs] == [
        {"DMB_THREADS": "1"}, {"DMB_THREADS": "1", "DMB_GATE": "off"}
    ]  # fmt: skip
    assert "--concat-weights" in capsys.readouterr().out
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert "| everything (interval 5) | 0.490 |" in text and "-0.010" in text
    assert "Not measured: spatial map concatenated." in text and "one, two" in text and "DMB_THREADS=1" in text
    assert (tmp_path / "out" / "ablation.csv").is_file()
    assert main(call, environ={"DMB_THREADS": "1"}) == 0
    assert len(toolkit.jobs) == 2, "nothing is measured twice"
    assert main(call, environ={"DMB_THREADS": "2"}) == 0
    assert len(toolkit.jobs) == 4 and len(set(toolkit.kept)) == 4, "other settings are another study"


def test_an_interrupted_study_keeps_what_it_has(
    toolkit: Toolkit, call: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toolkit.fails_at = 1
    assert main(call, environ={}) == 1
    assert capsys.readouterr().err == "error: the VOT toolkit stopped\n"
    assert "0.490" in (tmp_path / "out" / "ablation.md").read_text()
    toolkit.fails_at = -1
    assert main(call, environ={}) == 0
    assert len(toolkit.jobs) == 2


def test_rows_with_weights_of_their_own_use_them(toolkit: Toolkit, call: list[str], tmp_path: Path) -> None:
    other = tmp_path / "concat.safetensors"
    save_weights(DMBNet(position="concat"), other)
    assert main([*call, "--concat-weights", str(other)], environ={}) == 0
    assert toolkit.jobs[2].weights == other and toolkit.jobs[2].settings == {"DMB_POSITION": "concat"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rows", "nothing"], "no row 'nothing'"),
        (["--workers", "0"], "--workers is 0"),
        (["--vot", "/nowhere"], "'/nowhere' does not exist"),
        (["--vot-sequences", "three"], "no sequence 'three'"),
        (["--weights", "/nowhere"], "weights file '/nowhere'"),
    ],
)
def test_mistakes_get_a_sentence(
    toolkit: Toolkit, call: list[str], words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*call, *words], environ={}) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error and error.count("\n") == 1
    assert not toolkit.jobs


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "filter_off" in capsys.readouterr().out
