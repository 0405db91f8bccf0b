"""The memory of other processes while they run, as Linux tells it; elsewhere nothing is known.

A tracker is started by the toolkit, and the toolkit by us, so it is found below both. Its peak is the sum over all of
its processes of VmHWM, which the system keeps from a process's first moment on: only the last moments are missed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

INTERVAL = 0.1  # seconds
PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A running process: that which started it, its command line, and its peak resident memory in MB (10^6 bytes)."""

    parent: int
    words: tuple[str, ...]
    peak: float


def processes(proc: Path = PROC) -> dict[int, Process]:
    """All processes by number; none where the system does not tell."""
    found = {}
    for folder in proc.glob("[0-9]*"):
        try:
            lines = (folder / "status").read_text(encoding="utf-8", errors="replace").splitlines()
            words = (folder / "cmdline").read_text(encoding="utf-8", errors="replace").rstrip("\0").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        if "VmHWM" in told:  # kernel threads have none
            found[int(folder.name)] = Process(int(told["PPid"]), tuple(words), int(told["VmHWM"].split()[0]) * 1.024e-3)
    return found


def _below(running: Mapping[int, Process], number: int) -> Iterator[int]:
    for child, process in running.items():
        if process.parent == number:
            yield child
            yield from _below(running, child)


def largest(running: Mapping[int, Process], root: int, is_starter: Callable[[tuple[str, ...]], bool]) -> float:
    """Megabytes of the largest tracker: all processes below one that `is_starter`, itself below process `root`.

    A copy that the starter has made of itself, and that is not yet another program, does not count.
    """
    starters = [number for number in _below(running, root) if is_starter(running[number].words)]
    groups = [
        [running[child].peak for child in _below(running, number) if not is_starter(running[child].words)]
        for number in starters
    ]
    return max((sum(group) for group in groups), default=0.0)


class PeakMemory:
    """Watches, from a thread of its own, what the trackers below this process have needed at most.

    Args:
        is_starter: whether a command line is that of the program that starts trackers.
    """

    def __init__(self, is_starter: Callable[[tuple[str, ...]], bool]) -> None:
        self._is_starter = is_starter
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)
        self.megabytes: float | None = None  # None: none was seen

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            seen = largest(processes(), os.getpid(), self._is_starter)
            if seen:
                self.megabytes = max(seen, self.megabytes or 0.0)
