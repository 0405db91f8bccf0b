"""`dmb vot` with a toolkit that does nothing: exit codes, and what signals do to both processes."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment
from tracker.cli import vot
from tracker.signals import SIGNALS

# a toolkit that tells in files what befalls it; as the real one does, it ends a Ctrl-C with code 0
TOOLKIT = """\
import os, sys, time
from pathlib import Path

def add(line):
    with open("events", "a") as file:
        file.write(line + "\\n")

if sys.argv[1] == "report":
    add("report")
    sys.exit(0)
if sys.argv[-1] == "killed":
    os.kill(os.getpid(), 9)
if sys.argv[-1].isdecimal():
    add(" ".join(sys.argv[1:]))
    sys.exit(int(sys.argv[-1]))
try:
    Path("pid.new").write_text(str(os.getpid()))
    os.rename("pid.new", "pid")
    time.sleep(120)
except KeyboardInterrupt:
    try:
        time.sleep(1)  # its trackers end; a run by subprocess would be killed meanwhile
    except KeyboardInterrupt:
        add("interrupted twice")
        sys.exit(1)
    add("ended by itself")
"""


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which `python -m vot` is the toolkit above; the current one."""
    (tmp_path / "vot.py").write_text(TOOLKIT)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{CHECKOUT}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_failure_ends_it_and_its_exit_code_is_kept(toolkit: Path) -> None:
    assert vot.main(["analysis", "--format", "html", "3"]) == 3
    assert (toolkit / "events").read_text() == "analysis 3\n"
    assert vot.main(["analysis", "--format", "html", "0"]) == 0
    assert (toolkit / "events").read_text() == "analysis 3\nanalysis 0\nreport\n"


def workspace(folder: Path, *, lines: int) -> Path:
    """One sequence of three frames."""
    sequence = folder / "sequences" / "cup"
    sequence.mkdir(parents=True)
    (folder / "sequences" / "list.txt").write_text("cup\n")
    (folder / "config.yaml").write_text(
        "registry: trackers.ini\nstack: {experiments: {baseline: {type: supervised}}}\n"
    )
    (sequence / "sequence").write_text("length=3\n")
    (sequence / "groundtruth.txt").write_text("0,0,9,9\n" * lines)
    return folder


@pytest.mark.parametrize("verb", ["evaluate", "run"])
def test_the_ground_truth_is_checked_before_an_evaluation(
    toolkit: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    folder = workspace(toolkit / "short", lines=2)
    told = "groundtruth.txt' has 2 lines, but the sequence has 3 frames"
    for where in (["--workspace", str(folder)], [f"--workspace={folder}"]):
        assert vot.main(["--debug", verb, "--force", *where, "0"]) == 1
        error = capsys.readouterr().err
        assert error.startswith("dmb vot: error: ") and error.count("\n") == 1 and told in error
    assert vot.main(["pack", "--workspace", str(folder), "0"]) == 0
    assert vot.main([verb, "--workspace", str(workspace(toolkit / "good", lines=3)), "5"]) == 5
    assert vot.main([verb, "--workspace", str(toolkit / "nowhere"), "6"]) == 6, "that is for the toolkit to tell"
    monkeypatch.chdir(folder)
    assert vot.main([verb, "0"]) == 1 and told in capsys.readouterr().err


@pytest.mark.usefixtures("toolkit")
def test_a_toolkit_that_is_killed_has_a_code_as_in_a_shell() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    assert vot.main(["evaluate", "killed"]) == 128 + signal.SIGKILL
    assert [signal.getsignal(number) for number in SIGNALS] == before


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(toolkit: Path) -> Iterator[Start]:
    """Start `dmb vot` in a session of its own, and wait until the toolkit is at work."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tracker.cli.main", "vot", *words],
            cwd=toolkit, env=clean_environment(PYTHONPATH=f"{toolkit}:{CHECKOUT}"), stderr=subprocess.PIPE, text=True,
            start_new_session=True, **options,
        )  # type: ignore[call-overload]  # fmt: skip
        started.append(process)
        until = time.monotonic() + 120
        while not (toolkit / "pid").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def assert_ended(toolkit: Path) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(int((toolkit / "pid").read_text()), 0)


def test_ctrl_c_in_a_terminal_lets_the_toolkit_end_by_itself(start: Start, toolkit: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        controlling = lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)  # noqa: E731
        process = start("analysis", "--format", "html", stdin=theirs, preexec_fn=controlling)
        os.write(ours, b"\x03")
        _, error = process.communicate(timeout=120)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, error) == (128 + signal.SIGINT, "dmb vot: interrupted\n")
    # once, since the terminal has told it already; and no report of an analysis that was not finished
    assert (toolkit / "events").read_text() == "ended by itself\n"
    assert_ended(toolkit)


def test_sigint_from_elsewhere_is_passed_on(start: Start, toolkit: Path) -> None:
    process = start("evaluate", "DMB")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (128 + signal.SIGINT, "dmb vot: interrupted\n")
    assert (toolkit / "events").read_text() == "ended by itself\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_terminal_end_the_toolkit_too(start: Start, toolkit: Path, number: signal.Signals) -> None:
    process = start("evaluate", "DMB")
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (128 + number, "")
    assert_ended(toolkit)
