"""Runs tasks: in this process, in worker processes of this machine, or on a cluster that is running already.

The engine is Dask's `distributed`. It is imported only where there is more than one process.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from tracker.cluster.tasks import ClusterError, Context, Done, Place, Task, TaskCancelledError
from tracker.errors import UserError

MISSING = "more than one process needs Dask's distributed; install it: pip install 'dmb-tracker[cluster]'"
Told = Callable[[Task, Any], None]
Stop = Callable[[], int | None]


class OwnContext:
    """`tracker.cluster.tasks.Context` in this process."""

    def __init__(self, task: Task, scratch: Path, told: Told, interrupted: Stop) -> None:
        self.task, self.scratch, self.told, self.interrupted = task, scratch, told, interrupted

    def cancelled(self) -> bool:
        """Whether the user wants to end."""
        return self.interrupted() is not None

    def tell(self, message: Any) -> None:
        """At once."""
        self.told(self.task, message)

    def local(self, path: Path) -> Path:
        """Where it is."""
        return path


def run_tasks(
    tasks: Sequence[Task],
    place: Place,
    *,
    told: Told = lambda task, message: None,
    interrupted: Stop = lambda: None,
    say: Callable[[str], None] = lambda line: None,
    scratch: Path | None = None,
    alone: bool = False,
) -> Generator[Done, None, None]:
    """Run tasks; yields them as they end, those that failed too.

    Whoever closes the generator, or interrupts it, ends what is running; what has been yielded stays.

    Args:
        tasks: with different keys.
        place: where.
        told: takes what tasks tell on the way.
        interrupted: is asked all the time; the signal for which to stop.
        say: takes a line about workers.
        scratch: folder for temporary files of this machine, which is made and removed.
        alone: whether nothing else may run on a task's machine, because it is timed.

    Raises:
        ClusterError: no such cluster, no worker that can do this, or the connection is lost.
    """
    ordered = sorted(tasks, key=lambda task: (-task.cost, task.label))
    if place.cluster is None and (alone or place.workers == 1 or len(ordered) == 1):
        return _run_here(ordered, told, interrupted, scratch)
    try:
        from tracker.cluster.dask_engine import run_on_dask
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("dask", "distributed"):
            raise
        raise ClusterError(MISSING) from None
    return run_on_dask(ordered, place, told, interrupted, say, scratch, alone)


def _run_here(
    tasks: Sequence[Task], told: Told, interrupted: Stop, scratch: Path | None
) -> Generator[Done, None, None]:
    folder = Path(tempfile.mkdtemp(prefix="dmb_tasks_")) if scratch is None else scratch
    try:
        for number, task in enumerate(tasks):
            if interrupted() is not None:
                return
            own = folder / f"{number:04d}"
            own.mkdir(parents=True)
            context: Context = OwnContext(task, own, told, interrupted)
            began = time.monotonic()
            try:
                value, error = task.function(task.argument, context), None
            except TaskCancelledError:
                return
            except UserError as failure:
                value, error = None, failure
            shutil.rmtree(own, ignore_errors=True)
            yield Done(task, value, error, time.monotonic() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
