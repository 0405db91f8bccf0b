"""Output that nobody reads to its end, and commands that are nearly right."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import clean_environment
from tracker.cli.main import main


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m tracker.cli.main --help | head -1"
    done = subprocess.run(command, shell=True, env=clean_environment(), capture_output=True, text=True, timeout=120)
    assert done.stdout == "usage: dmb COMMAND ...\n" and done.stderr == ""


def test_a_command_that_is_nearly_right_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trak"]) == 2
    assert capsys.readouterr().err == "dmb: error: there is no command 'trak'; did you mean track?\n"
