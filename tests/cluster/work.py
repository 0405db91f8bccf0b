"""What workers are given to do in tests: it notes where and when it ran."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tracker.cluster.tasks import Context, Input, Task, TaskCancelledError, content_key
from tracker.errors import UserError


@dataclass(frozen=True)
class Note:
    """A line that a task has noted."""

    number: int
    what: str
    process: int
    folder: Path
    time: float


@dataclass(frozen=True)
class Work:
    """What a task does: notes, waits while a file exists, and squares a number."""

    number: int
    notes: Path
    hold: Path | None = None
    read: Path | None = None
    wrong: str = ""
    seconds: float = 0.0


def square(work: Work, context: Context) -> int:
    """The square of a number; what is read counts, too."""
    note(work, "began")
    context.tell({"began": work.number})
    end = time.monotonic() + work.seconds
    while (work.hold is not None and work.hold.exists()) or time.monotonic() < end:
        if context.cancelled():
            note(work, "cancelled")
            raise TaskCancelledError
        time.sleep(0.02)
    if work.wrong == "user":
        raise UserError(f"{work.number} is odd; name an even one")
    if work.wrong == "defect":
        raise RuntimeError("no such thing")
    if work.wrong == "disk":
        (context.scratch / "large").write_bytes(bytes(8 << 20))
    if work.wrong == "death":
        os._exit(1)
    content = 0 if work.read is None else len(read(context.local(work.read)))
    note(work, "ended")
    return work.number**2 + content


def read(path: Path) -> bytes:
    """A file's bytes, or those of all in a folder."""
    return path.read_bytes() if path.is_file() else b"".join(one.read_bytes() for one in sorted(path.iterdir()))


def note(work: Work, what: str) -> None:
    """Append a line, whole even if others do so, too."""
    line = f"{work.number}\t{what}\t{os.getpid()}\t{os.getcwd()}\t{time.monotonic()}\n"
    file = os.open(work.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def noted(notes: Path, what: str = "began") -> list[Note]:
    """What has been noted so far."""
    rows = [line.split("\t") for line in notes.read_text().splitlines()] if notes.exists() else []
    every = [Note(int(number), word, int(pid), Path(where), float(at)) for number, word, pid, where, at in rows]
    return [one for one in every if one.what == what]


def task(work: Work, *inputs: Input, cost: float = 1.0, gpu: bool = False) -> Task:
    """A task for a worker."""
    return Task(f"number {work.number}", content_key(work), square, work, cost, inputs, gpu)
