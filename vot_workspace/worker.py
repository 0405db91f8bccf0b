"""One `vot evaluate` of one tracker on one sequence, in a workspace of its own: what a worker computes.

The toolkit evaluates all sequences of a workspace, so this workspace lists one. What the user's workspace has of it
comes along, and is not computed again. Whatever is finished is told at once; the submitting side publishes it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tracker.cluster.tasks import PACKAGES, Context, TaskCancelledError
from tracker.errors import UserError
from vot_workspace.layout import CONFIGURATION, LIST
from vot_workspace.toolkit import LOG, last_words, read_log, vot_command
from vot_workspace.trajectories import SETTLED, read_trajectories

GRACE = 3.0  # seconds that ended processes may take
POLL = 0.05  # seconds
CONCLUDED = "Evaluation concluded"  # the toolkit's word at the end; it ends with code 0 in any case
ERROR = re.compile(r"encountered an error at sequence [^:]*: *(.*)")
STACK, REGISTRY = "stack.yaml", "trackers.ini"  # below a worker's workspace
# a process that ends a group as soon as this one is gone, however that came about
GUARD = "import os, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), 9)"

Files = dict[str, bytes]  # contents by name


@dataclass(frozen=True)
class Part:
    """What a worker computes.

    Attributes:
        tracker: its reference as `vot evaluate` takes it.
        results: name of the folder with its results.
        sequence: the sequence's folder.
        stack: the stack, as YAML.
        experiments: names of those to run; None: all.
        registry: files and folders that the workspace names.
        option: value of the toolkit's --registry; None: not given.
        entry: what registers the tracker, for machines that do not see these files.
        weights: of the tracker, where they are known.
        environment: of the processes, besides the worker's own.
        present: files of trajectories that there are already, by folder below the workspace.
    """

    tracker: str
    results: str
    sequence: Path
    stack: str
    experiments: tuple[str, ...] | None
    registry: tuple[Path, ...]
    option: Path | None
    entry: Mapping[str, str]
    weights: Path | None
    environment: Mapping[str, str]
    present: Mapping[str, Files]


@dataclass(frozen=True)
class Evaluated:
    """What has become of a part.

    Attributes:
        trajectories: files of all that is complete and has not been told before, by folder below the workspace.
        failure: why the work is not done; None if it is.
        logs: of a failure, by name.
    """

    trajectories: list[tuple[str, Files]]
    failure: str | None
    logs: Files


def evaluate_part(part: Part, context: Context) -> Evaluated:
    """Run the toolkit; tells (folder, files) of every trajectory as soon as it is complete.

    Raises:
        UserError: this machine does not see the tracker.
        TaskCancelledError: the result is wanted no more.
    """
    workspace = context.scratch / "workspace"
    _write(workspace, _visible(part, context, workspace), context)
    told = {workspace / folder / name for folder, files in part.present.items() for name in files}
    running = _Toolkit(part, workspace)
    try:
        while not running.ended():
            for found in _finished(workspace, told, ended=False):
                context.tell(found)
            if context.cancelled():
                time.sleep(SETTLED)  # what has just been written is whole then
                for found in _finished(workspace, told, ended=False):
                    context.tell(found)
                raise TaskCancelledError
            time.sleep(POLL)
    finally:
        running.stop()
    failure = running.failure()
    return Evaluated(
        list(_finished(workspace, told, ended=True)) if running.process.returncode >= 0 else [],
        failure,
        {} if failure is None else running.logs(),
    )


def _visible(part: Part, context: Context, workspace: Path) -> Part:
    """The part as this machine sees it."""
    weights = None if part.weights is None else context.local(part.weights)
    places = [*part.registry, *([] if part.option is None else [part.option])]
    if weights == part.weights and any(place.exists() for place in places):
        return part
    entry = dict(part.entry)
    command, paths = entry.get("command", ""), entry.get("paths", "")
    ours = importlib.util.find_spec(command.split(" ")[0]) is not None if re.fullmatch(r"[\w.]+", command) else False
    if ours:
        entry["paths"] = str(PACKAGES)
    elif not all(Path(path).exists() for path in paths.split(os.pathsep)):
        raise UserError(
            f"tracker '{part.tracker}' is not on every worker: '{paths}' of its trackers.ini does not exist on one; "
            "share that folder, or evaluate on this machine"
        )
    if ours and "python" in entry:
        entry["python"] = shlex.quote(sys.executable)
    if weights is not None:
        entry["env_DMB_WEIGHTS"] = str(weights)
    workspace.mkdir()
    lines = [f"[{part.tracker.partition('@')[0]}]", *(f"{name} = {text}" for name, text in entry.items())]
    (workspace / REGISTRY).write_text("\n".join(lines).replace("%", "%%") + "\n", encoding="utf-8")
    return replace(part, registry=(workspace / REGISTRY,), option=None)


def _write(workspace: Path, part: Part, context: Context) -> None:
    """Write a worker's workspace; nothing but small files is in it."""
    (workspace / "sequences").mkdir(parents=True)
    (workspace / "tmp").mkdir()
    (workspace / "sequences" / LIST).write_text(f"{context.local(part.sequence)}\n", encoding="utf-8")
    (workspace / STACK).write_text(part.stack, encoding="utf-8")
    configuration = {"registry": [str(path) for path in part.registry], "stack": f"./{STACK}"}
    (workspace / CONFIGURATION).write_text(yaml.safe_dump(configuration, allow_unicode=True), encoding="utf-8")
    for folder, files in part.present.items():
        (workspace / folder).mkdir(parents=True)
        for name, content in files.items():
            (workspace / folder / name).write_bytes(content)


