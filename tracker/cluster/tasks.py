"""What is computed on workers: pure functions of their inputs, each with a key of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tracker import __version__
from tracker.errors import UserError, explained

if TYPE_CHECKING:
    from tracker.settings import Settings

Made = TypeVar("Made")
PACKAGES = Path(__file__).resolve().parent.parent.parent  # the folder that holds `tracker` and `vot_workspace`
ENDS = 1 << 20  # bytes of a large file's beginning and end that its fingerprint reads


class ClusterError(UserError):
    """A cluster cannot be used; the message says what to do."""


class TaskCancelledError(Exception):
    """Nobody wants this task's result any more."""


class Context(Protocol):
    """What a task may ask of whoever runs it."""

    @property
    def scratch(self) -> Path:
        """An existing folder for temporary files; what is left in it is removed some time."""

    def cancelled(self) -> bool:
        """Whether the result is wanted no more; a task asks often, and then raises `TaskCancelledError`."""

    def tell(self, message: Any) -> None:
        """Tell the submitting side something: numbers, text, bytes, and lists and dictionaries of these."""

    def local(self, path: Path) -> Path:
        """Where one of the task's inputs lies on this machine."""


@dataclass(frozen=True)
class Input:
    """A file or folder that a task reads.

    Attributes:
        path: absolute, on the submitting side.
        digest: `file_digest` of a file, `fingerprint` of a folder, which must be the very same everywhere.
        sent: whether a worker that does not see it, or sees another one, is always sent it; else only if the user
            has asked for that.
    """

    path: Path
    digest: str
    sent: bool = False


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        label: for messages.
        key: of all that the result depends on, see `content_key`.
        function: of a module; takes `argument` and a `Context`, and its result can be pickled. It raises `UserError`
            for what fails wherever it runs; after any other error it is tried again.
        argument: can be pickled.
        cost: the largest come first, so that no worker is left alone with one.
        inputs: what it reads.
        gpu: whether it uses a GPU where there is one.
    """

    label: str
    key: str
    function: Callable[[Any, Context], Any]
    argument: Any
    cost: float = 1.0
    inputs: tuple[Input, ...] = ()
    gpu: bool = False


@dataclass(frozen=True)
class Done:
    """A task that has ended.

    Attributes:
        task: which one.
        value: its result.
        error: why there is none.
        seconds: that it took where it ran.
    """

    task: Task
    value: Any = None
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """Why there is no result, for people."""
        error = self.error or TaskCancelledError()
        return explained(error) or f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Place:
    """Where tasks run.

    Attributes:
        workers: processes on this machine; 1: this process alone.
        cluster: address or file of a scheduler that runs; None: no other machine.
        send: whether workers are sent the inputs that they do not see.
    """

    workers: int = 1
    cluster: str | None = None
    send: bool = False

    @property
    def alone(self) -> bool:
        """Whether all runs in this process."""
        return self.workers == 1 and self.cluster is None


class Kept(threading.local):
    """What a worker's thread keeps from one task to the next: the last network, since loading one takes seconds."""

    key: Any = None
    made: Any = None

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for an equal key, or is made now."""
        if self.key != key:
            self.made, self.key = make(), key
        return self.made


KEPT = Kept()


def kept_tracker(load: Callable[[Settings], Made], settings: Settings, context: Context) -> Made:
    """What `load` makes of settings, with the weights where they lie on this machine."""
    if settings.weights is not None:
        settings = replace(settings, weights=str(context.local(Path(settings.weights))))
    made: Made = KEPT.get((load, settings), lambda: load(settings))
    return made


def weights_input(weights: str | Path | None) -> tuple[Input, ...]:
    """A weights file, if there is one: it is sent to workers that lack it. Raises OSError."""
    return () if weights is None else (Input(Path(weights), file_digest(Path(weights)), sent=True),)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_per_task(place: Place, environ: Mapping[str, str]) -> int | None:
    """CPU threads that DMB is to use in each task; None where the user has chosen.

    They are the same on every worker of a cluster, since answers depend on them in the last digits.
    """
    if environ.get("DMB_THREADS") or environ.get("OMP_NUM_THREADS"):
        return None
    return 1 if place.cluster is not None else max(1, cores() // place.workers)


def content_key(*parts: Any) -> str:
    """32 hexadecimal digits of values that JSON can write; others are written as text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """SHA-256 of a file; raises OSError."""
    facts = path.stat()
    return _file_digest(path, facts.st_size, facts.st_mtime_ns)


@cache
def _file_digest(path: Path, size: int, stamp: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """What tells a file or folder from another one.

    Of files size, beginning and end; of folders the names and sizes of all files, and that of a few of these.
    """
    if path.is_dir():
        files = sorted(Path(root, name) for root, _, names in os.walk(path, followlinks=True) for name in names)
        sizes = sorted((each.relative_to(path).as_posix(), each.stat().st_size) for each in files)
        return content_key(sizes, *map(fingerprint, files[:: len(files) // 4 + 1]))
    made = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        made.update(file.read(ENDS))
        file.seek(max(file.tell(), path.stat().st_size - ENDS))
        made.update(file.read())
    return made.hexdigest()


@cache
def release() -> str:
    """This version of the code: its number, and 12 hexadecimal digits of all its sources."""
    made = hashlib.sha256()
    for room in ("tracker", "vot_workspace"):
        for path in sorted((PACKAGES / room).rglob("*.py")):
            made.update(f"{path.relative_to(PACKAGES)}\n".encode() + path.read_bytes())
    return f"{__version__} ({made.hexdigest()[:12]})"
