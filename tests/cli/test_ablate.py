"""`dmb ablate` measures each row once, continues where it stopped, and says what it lacks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.end_to_end.workspace import Video, straight
from tracker.benchmarks.ablation import ROWS
from tracker.checkpoints.weights import save_weights
from tracker.cli.ablate import main
from tracker.network import ARCHITECTURES, DMBNet
from tracker.settings import Settings
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
        failures, lengths = {"one": 1, "two": 0}, {"one": 20, "two": 30}
        return evaluation.Evaluation(Table("baseline", {"DMB": scores}), failures, lengths, None)


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
    return [*words, "--rows", "full", "gate_off"]


def test_rows_are_measured_once_and_written(
    toolkit: Toolkit, call: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"DMB_THREADS": "1", "DMB_LOG": "/somewhere/log", "DMB_GAET": "off"}
    assert main(call, environ=environ) == 0
    assert [dict(job.settings) for job in toolkit.jobs] == [
        {"DMB_THREADS": "1"}, {"DMB_THREADS": "1", "DMB_GATE": "off"}
    ]  # fmt: skip
    printed = capsys.readouterr()
    assert "did you mean DMB_GATE" in printed.err
    assert printed.out.splitlines()[-1].endswith("ablation.md, ablation.csv"), "one point of the curve is not a plot"
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert "| everything (interval 5) | 0.490 | 0.600 | 0.100 | 2.000 |" in text, "one failure in 50 frames"
    assert "-0.010" in text
    assert "spatial map concatenated" in text.rpartition("Not measured:")[2]
    assert "one, two" in text and "DMB_THREADS=1" in text and "somewhere" not in text
    assert main(call, environ=environ) == 0
    assert len(toolkit.jobs) == 2, "nothing is measured twice"
    assert main([*call[:-2], "interval_10"], environ=environ) == 0
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert "| 0.480 |" in text and "| 0.470 |" in text, "rows that were measured before stay in the table"
    assert (tmp_path / "out" / "ablation.png").is_file()
    toolkit.jobs.pop()
    toolkit.kept.pop()
    capsys.readouterr()
    assert main(call, environ={"DMB_THREADS": "2"}) == 0
    told = capsys.readouterr().out
    assert "row 1 of 2, full: everything (interval 5); measured again: another set of settings was used" in told
    assert len(toolkit.jobs) == 4 and len(set(toolkit.kept)) == 4, "other settings are another study"


def test_an_interrupted_study_keeps_what_it_has(
    toolkit: Toolkit, call: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toolkit.fails_at = 1
    assert main(call, environ={}) == 1
    assert capsys.readouterr().err == "dmb ablate: error: the VOT toolkit stopped\n"
    assert "0.490" in (tmp_path / "out" / "ablation.md").read_text()
    toolkit.fails_at = -1
    assert main(call, environ={}) == 0
    assert len(toolkit.jobs) == 2


def test_another_stack_is_another_study(toolkit: Toolkit, call: list[str], tmp_path: Path) -> None:
    assert main(call, environ={}) == 0
    assert main([*call, "--stack", "demo_vot2018"], environ={}) == 0
    assert [job.stack for job in toolkit.jobs] == ["dev.yaml"] * 2 + ["demo_vot2018.yaml"] * 2
    assert len(set(toolkit.kept)) == 4
    assert "reset-based, demo_vot2018.yaml" in (tmp_path / "out" / "ablation.md").read_text()


def test_rows_with_weights_of_their_own_use_them(toolkit: Toolkit, call: list[str], tmp_path: Path) -> None:
    other = tmp_path / "concat.safetensors"
    save_weights(DMBNet(position="concat"), other)
    assert main([*call, "concat", "--concat-weights", str(other)], environ={}) == 0
    assert toolkit.jobs[2].weights is not None and toolkit.jobs[2].weights.name == other.name
    assert toolkit.jobs[2].settings == {"DMB_POSITION": "concat"}


def test_the_model_can_be_chosen(
    toolkit: Toolkit, call: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("tracker.checkpoints.weights.weights_directories", lambda: (tmp_path, tmp_path))
    save_weights(DMBNet(architecture=ARCHITECTURES["compact"]), tmp_path / "dmb_compact.safetensors")
    assert main([*call, "--model", "compact"], environ={}) == 1  # the file that is named holds the other model
    assert "holds a full network, and the compact model is asked for" in capsys.readouterr().err
    del call[2:4]
    assert main([*call, "--model", "compact"], environ={"DMB_MODEL": "full"}) == 0
    assert [dict(job.settings) for job in toolkit.jobs] == [
        {"DMB_MODEL": "compact"}, {"DMB_MODEL": "compact", "DMB_GATE": "off"}
    ]  # fmt: skip
    assert all(job.weights is not None and job.weights.name == "dmb_compact.safetensors" for job in toolkit.jobs)


@pytest.mark.integration
def test_all_rows_but_those_without_their_weights_are_measured_by_default(
    toolkit: Toolkit, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call[:-3], environ={}) == 0
    assert len(toolkit.jobs) == len(ROWS) - 2
    printed = capsys.readouterr().out
    assert "give --concat-weights FILE" in printed and "give --response-weights FILE" in printed


def test_masks_are_tracked_from_the_box_and_measured_apart(
    toolkit: Toolkit, call: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "masks" / "disc"
    folder.mkdir(parents=True)
    for index in range(3):
        mask = np.zeros((60, 80), np.uint8)
        cv2.circle(mask, (30 + 2 * index, 30), 12, 255, -1)
        cv2.imwrite(str(folder / f"{index:05d}.png"), mask)
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.repeat(mask[..., None], 3, axis=2))
    loaded: list[Settings] = []

    class Still:
        """Answers the box forever."""

        def initialize(self, image: np.ndarray, region: tuple[float, float, float, float]) -> Any:
            x, y, width, height = (round(value) for value in region)
            mask = np.zeros(image.shape[:2], np.bool_)
            mask[y : y + height, x : x + width] = True
            return SimpleNamespace(mask=mask)

        def track(self, image: np.ndarray) -> Any:
            return self.initialize(image, (18, 18, 25, 25))

    def load(settings: Settings) -> Any:
        loaded.append(settings)
        return Still()

    assert main(call, environ={}) == 0
    masks = ["--masks", str(folder.parent)]
    assert main([*call, *masks], environ={}, load=load) == 0
    assert len(toolkit.jobs) == 2, "what the toolkit has measured is not measured again for the masks"
    assert [settings.gate for settings in loaded] == [None, "off"]
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if "row 1 of 2, full: EAO" in line and "J&F" in line)
    assert 0.3 < float(line.rpartition(" ")[2]) < 0.9
    assert "from the first box, masks: disc" in (tmp_path / "out" / "ablation.md").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rows", "nothing"], "no row 'nothing'"),
        (["--vot", "/nowhere"], "'/nowhere' does not exist"),
        (["--vot-sequences", "three"], "no sequence 'three'"),
        (["--weights", "/nowhere"], "weights file '/nowhere'"),
        (["--rows", "response"], "needs weights trained so; give --response-weights"),
        (["--concat-weights", "WEIGHTS"], 'was not trained with "concat"'),
    ],
)
def test_mistakes_get_a_sentence(
    toolkit: Toolkit, call: list[str], words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [call[3] if word == "WEIGHTS" else word for word in words]
    assert main([*call, *words], environ={}) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb ablate: error: ") and sentence in error and error.count("\n") == 1
    assert not toolkit.jobs


def test_wrong_usage_ends_with_2(toolkit: Toolkit, call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*call, "--workers", "0"], environ={})
    assert stop.value.code == 2 and "--workers is 0; it must be at least 1" in capsys.readouterr().err
    assert not toolkit.jobs


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "filter_off" in capsys.readouterr().out
