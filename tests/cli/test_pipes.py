"""Output that nobody reads to its end, and commands that are nearly right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import clean_environment
from tracker.benchmarks.record import record
from tracker.cli.main import main


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    records = [record({}, "a clip " + 100 * "x", {"J": 0.5})] * 2000  # more than a pipe holds
    (tmp_path / "many.json").write_text(json.dumps({"records": records}))
    command = f"{sys.executable} -m tracker.cli.main results {tmp_path / 'many.json'} | head -1"
    done = subprocess.run(command, shell=True, env=clean_environment(), capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("| data | tracker |") and done.stderr == ""


def test_a_command_that_is_nearly_right_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trak"]) == 2
    assert capsys.readouterr().err == "dmb: error: there is no command 'trak'; did you mean track?\n"
