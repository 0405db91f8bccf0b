"""Under the toolkit itself (`vot evaluate`): the tracker is killed, starts slowly, or answers too late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.test_evaluation import Workspace, environment, wait_until

pytestmark = pytest.mark.end_to_end

LOADS = 'sys.exit(main(load=lambda settings: Model(Noting, "the noting double")))'
TIMEOUT = 3  # seconds, of the registry


def evaluate(workspace: Workspace) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vot", "evaluate", "Noting", "--workspace", str(workspace.folder)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    """The output of an evaluation, in one line."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output  # the toolkit says what failed, and ends with 0
    return " ".join(output.split())


def hurry(workspace: Workspace) -> None:
    """Let the toolkit wait for an answer for `TIMEOUT` seconds only."""
    registry = workspace.folder / "trackers.ini"
    registry.write_text(registry.read_text().replace("timeout = 300", f"timeout = {TIMEOUT}"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of an evaluation without faults."""
    workspace = Workspace(tmp_path_factory.mktemp("undisturbed") / "workspace", ("unsupervised",))
    finish(evaluate(workspace))
    return workspace.results()


@pytest.mark.parametrize("fault", ["killed", "late"])
def test_what_was_finished_stays_and_the_same_command_goes_on(
    tmp_path: Path, undisturbed: dict[str, bytes], fault: str
) -> None:
    workspace = Workspace(tmp_path / "workspace", ("unsupervised",), held=True)
    if fault == "late":
        hurry(workspace)
    process = evaluate(workspace)
    wait_until(lambda: workspace.initializations() == 2)  # the first of two repetitions is done, the second hangs
    (before,) = workspace.times()
    if fault == "killed":
        (tracker,) = workspace.processes()
        os.kill(tracker, signal.SIGKILL)
    output = finish(process)
    assert "encountered an error" in output, output
    assert (f"did not reply in {TIMEOUT} seconds" in output) == (fault == "late"), output
    kept = workspace.results()
    assert before in workspace.times() and kept.items() <= undisturbed.items()
    started = workspace.initializations()
    stamp = workspace.times()[before]

    workspace.hold.unlink()
    output = finish(evaluate(workspace))
    assert "encountered an error" not in output, output
    assert workspace.results() == undisturbed
    assert workspace.times()[before] == stamp  # not computed twice
    finished = sum(name.endswith("_time.value") for name in workspace.times())
    assert workspace.initializations() == started + finished - 1


def test_a_start_may_take_longer_than_the_timeout(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """The model is loaded, and run for the first time, before the tracker greets; the timeout is for answers alone."""
    workspace = Workspace(tmp_path / "workspace", ("unsupervised",))
    hurry(workspace)
    module = workspace.folder / "noting.py"
    assert module.read_text().count(LOADS) == 1
    slow = f"sys.exit(main(load=lambda settings: (time.sleep({2 * TIMEOUT}), Model(Noting, 'slow'))[1]))"
    module.write_text(module.read_text().replace(LOADS, slow))
    output = finish(evaluate(workspace))
    assert "encountered an error" not in output, output
    assert workspace.results() == undisturbed
