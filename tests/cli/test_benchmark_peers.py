"""`dmb benchmark peers`: what it refuses, and the whole of it on a workspace of two small sequences."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import pytest

from tests.conftest import CHECKOUT, clean_environment
from tests.end_to_end.workspace import Video, straight
from tracker.cli.main import main
from vot_workspace.configuration import write_workspace

LENGTH = 16


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "peers", "--workspace", str(tmp_path)]) == 1
    assert "is not a workspace" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["benchmark", "peers", "--workspace", str(tmp_path), "--workers", "0"])
    assert "--workers is 0; it must be at least 1" in capsys.readouterr().err


@pytest.mark.end_to_end
def test_trackers_that_run_are_compared_and_the_others_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # the toolkit asks the network for its newest version
    workspace = tmp_path / "workspace"
    for name in ("one", "two"):
        Video(name, {"object": straight(LENGTH, (60, 60), (2, 0.5))}).write(tmp_path / name)
    stack = (CHECKOUT / "vot_workspace/stacks/demo_vot2018.yaml").read_text()
    paths = [str(tmp_path / name) for name in ("one", "two")]
    write_workspace(workspace, stack="demo_vot2018.yaml", sequences=paths)
    (workspace / "demo_vot2018.yaml").write_text(stack.replace("15", "5").replace("40", "12"))
    entry = ["protocol = traxpython", "command = vot_workspace.opencv_baseline", f"paths = {CHECKOUT}", "timeout = 300"]
    lines = ["[mine]", *entry, "env_OPENCV_TRACKER = MIL"]  # as a tracker of the user's own
    (workspace / "trackers.ini").write_text("\n".join(lines) + "\n")

    arguments = ["benchmark", "peers", "--workspace", str(workspace)]
    assert main([*arguments, "mine", "NANO", "MIL"]) == 1
    output, errors = capsys.readouterr()
    assert "NANO is left out: one: " in errors and "NANO needs a network" in errors and "DMB_PEERS" in errors
    assert errors.count("is left out") == 1

    found = json.loads((workspace / "peers" / "peers.json").read_text())
    rows = {row["tracker"]: row for row in found["experiments"]["baseline"]}
    assert rows.keys() == {"mine", "MIL"}
    assert rows["mine"]["scores"] == rows["MIL"]["scores"] and rows["MIL"]["scores"]["EAO"] > 0
    assert rows["MIL"]["failures"] == 0 and rows["MIL"]["milliseconds"] > 0
    assert "| MIL | " in output and (workspace / "peers" / "peers.md").read_text() in output
    assert cv2.imread(str(workspace / "peers" / "peers_baseline.png")) is not None
    if sys.platform.startswith("linux"):
        assert rows["mine"]["megabytes"] > 20

    # nothing is computed again, what was measured of memory stays, and `dmb results` reads it
    assert main([*arguments, "MIL"]) == 0
    assert "2 of 2 sequences are finished already" in capsys.readouterr().out
    again = json.loads((workspace / "peers" / "peers.json").read_text())
    assert again["memory"] == found["memory"]
    assert main(["results", str(workspace / "peers")]) == 0
    assert "| MIL | EAO " in capsys.readouterr().out
