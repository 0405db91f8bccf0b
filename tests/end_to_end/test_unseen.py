"""`dmb evaluate --cluster ... --send` where a worker sees neither the workspace nor what registers the tracker."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.machines import HIDE, Machines
from tests.conftest import CHECKOUT
from tests.end_to_end.test_evaluation import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]

REGISTRY = """\
[DMB]
protocol = traxpython
command = tracker.trax_server
paths = {here}/packages
python = {here}/python
timeout = 300
env_DMB_WEIGHTS = {here}/own.safetensors
"""


def prepared(here: Path, weights: Path) -> Workspace:
    """A folder with a workspace of one sequence, and with all else that an evaluation of DMB reads."""
    here.mkdir()
    workspace = Workspace(here / "workspace", ("unsupervised",))
    stack = workspace.folder / "stack.yaml"
    stack.write_text(stack.read_text().replace("repetitions: 2", "repetitions: 1"))
    (workspace.folder / "sequences" / "list.txt").write_text("short\n")
    (workspace.folder / "config.yaml").write_text("registry: [../trackers.ini]\nstack: ./stack.yaml\n")
    (here / "trackers.ini").write_text(REGISTRY.format(here=here))
    (here / "packages").symlink_to(CHECKOUT)
    (here / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (here / "python").chmod(0o755)
    shutil.copy(weights, here / "own.safetensors")
    return workspace


def test_a_worker_that_sees_nothing_of_it_is_sent_all(tmp_path: Path, weights_file: Path) -> None:
    serial, remote = (prepared(tmp_path / name, weights_file) for name in ("serial", "remote"))
    here = tmp_path / "remote"
    if subprocess.run([*HIDE, str(here), "true"], check=False, capture_output=True).returncode:
        pytest.skip("no folder can be hidden from a process here")
    serial.evaluate("DMB", workers=1)
    with Machines(tmp_path / "machines") as machines:
        folder = machines.worker("blind", hidden=here)
        cluster = ("DMB", "--cluster", str(machines.file))
        sequence = remote.folder / "sequences" / "short"
        told = remote.evaluate(*cluster, workers=0, code=1)
        assert f"does not see '{sequence}'" in told and "--send" in told and not remote.results()
        output = remote.evaluate(*cluster, "--send", workers=0)
        received = sorted(path.name for path in folder.glob("dask-scratch-space/*/dmb_received/*/*"))
    assert "1 of 1 done" in output and received == ["own.safetensors", "short"]
    results = remote.results()
    assert results == serial.results() and "results/DMB/unsupervised/short/short_001.bin" in results
