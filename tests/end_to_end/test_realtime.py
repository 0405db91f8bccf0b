"""The realtime experiment, from `dmb workspace realtime` to the scores and the results page, with the real tracker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import CHECKOUT, clean_environment
from tests.end_to_end.workspace import TIMEOUT, Video, read_region, straight
from tracker.checkpoints.weights import read_weights

pytestmark = pytest.mark.end_to_end

LENGTH = 9
GRACE = 3
NOWHERE = "http://127.0.0.1:9"  # the toolkit asks the network for its newest version; tests do not


class Run:
    """A workspace of the stack "realtime" with one sequence of a thousand frames a second: every answer is late."""

    def __init__(self, folder: Path, weights: Path, *, grace: int = GRACE) -> None:
        self.folder, self.log = folder / "workspace", folder / "dmb.log"
        given = folder / "given"
        Video("drifting", {"object": straight(LENGTH, (60, 60), (4, 0.5))}, "polygon").write(given / "drifting")
        (given / "list.txt").write_text("drifting\n")
        facts = given / "drifting" / "sequence"
        facts.write_text(facts.read_text().replace("fps=20", "fps=1000"))
        self.run("tracker.cli.main", "workspace", "realtime", str(self.folder), "--sequences", str(given))
        stack = self.folder / "realtime.yaml"
        text = stack.read_text().replace("low: 50", "low: 2").replace("high: 250", "high: 8")
        stack.write_text(text.replace(f"grace: {GRACE}", f"grace: {grace}"))
        settings = {"WEIGHTS": weights, "LOG": self.log, "DEVICE": "cpu", "CROP_SIZE": 64, "THREADS": 1}
        lines = ["[DMB]", "protocol = traxpython", "command = tracker.trax_server", f"paths = {CHECKOUT}"]
        lines += [f"timeout = {TIMEOUT}", *(f"env_DMB_{name} = {value}" for name, value in settings.items())]
        (self.folder / "trackers.ini").write_text("\n".join(lines).replace("%", "%%") + "\n")
        configuration = self.folder / "config.yaml"
        content = yaml.safe_load(configuration.read_text())
        content["registry"] = ["./trackers.ini"]
        configuration.write_text(yaml.safe_dump(content))

    def run(self, *words: str) -> str:
        """Run a module; returns its output, both streams."""
        environ = clean_environment(HTTPS_PROXY=NOWHERE, https_proxy=NOWHERE, VOT_RESULTS_BINARY="0", DMB_THREADS="1")
        process = subprocess.run(
            [sys.executable, "-m", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environ,
        )
        assert process.returncode == 0, process.stdout
        return process.stdout

    def evaluate(self) -> str:
        """Evaluate with two processes; returns the output."""
        return self.run("tracker.cli.main", "evaluate", "--workspace", str(self.folder), "--workers", "2", "DMB")

    def lines(self, experiment: str) -> list[str]:
        """The trajectory, a line per frame."""
        path = self.folder / "results" / "DMB" / experiment / "drifting" / "drifting_001.txt"
        return path.read_text().split()


def test_late_answers_are_repeated_and_the_scores_stand_beside_the_baselines(
    tmp_path: Path, weights_file: Path
) -> None:
    run = Run(tmp_path, weights_file)
    output = run.evaluate()
    first, found, second = output.partition("1 process; realtime is timed, hence on its own")
    assert found and "2 processes" in first and "1 of 1 done" in first and "1 of 1 done" in second

    untimed, timed = run.lines("baseline"), run.lines("realtime")
    assert len(untimed) == len(timed) == LENGTH
    assert timed[: GRACE + 1] == untimed[: GRACE + 1]  # the start and the first two late answers are forgiven
    assert all(line == timed[GRACE] for line in timed[GRACE + 1 :])  # the next one lasts for more than all other frames
    assert len(set(untimed[GRACE:])) > 1
    assert not isinstance(read_region(timed[-1]), int)
    assert f"1 initialization, {GRACE} frames" in run.log.read_text()

    run.run("vot", "analysis", "--workspace", str(run.folder), "--name", "scores", "DMB")
    printed = run.run("vot_workspace.scores", str(run.folder), "--name", "scores")
    scores = {}
    for table in printed.split(f"{run.folder} (")[1:]:
        columns, values = (line.split() for line in table.splitlines()[1:3])
        assert columns[:3] == ["tracker", "EAO", "accuracy"] and values[0] == "DMB"
        scores[table.partition(")")[0]] = [float(value) for value in values[1:]]
    assert list(scores) == ["baseline", "realtime"]
    if "random" not in read_weights(weights_file)[1].get("stage", ""):
        assert scores["realtime"][0] < scores["baseline"][0]  # the answer stands still while the target goes on

    table = run.run("tracker.cli.main", "results", str(run.folder))
    rows = {line.split(" | ")[0]: line for line in table.splitlines()[2:]}
    for name, (score, *_) in scores.items():
        row = rows[f"| {run.folder.name}, {name}"]
        assert "| DMB | " in row and f"EAO {score:.3f}" in row


def test_answers_that_are_forgiven_are_those_of_the_baseline(tmp_path: Path, weights_file: Path) -> None:
    run = Run(tmp_path, weights_file, grace=LENGTH)
    run.evaluate()
    assert run.lines("realtime") == run.lines("baseline")
