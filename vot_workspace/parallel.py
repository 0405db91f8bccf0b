"""Evaluates a workspace with the VOT toolkit in several processes at once.

The toolkit evaluates one sequence after the other. Here as many processes as wanted do so, each on one sequence in a
workspace of its own (`vot_workspace.worker`); the longest sequences come first, so that no process is left alone with
one. Every trajectory is copied into the workspace as soon as it is finished, and an evaluation that was interrupted, or
one that the toolkit itself has begun, continues where it stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tracker.files import replace_file
from vot_workspace.layout import (
    CONFIGURATION,
    Layout,
    check_truth,
    entry_of,
    frame_count,
    known_trackers,
    registry_places,
)
from vot_workspace.trajectories import SETTLED, is_finished, read_trajectories
from vot_workspace.worker import Command, Task, Worker, publish_part, stop
from vot_workspace.writer import REGISTRY, WorkspaceError

SETTINGS = "dmb_settings.json"  # in a tracker's folder of results
PARTS = ".dmb_evaluate"  # folder in the workspace for those of the processes
POLL = 0.1  # seconds


@dataclass
class Outcome:
    """What an evaluation has come to.

    Attributes:
        tasks: how many sequences there are to evaluate, of all trackers together.
        finished: how many of them are finished.
        failures: reasons by tracker and sequence.
        interrupted: the signal that has ended it; None if it was not.
    """

    tasks: int
    finished: int
    failures: dict[str, str] = field(default_factory=dict)
    interrupted: int | None = None


def results_folders(
    layout: Layout, trackers: Sequence[str], places: Sequence[Path], note: Callable[[str], None] = lambda line: None
) -> dict[str, str]:
    """Check trackers; returns the names of their results' folders by what the user has typed.

    `note` takes a sentence for each of them that is registered twice.

    Raises:
        WorkspaceError: a tracker that nobody has registered; the message lists the known ones.
    """
    twice: list[str] = []
    known = known_trackers(places, twice.append)
    found = {}
    for tracker in dict.fromkeys(trackers):
        name, at, version = tracker.partition("@")
        if name not in known or (at and not version):
            told = f"known are: {', '.join(sorted(known))}" if known else "no tracker is registered"
            raise WorkspaceError(
                f"there is no tracker '{tracker}' for '{layout.directory}' ({told}); name the trackers.ini that "
                f"registers it with --registry, for instance {REGISTRY}"
            )
        found[tracker] = tracker if at else known[name]
        for sentence in twice:
            if sentence.startswith(f"[{name}] "):
                note(f"note: {sentence}")
    return found


def choose_experiments(layout: Layout, names: Sequence[str] | None) -> dict[str, dict[str, object]]:
    """The stack's experiments, or those of the given names.

    Raises:
        WorkspaceError: there is no such experiment.
    """
    for name in names or ():
        if name not in layout.experiments:
            raise WorkspaceError(f"the stack has no experiment '{name}'; it has: {', '.join(layout.experiments)}")
    return {name: layout.experiments[name] for name in names or layout.experiments}


def rounds(layout: Layout, names: Sequence[str] | None, workers: int) -> list[tuple[list[str], int]]:
    """Which experiments run beside each other, one round after the other.

    Experiments in real time measure how long a frame takes: they come last, and in one process, since several would
    slow each other down.

    Args:
        layout: the workspace.
        names: of the experiments that are wanted; None for all.
        workers: processes at once.

    Returns:
        For each round the names of its experiments and the number of processes.

    Raises:
        WorkspaceError: there is no such experiment.
    """
    chosen = choose_experiments(layout, names)
    timed = [name for name, experiment in chosen.items() if experiment.get("realtime") is not None]
    if workers == 1 or not timed:
        return [(list(chosen), workers)]
    others = [name for name in chosen if name not in timed]
    return [(others, workers)] * bool(others) + [(timed, 1)]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_per_worker(workers: int, environ: Mapping[str, str]) -> int | None:
    """CPU threads that DMB is to use in each process; None where the user has chosen."""
    if environ.get("DMB_THREADS") or environ.get("OMP_NUM_THREADS"):
        return None
    return max(1, cores() // workers)  # else each would use all cores, and wait for the others


@contextmanager
def locked(directory: Path) -> Iterator[int]:
    """Keep others from evaluating in the same workspace; yields the file descriptor that holds the lock.

    The processes inherit it: one that was left behind by a kill of this one still holds the lock.

    Raises:
        WorkspaceError: an evaluation is running in it.
    """
    with (directory / CONFIGURATION).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(
                f"an evaluation is running in '{directory}', or processes that it has left; wait for them or end them"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield file.fileno()


def evaluate_workspace(
    layout: Layout,
    trackers: Sequence[str],
    *,
    workers: int = 1,
    registry: Path | None = None,
    experiments: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    give_up: bool = False,
    say: Callable[[str], None] = lambda line: None,
    interrupted: Callable[[], int | None] = lambda: None,
) -> Outcome:
    """Evaluate trackers on all sequences of a workspace.

    Args:
        layout: the workspace.
        trackers: identifiers, or identifier@version.
        workers: processes at once.
        registry: file or folder with trackers besides the workspace's own.
        experiments: names of those to run; None for all.
        environ: environment of the processes.
        give_up: whether the first failure ends the evaluation; else the other sequences are evaluated first.
        say: is called with a line whenever a tracker has finished a sequence, or failed on it.
        interrupted: is asked all the time; the signal for which to stop.

    Raises:
        WorkspaceError: unknown tracker or experiment, or another evaluation is running.
    """
    folders = results_folders(layout, trackers, registry_places(layout, registry, environ), say)
    chosen = choose_experiments(layout, experiments)
    for sequence in layout.sequences.values():
        check_truth(sequence)
    for name in folders.values():
        note_settings(layout, name, registry_places(layout, registry, environ), environ, say)
    with locked(layout.directory) as lock:
        _salvage(layout.directory)
        tasks = [
            Task(tracker, folders[tracker], path, frame_count(path))
            for path in layout.sequences.values()
            for tracker in folders
        ]
        left = [task for task in tasks if not _is_done(layout, chosen, task)]
        environment = {name: text for name, text in environ.items() if not name.startswith("TRAX")}
        environment.setdefault("MPLBACKEND", "Agg")
        done = len(tasks) - len(left)
        if done:
            say(f"{done} of {len(tasks)} sequences are finished already")
        command, outcome = Command(registry, experiments, environment, lock), Outcome(len(tasks), done)
        return _Pool(layout, command, workers, outcome, give_up, say).run(left, interrupted)


def note_settings(
    layout: Layout, results: str, places: Sequence[Path], environ: Mapping[str, str], note: Callable[[str], None]
) -> None:
    """Keep with what settings a tracker's results are made, and tell where they were others before.

    Args:
        layout: the workspace.
        results: name of the tracker's folder of results.
        places: where trackers are registered.
        environ: environment of the processes, of which DMB_* counts; the number of threads is nobody's choice here.
        note: takes a sentence.
    """
    settings = {name: text for name, text in environ.items() if name.startswith("DMB_") and text}
    settings |= {str(name): str(text) for name, text in entry_of(results.partition("@")[0], places).items()}
    for name in ("DMB_THREADS", "DMB_LOG", "DMB_PEERS", "env_dmb_log", "env_dmb_peers", "timeout", "label", "tags"):
        settings.pop(name, None)
    folder = layout.directory / "results" / results
    path, made = folder / SETTINGS, json.dumps(settings, sort_keys=True, indent=1)
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        if before is None and not any(folder.glob("*/*/*")):
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, made)
    except (OSError, ValueError):  # a note is no reason not to evaluate
        return
    if isinstance(before, dict) and before != settings:
        changed = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
        note(
            f"note: the results in '{folder}' were made with other settings ({', '.join(changed)}) and are kept; "
            "delete that folder to measure anew, or give the tracker another name"
        )


def _is_done(layout: Layout, experiments: Mapping[str, dict[str, object]], task: Task) -> bool:
    for name, experiment in experiments.items():
        folder = layout.directory / "results" / task.results / name / task.sequence.name
        found = {key: value for key, value in read_trajectories(folder).items() if value.consistent}
        if not is_finished(experiment, task.sequence, found):
            return False
    return True


def _salvage(directory: Path) -> None:
    """Publish what an evaluation that was killed has left."""
    for part in sorted((directory / PARTS).glob("*")):
        publish_part(part, directory, set(), ended=False)
    shutil.rmtree(directory / PARTS, ignore_errors=True)


class _Pool:
    """Keeps the processes busy."""

    def __init__(
        self,
        layout: Layout,
        command: Command,
        workers: int,
        outcome: Outcome,
        give_up: bool,
        say: Callable[[str], None],
    ) -> None:
        self.layout, self.command, self.workers = layout, command, workers
        self.outcome, self.give_up, self.say = outcome, give_up, say
        self.frames = self.frames_done = 0
        self.running: list[Worker] = []
        self.begin = time.monotonic()

    def run(self, tasks: Sequence[Task], interrupted: Callable[[], int | None]) -> Outcome:
        """Compute tasks until all are done or the user interrupts. However it ends, what is finished is kept."""
        self.frames = sum(task.frames for task in tasks)
        keep = False
        try:
            try:
                self._compute(sorted(tasks, key=lambda task: (-task.frames, task.label)), interrupted)
            finally:
                if self.running:
                    time.sleep(SETTLED)  # what has just been written is whole then
                    self._close_ended()
        except OSError:  # what a full disk has kept from being copied is there for the next evaluation
            keep = True
            raise
        finally:
            stop(self.running)
            if not keep:
                shutil.rmtree(self.layout.directory / PARTS, ignore_errors=True)
        return self.outcome

    def _compute(self, waiting: list[Task], interrupted: Callable[[], int | None]) -> None:
        """Start processes until nothing is left to do, or it is to end."""
        started = 0
        while (waiting or self.running) and self.outcome.interrupted is None:
            while waiting and len(self.running) < self.workers:
                part = self.layout.directory / PARTS / f"{started:04d}"
                self.running.append(Worker(part, self.layout, waiting.pop(0), self.command))
                started += 1
            time.sleep(POLL)
            self._close_ended()
            if self.give_up and self.outcome.failures:
                return
            self.outcome.interrupted = interrupted()

    def _close_ended(self) -> None:
        for worker in [worker for worker in self.running if worker.ended()]:
            self.running.remove(worker)
            self._close(worker)

    def _close(self, worker: Worker) -> None:
        """Tell what has become of a process that has ended."""
        self.frames_done += worker.task.frames
        reason = worker.failure()
        if reason is None:
            self.outcome.finished += 1
            rest = (self.frames - self.frames_done) * (time.monotonic() - self.begin) / max(1, self.frames_done)
            later = f", about {_duration(rest)} left" if self.frames_done < self.frames else ""
            count = f"{self.outcome.finished} of {self.outcome.tasks} done"
            self.say(f"{worker.task.label}: {_duration(worker.seconds)}; {count}{later}")
        else:
            self.outcome.failures[worker.task.label] = reason
            log = worker.keep_logs()
            if not self.give_up:  # else it is for the caller to tell
                self.say(f"{worker.task.label}: FAILED: {reason} (see '{log}')")
        worker.remove()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
