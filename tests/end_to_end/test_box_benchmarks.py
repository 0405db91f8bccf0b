"""`dmb benchmark got10k`, `trackingnet` and `otb` drive the official toolkit with a tracker that does not move.

So what must come out is known: the first box in every frame, in the data set's own convention.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.box_layouts import LENGTH, write_got10k, write_otb, write_trackingnet, write_unused_weights
from tests.conftest import CHECKOUT, clean_environment
from tracker.cli.benchmark_boxes import main
from vot_workspace.evaluation import RESULTS, Job

pytestmark = pytest.mark.end_to_end

NOWHERE = "http://127.0.0.1:9"  # the toolkit asks the network for its newest version; tests do not


def run(name: str, root: Path, output: Path, *words: str, double: str = "still") -> int:
    """Run a command with the double as TraX process."""
    weights = write_unused_weights(root)
    environ = clean_environment(HTTPS_PROXY=NOWHERE, https_proxy=NOWHERE, DMB_DEVICE="cpu", DMB_ANSWER="polygon")
    process = Job(root, None, {"DOUBLE": double}, command="tests.doubles", packages=CHECKOUT)
    arguments = ["--root", str(root), "--output", str(output), "--weights", str(weights), *words]
    return main(name, arguments, environ=environ, process=process)


def test_otb_and_its_resumption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, output = write_otb(tmp_path / "otb"), tmp_path / "out"
    assert run("otb", root, output) == 0, capsys.readouterr().err
    out = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("; 3 of 3 done") for line in out) == 1 and out[-1].endswith("Precision 1.000")
    for name in ("Car", "Jogging-1", "Jogging-2"):
        assert (output / "results" / f"{name}.txt").read_text() == "11.000,6.000,20.000,10.000\n" * LENGTH
    scores = json.loads((output / "scores.json").read_text())
    above = [np.mean(overlap > np.linspace(0, 1, 21)) for overlap in (1, 19 / 21, 18 / 22, 17 / 23)]
    assert scores["scores"]["Success"] == pytest.approx(np.mean(above)) and scores["fps"] > 0

    (output / "workspace" / RESULTS / "Car" / "Car_001.txt").unlink()  # as if it had been interrupted
    (output / "scores.json").unlink()
    assert run("otb", root, output) == 0
    out = capsys.readouterr().out
    assert "2 of 3 sequences are finished already" in out and "DMB Car: " in out and "3 of 3 done" in out
    assert json.loads((output / "scores.json").read_text())["scores"] == scores["scores"]

    assert run("otb", root, output, "--frames", "3") == 1
    assert "holds results of other weights, settings or sequences, or of another version" in capsys.readouterr().err


def test_trackingnet_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_trackingnet(tmp_path / "net", "TEST", first=True)
    assert run("trackingnet", root, tmp_path / "out") == 0, capsys.readouterr().err
    assert "trackingnet.zip' can be submitted: 2 sequences, 8 frames" in capsys.readouterr().out
    assert (tmp_path / "out" / "results" / "-a_0.txt").read_text() == "10.000,5.000,20.000,10.000\n" * LENGTH


def test_got10k_of_a_tracker_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_got10k(tmp_path / "got", names=("GOT_1",))
    assert run("got10k", root, tmp_path / "out", double="broken") == 1
    error = capsys.readouterr().err
    assert "error: the VOT toolkit stopped before it had finished GOT_1: " in error
    assert "KeyError: 'no such thing'" in error and error.count("\n") == 1
    assert not (tmp_path / "out" / "scores.json").exists()
    assert run("got10k", root, tmp_path / "out2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"AO {np.mean([19 / 21, 17 / 23]):.3f} SR50 1.000 SR75 0.500"


def test_the_toolkit_still_does_not_register_these_loaders() -> None:
    """Why sequences are offered in its default format; once this fails, look at its loaders again."""
    code = "import vot.dataset as d; print(sorted(d.sequence_reader.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['default', 'legacy']"
