"""The `dmb` command: help without torch, exit codes, and the translation for the toolkit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tracker.cli import vot
from tracker.cli.main import COMMANDS, USAGE, main


def test_help_names_the_commands_and_imports_no_torch() -> None:
    code = (
        "import sys; from tracker.cli.main import main; status = main(['--help']); "
        "sys.exit(status or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "vot" in done.stdout


def test_every_command_is_in_the_help_and_can_be_called() -> None:
    lines = USAGE.partition("exit codes")[0].splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ") and line[2] not in " -"]
    assert named == list(COMMANDS)
    for load in COMMANDS.values():
        assert load().__name__ == "main"


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main([]) == 2
    assert main(["fly"]) == 2
    assert "no command 'fly'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["evaluate", "DMB", "--workspace", "w"], [["evaluate", "DMB", "--workspace", "w"]]),
        (["analysis", "DMB"], [["analysis", "DMB"]]),
        (["analysis", "--format", "json", "DMB"], [["analysis", "--format", "json", "DMB"]]),
        (
            ["analysis", "--workspace", "w", "--format", "html", "DMB", "MIL"],
            [
                ["analysis", "--workspace", "w", "DMB", "MIL"],
                ["report", "--workspace", "w", "DMB", "MIL", "--format", "html"],
            ],
        ),
        (
            ["--registry", "r.ini", "analyze", "--format=latex"],
            [["--registry", "r.ini", "analysis"], ["--registry", "r.ini", "report", "--format", "latex"]],
        ),
        (["--help"], [["--help"]]),
        ([], [[]]),
    ],
)
def test_translation(given: list[str], expected: list[list[str]]) -> None:
    assert vot.translate(given) == expected
