"""One `vot evaluate` of one tracker on one sequence, in a workspace of its own.

The toolkit evaluates all sequences of a workspace, so its own workspace lists one. What the real workspace has of it is
shown by links, and not computed again.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from vot_workspace.layout import CONFIGURATION, LIST, Layout
from vot_workspace.toolkit import LOG, last_words, read_log, vot_command
from vot_workspace.trajectories import link, read_trajectories

GRACE = 3.0  # seconds that ended processes may take
POLL = 0.05  # seconds
CONCLUDED = "Evaluation concluded"  # the toolkit's word at the end; it ends with code 0 in any case
ERROR = re.compile(r"encountered an error at sequence [^:]*: *(.*)")


@dataclass(frozen=True)
class Task:
    """What a worker computes.

    Attributes:
        tracker: its reference as `vot evaluate` takes it.
        results: name of the folder with its results.
        sequence: the sequence's folder.
        frames: its length.
    """

    tracker: str
    results: str
    sequence: Path
    frames: int

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.tracker} {self.sequence.name}"


@dataclass(frozen=True)
class Command:
    """How the toolkit is called.

    Attributes:
        registry: value of its --registry; None: not given.
        experiments: names of those to run; None: all.
        environment: of the processes.
        inherited: file descriptor that they keep open, so that others see them run.
    """

    registry: Path | None
    experiments: Sequence[str] | None
    environment: Mapping[str, str]
    inherited: int

    def words(self, task: Task, workspace: Path) -> list[str]:
        """The command line."""
        registry = [] if self.registry is None else ["--registry", str(self.registry.absolute())]
        chosen = [] if self.experiments is None else ["--experiments", ",".join(self.experiments)]
        evaluate = ["evaluate", "--persist", "--workspace", str(workspace), *chosen, task.tracker]
        return vot_command(*registry, *evaluate)


def write_part(part: Path, layout: Layout, task: Task) -> None:
    """Write the workspace of a worker; nothing but small text files and links is in it."""
    (part / "sequences").mkdir(parents=True)
    (part / "tmp").mkdir()
    (part / "sequences" / LIST).write_text(f"{task.sequence}\n", encoding="utf-8")
    configuration = {"registry": [str(path) for path in layout.registry], "stack": layout.stack}
    (part / CONFIGURATION).write_text(yaml.safe_dump(configuration, allow_unicode=True), encoding="utf-8")
    for name in layout.experiments:
        results = Path("results", task.results, name)
        for folder in sorted((layout.directory / results).glob("*")):
            # under another sequence's name it is no concern of this one; under any other, only the toolkit knows
            if folder.name == task.sequence.name or folder.name not in layout.sequences:
                for trajectory in read_trajectories(folder).values():
                    if trajectory.consistent:
                        link(trajectory, part / results / folder.name)


def publish_part(part: Path, workspace: Path, published: set[Path], *, ended: bool) -> None:
    """Copy the trajectories that are complete into the real workspace.

    Args:
        part: the worker's workspace.
        workspace: the real one.
        published: those that have been copied already; new ones are added.
        ended: whether the process has ended by itself, and has written all files that it had begun.
    """
    now = time.time()
    for folder in sorted((part / "results").glob("*/*/*")):
        for trajectory in read_trajectories(folder).values():
            if trajectory.regions not in published and trajectory.whole and (ended or trajectory.settled(now)):
                trajectory.publish(workspace / folder.relative_to(part))
                published.add(trajectory.regions)


class Worker:
    """A running process with all that it has started.

    Args:
        part: folder for its workspace, which must not exist.
        layout: the real workspace.
        task: what is computed.
        command: how.
    """

    def __init__(self, part: Path, layout: Layout, task: Task, command: Command) -> None:
        self.part, self.task, self.workspace = part, task, layout.directory
        self.begin = time.monotonic()
        self.published: set[Path] = set()
        write_part(part, layout, task)
        with (part / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                command.words(task, part),
                env={**command.environment, "TMPDIR": str(part / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: Ctrl-C does not reach it, and trackers end with it
                pass_fds=(command.inherited,),
            )

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.begin

    def ended(self) -> bool:
        """Whether the process has ended; what it has left running is ended then, and its results are published.

        Raises:
            OSError: they cannot be written; asked again, it tries again.
        """
        if self.process.returncode is None:
            found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                publish_part(self.part, self.workspace, self.published, ended=False)
                return False
            with suppress(ProcessLookupError, PermissionError):  # before it is waited for: then its number is free
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.wait() >= 0:
            publish_part(self.part, self.workspace, self.published, ended=True)
        return True

    def failure(self) -> str | None:
        """Why an ended process has not done its work; None if it has."""
        lines = read_log(self.part / LOG)
        told = [match[1] for match in map(ERROR.search, lines) if match]
        if told:
            return " / ".join(dict.fromkeys(told))
        if self.process.returncode < 0:
            return f"the VOT toolkit was ended by {signal.Signals(-self.process.returncode).name}"
        if self.process.returncode == 0 and any(CONCLUDED in line for line in lines):
            return None
        return f"the VOT toolkit stopped: {' / '.join(last_words(lines))}"

    def keep_logs(self) -> Path:
        """Copy what the toolkit and the tracker have written into the real workspace; returns the toolkit's file."""
        logs = self.workspace / "logs"
        logs.mkdir(exist_ok=True)
        for path in sorted((self.part / "logs").glob("*")):
            shutil.copyfile(path, logs / path.name)
        kept = logs / f"evaluate_{self.task.results}_{self.task.sequence.name}.log"
        return Path(shutil.copyfile(self.part / LOG, kept))

    def remove(self) -> None:
        """Remove the workspace of an ended process."""
        shutil.rmtree(self.part, ignore_errors=True)


def stop(workers: Sequence[Worker]) -> None:
    """End processes with all that they have started: politely, then at once."""
    for worker in workers:
        _signal(worker, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        while _signal(worker, 0) and time.monotonic() < deadline:  # trackers outlive the toolkit by a moment
            time.sleep(POLL)
        _signal(worker, signal.SIGKILL)
        worker.process.wait()


def _signal(worker: Worker, number: int) -> bool:
    """Send a signal to the group; returns whether anybody is in it."""
    try:
        os.killpg(worker.process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
