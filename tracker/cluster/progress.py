"""How far many tasks are: a bar with the time that is left on a terminal, lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

from tracker.cluster.tasks import Done, Task


class Count:
    """Counts tasks that end.

    Args:
        tasks: that are to be run.
        say: takes a line.
        finished: how many others are finished already.
    """

    def __init__(self, tasks: list[Task], say: Callable[[str], None], finished: int = 0) -> None:
        self.ends, self.all, self.write = finished, finished + len(tasks), say
        self.cost, self.done, self.began = sum(task.cost for task in tasks), 0.0, time.monotonic()
        self.bar: tqdm | None = None
        if sys.stderr.isatty() and tasks:
            form = "{percentage:3.0f}%|{bar}| {postfix}[{elapsed}<{remaining}]"
            self.bar = tqdm(total=self.cost, file=sys.stderr, bar_format=form, dynamic_ncols=True, leave=False)

    def say(self, line: str) -> None:
        """A line, without tearing the bar."""
        with tqdm.external_write_mode(file=sys.stdout):
            self.write(line)

    def step(self, done: Done) -> str:
        """A task has ended; returns how many are done, and how long the others will take."""
        self.done += done.task.cost
        self.ends += done.error is None
        count = f"{self.ends} of {self.all} done"
        if self.bar is not None:
            self.bar.set_postfix_str(f"{count} ", refresh=False)
            self.bar.update(done.task.cost)
        rest = (self.cost - self.done) * (time.monotonic() - self.began) / max(self.done, 1e-9)
        return f"{count}, about {duration(rest)} left" if self.done < self.cost else count

    def __enter__(self) -> Count:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
