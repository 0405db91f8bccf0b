"""The memory of trackers: which processes count, and what the system says of one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tracker.benchmarks.peak_memory import Process, largest, processes
from tracker.cli.benchmark_peers import is_toolkit
from vot_workspace.toolkit import QUOTED, vot_command

TOOLKIT = ("python", "-P", "-m", "vot", "evaluate", "MIL")
OURS, OTHERS, FIRST, SECOND = 1, 2, 10, 20


def test_all_processes_of_the_largest_tracker_count_and_nothing_else() -> None:
    running = {
        OURS: Process(0, ("dmb",), 900),
        OTHERS: Process(0, ("dmb",), 900),
        5: Process(OURS, ("python", "worker"), 800),  # a process between ours and the toolkit
        FIRST: Process(5, TOOLKIT, 300),
        11: Process(FIRST, ("sh", "tracker"), 2),
        12: Process(11, ("tracker",), 100),
        13: Process(FIRST, TOOLKIT, 299),  # forked a moment ago
        SECOND: Process(OURS, TOOLKIT, 300),
        21: Process(SECOND, ("tracker",), 90),
        30: Process(OTHERS, TOOLKIT, 300),
        31: Process(30, ("tracker",), 5000),
    }
    assert largest(running, OURS, is_toolkit) == 102
    assert largest({OURS: running[OURS], SECOND: running[SECOND]}, OURS, is_toolkit) == 0


def test_the_toolkit_is_known_by_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_toolkit(tuple(vot_command("evaluate", "--workspace", "w", "MIL")))
    monkeypatch.setattr(sys, "executable", "/a b/python")
    assert QUOTED in vot_command("evaluate") and is_toolkit(tuple(vot_command("evaluate", "MIL")))
    assert not is_toolkit(("python", "-m", "tracker.trax_server"))
    assert not is_toolkit(tuple(vot_command("analysis", "MIL")))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_a_peak_lasts_longer_than_the_memory() -> None:
    code = "block = bytearray(200_000_000); block[::4096] = b'x' * len(block[::4096]); del block; print(); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = processes()[child.pid]
        child.communicate(b"\n")
    assert found.parent == os.getpid() and found.words[1:] == ("-c", code)
    assert 200 <= found.peak < 300
