"""A worker's side: finds what a task reads, runs it, and answers what has become of it."""

from __future__ import annotations

import io
import pickle
import shutil
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import get_worker

from tracker.cluster.tasks import Input, Task, TaskCancelledError, file_digest, fingerprint
from tracker.errors import UserError
from tracker.files import replacing

RECEIVED = "dmb_received"  # folder of a worker


def pack(path: Path) -> bytes:
    """A file's content, or a folder as a tar archive without links; raises OSError."""
    if path.is_file():
        return path.read_bytes()
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", dereference=True) as archive:
        archive.add(path, path.name)
    return written.getvalue()


class WorkerContext:
    """`tracker.cluster.tasks.Context` on a worker of Dask."""

    def __init__(self, task: Task, topic: str, scratch: Path) -> None:
        self.task, self.topic, self.scratch = task, topic, scratch
        self.worker: Any = get_worker()
        self.key = self.worker.get_current_task()
        self.places: dict[Path, Path] = {}

    def cancelled(self) -> bool:
        """Whether the scheduler has taken the task away, or this worker is about to end."""
        state = self.worker.state.tasks.get(self.key)
        return state is None or state.state in ("cancelled", "released") or "clos" in self.worker.status.name

    def tell(self, message: Any) -> None:
        """Through the scheduler, at once."""
        self.worker.log_event(self.topic, {"key": self.task.key, "told": message})

    def local(self, path: Path) -> Path:
        """Where an input lies."""
        return self.places.get(path, path)

    def find(self, sent: Sequence[tuple[str, bytes]]) -> list[str]:
        """Find all inputs, of which some may just have been sent; returns the paths of those that are missing.

        Raises:
            UserError: what was sent is not what was wanted.
        """
        store = Path(self.worker.local_directory) / RECEIVED
        for name, content in sent:
            _keep(store / name, content)
        missing = []
        for wanted in self.task.inputs:
            own = store / stored_name(wanted)
            found = next((path for path in (wanted.path, own) if _is(path, wanted)), None)
            if found is None and stored_name(wanted) in dict(sent):  # to be sent it once more would not end
                raise UserError(f"'{wanted.path}' was changed while this ran; run the same command again")
            if found is None:
                missing.append(str(wanted.path))
            else:
                self.places[wanted.path] = found
        return missing


def stored_name(wanted: Input) -> str:
    """Where a worker keeps an input that it was sent: a folder's name stays, since it is a sequence's."""
    return f"{wanted.digest}/{wanted.path.name}"


def _is(path: Path, wanted: Input) -> bool:
    try:
        return (fingerprint(path) if path.is_dir() else file_digest(path)) == wanted.digest
    except OSError:
        return False


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    if content[257:262] != b"ustar":  # a tar archive's mark
        with replacing(path) as draft:
            draft.write_bytes(content)
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as draft_folder:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(draft_folder, filter="data")
        try:
            (Path(draft_folder) / path.name).rename(path)
        except OSError:  # another thread was faster
            if not path.exists():
                raise


def answer(packed: bytes, topic: str, sent: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    """Run a task on this worker.

    Args:
        packed: the task.
        topic: where to tell of it.
        sent: names and contents of inputs that come with it.

    Returns:
        One of "value" (with "seconds"), "error" (of the user's input) and "missing" (inputs that are not here, with
        this "worker"). Any other error is raised, and the scheduler lets the task be tried again.
    """
    task: Task = pickle.loads(packed)
    worker = get_worker()
    folder = Path(tempfile.mkdtemp(prefix="dmb_task_", dir=worker.local_directory))
    context = WorkerContext(task, topic, folder)
    worker.log_event(topic, {"key": task.key, "began": worker.address})
    try:
        missing = context.find(sent)
        if missing:
            return {"missing": missing, "worker": worker.address}
        began = time.monotonic()
        value = task.function(task.argument, context)
        return {"value": value, "seconds": time.monotonic() - began}
    except TaskCancelledError:
        return {"cancelled": True}
    except UserError as error:
        return {"error": error, "seconds": 0.0}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        worker.log_event(topic, {"key": task.key, "ended": worker.address})