def _finished(workspace: Path, told: set[Path], *, ended: bool) -> list[tuple[str, Files]]:
    """Trajectories that are complete and have not been told.

    Args:
        workspace: the worker's.
        told: files that have been told; new ones are added.
        ended: whether the toolkit has ended by itself, and has written all files that it had begun.
    """
    found, now = [], time.time()
    for folder in sorted((workspace / "results").glob("*/*/*")):
        for trajectory in read_trajectories(folder).values():
            if trajectory.regions not in told and trajectory.whole and (ended or trajectory.settled(now)):
                told.add(trajectory.regions)
                found.append((folder.relative_to(workspace).as_posix(), trajectory.files()))
    return found


class _Toolkit:
    """A running toolkit with all that it has started."""

    def __init__(self, part: Part, workspace: Path) -> None:
        self.workspace = workspace
        registry = [] if part.option is None else ["--registry", str(part.option)]
        chosen = [] if part.experiments is None else ["--experiments", ",".join(part.experiments)]
        evaluate = ["evaluate", "--persist", "--workspace", str(workspace), *chosen, part.tracker]
        own = {name: text for name, text in os.environ.items() if not name.startswith(STEERING)}
        with (workspace / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                vot_command(*registry, *evaluate),
                env={**own, **part.environment, "TMPDIR": str(workspace / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: Ctrl-C does not reach it, and trackers end with it
            )
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD, str(self.process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ended(self) -> bool:
        """Whether the process has ended; what it has left running is ended then."""
        if self.process.returncode is None:
            found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return False
            self._signal(signal.SIGKILL)  # before it is waited for: then its number is free
        self._dismiss()
        self.process.wait()
        return True

    def stop(self) -> None:
        """End what runs: politely, then at once."""
        if self.process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
            time.sleep(POLL)
        self._dismiss()
        self.process.wait()
        while self._signal(0) and time.monotonic() < deadline:  # trackers outlive the toolkit by a moment
            time.sleep(POLL)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; returns whether anybody is in it."""
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _dismiss(self) -> None:
        """End the guard while the group's number is still the group's."""
        if self.guard.returncode is None:
            self.guard.kill()
            self.guard.communicate()

    def failure(self) -> str | None:
        """Why an ended process has not done its work; None if it has."""
        lines = read_log(self.workspace / LOG)
        told = [match[1] for match in map(ERROR.search, lines) if match]
        if told:
            return " / ".join(dict.fromkeys(told))
        if self.process.returncode < 0:
            return f"the VOT toolkit was ended by {signal.Signals(-self.process.returncode).name}"
        if self.process.returncode == 0 and any(CONCLUDED in line for line in lines):
            return None
        return f"the VOT toolkit stopped: {' / '.join(last_words(lines))}"

    def logs(self) -> Files:
        """What the toolkit and the tracker have written; the toolkit's own under "vot.log"."""
        paths = [path for path in sorted((self.workspace / "logs").glob("*")) if path.is_file()]
        return {path.name: path.read_bytes() for path in (*paths, self.workspace / LOG)}


# variables of the worker that would change results: those of the submitting side count
STEERING = ("DMB_", "TRAX", "VOT_", "OMP_", "MKL_", "OPENBLAS_", "DASK_", "MALLOC_TRIM_")


def sent_environment(environ: Mapping[str, str], *, everything: bool) -> dict[str, str]:
    """What processes on a worker get of the environment here: everything on this machine, else what steers."""
    chosen = {name: text for name, text in environ.items() if not name.startswith("TRAX")}
    if not everything:
        chosen = {name: text for name, text in chosen.items() if name.startswith(STEERING)}
    return {"MPLBACKEND": "Agg"} | chosen


def unpacked(message: Any) -> tuple[str, Files]:
    """What `evaluate_part` tells."""
    folder, files = message
    return str(folder), dict(files)
