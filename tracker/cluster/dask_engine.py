"""The submitting side on Dask: hands tasks out, attaches what a worker lacks, and says what goes wrong."""

from __future__ import annotations

import json
import logging
import pickle
import queue
import shutil
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import ProxyHandler, build_opener

import dask
from distributed import Client, Future, LocalCluster
from distributed.scheduler import KilledWorker

from tracker.cluster.launch import launcher
from tracker.cluster.remote import pack, stored_name
from tracker.cluster.tasks import ClusterError, Done, Input, Place, Task, release

TRIES = 3  # of a task that fails for a reason of its own, or whose worker ends
AHEAD = 4  # tasks for each thread that the scheduler holds
POLL = 0.1  # seconds
REFRESH = 1.0  # seconds between looks at which workers there are
GRACE = 8.0  # seconds that tasks may take to tell what they have finished, and to end, after an interruption
CONNECT = 15.0  # seconds
CLOSE = 2.0  # seconds to take leave in
LOOK = 2.0  # seconds for a dashboard to answer
PLOTS = "individual-plots.json"  # of a dashboard
GPU = "GPU"  # what workers with one announce: dask worker --resources GPU=1
CONFIGURATION = {
    # a task says itself how many threads it uses
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.allowed-failures": TRIES - 1,
    "distributed.comm.timeouts.connect": f"{CONNECT:.0f}s",
    "distributed.admin.log-length": 100,
}
QUIET = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"  # Ctrl-C reaches workers, too


def run_on_dask(
    tasks: Sequence[Task],
    place: Place,
    told: Callable[[Task, Any], None],
    interrupted: Callable[[], int | None],
    say: Callable[[str], None],
    scratch: Path | None,
    alone: bool,
) -> Generator[Done, None, None]:
    """As `tracker.cluster.engine.run_tasks`, which has sorted the tasks."""
    if not tasks:
        return
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is told in sentences
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(CONFIGURATION))
        address: Any = place.cluster
        if address is None:
            folder = Path(tempfile.mkdtemp(prefix="dmb_tasks_")) if scratch is None else scratch
            opened.callback(shutil.rmtree, folder, ignore_errors=True)
            address = opened.enter_context(_local_cluster(min(place.workers, len(tasks)), folder))
        client = _connected(address)
        opened.callback(client.close, timeout=CLOSE)
        run = _Run(client, tasks, place, told, say, alone)
        opened.callback(run.end)
        yield from run.results(interrupted)


def _local_cluster(workers: int, folder: Path) -> LocalCluster:
    folder.mkdir(parents=True, exist_ok=True)
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        local_directory=str(folder),
        memory_limit=0,  # a tracker may have all the memory that there is
        silence_logs=logging.CRITICAL,
        preload=[QUIET],
    )


def _connected(address: Any) -> Client:
    try:
        if not isinstance(address, str):
            return Client(address, set_as_default=False, timeout=CONNECT)
        if "://" not in address:
            if not Path(address).is_file():
                raise ClusterError(
                    f"--cluster is '{address}', which is no file; name the scheduler's address, tcp://HOST:8786, or "
                    "the file that dask scheduler --scheduler-file has written"
                )
            return Client(scheduler_file=address, set_as_default=False, timeout=CONNECT)
        return Client(address, set_as_default=False, timeout=CONNECT)
    except (OSError, ValueError) as error:
        if isinstance(error, ClusterError):
            raise
        raise ClusterError(
            f"no scheduler answers at '{address}' ({' '.join(str(error).split())[:200]}); start it with dask scheduler"
        ) from error


def _dashboard(client: Client) -> str | None:
    """Where the scheduler's dashboard is; None if it has none, or it cannot be reached from here.

    A scheduler without one has a page at that address too, but then its list of plots is empty.
    """
    if "dashboard" not in client.scheduler_info().get("services", {}):
        return None
    direct = build_opener(ProxyHandler({}))
    try:
        with direct.open(urljoin(client.dashboard_link, PLOTS), timeout=LOOK) as answer:
            return str(client.dashboard_link) if json.load(answer) else None
    except (OSError, ValueError, KeyError, HTTPException):
        return None


class _Run:
    """Tasks on their way."""

    def __init__(
        self,
        client: Client,
        tasks: Sequence[Task],
        place: Place,
        told: Callable[[Task, Any], None],
        say: Callable[[str], None],
        alone: bool,
    ) -> None:
        self.client, self.place, self.told, self.say, self.alone = client, place, told, say, alone
        self.waiting = deque(tasks)
        self.total, self.finished = len(tasks), 0
        self.tasks = {task.key: task for task in tasks}
        self.topic = f"dmb-{uuid.uuid4().hex}"
        self.launch = launcher()
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.futures: dict[Future, tuple[Task, str]] = {}  # with the host that a timed one has for itself
        self.running: dict[str, str] = {}  # addresses of workers by the tasks' keys
        self.refused: dict[str, str] = {}  # sentences by worker
        self.sent: dict[str, Future] = {}  # by digest
        self.number = 0
        self.idle = False
        self.known: dict[str, dict[str, Any]] = {}
        self.asked = 0.0
        client.subscribe_topic(self.topic, self.inbox.put)
        link = None if place.cluster is None else _dashboard(client)
        if link is not None:
            say(f"dashboard: {link}")

    def results(self, interrupted: Callable[[], int | None]) -> Generator[Done, None, None]:
        """Yield tasks as they end."""
        while self.waiting or self.futures:
            if interrupted() is not None:
                return
            self._submit()
            yield from self._collect()
        self._drain(0.0)

    def _workers(self) -> dict[str, dict[str, Any]]:
        """Workers by address, as they were a moment ago: asking costs as much as a task."""
        if not self.known or time.monotonic() - self.asked > REFRESH:
            self.known, self.asked = dict(self.client.scheduler_info(n_workers=-1)["workers"]), time.monotonic()
        return self.known

    def _submit(self) -> None:
        workers = {address: facts for address, facts in self._workers().items() if address not in self.refused}
        if not workers:
            self._without_workers()
            return
        self.idle = False
        threads = sum(facts["nthreads"] for facts in workers.values())
        if not self.alone:
            while self.waiting and len(self.futures) < AHEAD * threads:
                self._start(self.waiting.popleft(), workers)
            return
        busy = {host for _, host in self.futures.values()}
        for address, facts in workers.items():
            host = str(facts.get("host") or address)
            if self.waiting and host not in busy:
                busy.add(host)
                self._start(self.waiting.popleft(), workers, only=address, host=host)

    def _without_workers(self) -> None:
        if self.refused and not self.futures:
            address, sentence = next(iter(self.refused.items()))
            raise ClusterError(f"worker {address} {sentence}")
        if not self.idle and not self.futures:
            self.idle = True
            self.say(f"'{self.place.cluster}' has no workers yet; waiting for one (Ctrl-C ends this)")

    def _start(
        self,
        task: Task,
        workers: dict[str, dict[str, Any]],
        only: str | None = None,
        host: str = "",
        sent: Sequence[Future] = (),
    ) -> None:
        self.number += 1
        chosen: dict[str, Any] = {}
        if only is not None:
            chosen = {"workers": [only], "allow_other_workers": True}
        elif self.refused:
            chosen = {"workers": list(workers)}
        if task.gpu and any(GPU in facts.get("resources", {}) for facts in workers.values()):
            chosen["resources"] = {GPU: 1}
        future = self.client.submit(
            self.launch, pickle.dumps(task), release(), self.topic, *sent,
            key=f"dmb-{task.key}-{self.topic[-8:]}-{self.number}", retries=TRIES - 1, priority=-self.number, **chosen,
        )  # fmt: skip
        self.futures[future] = task, host
        future.add_done_callback(self.inbox.put)

    def _collect(self) -> Generator[Done, None, None]:
        """Wait for news, and handle all there are."""
        ended = self._news(POLL)
        good = [future for future in ended if future.status == "finished"]
        answers = dict(zip(good, self.client.gather(good, direct=False), strict=True)) if good else {}
        for future in ended:
            if future.status == "cancelled" or not self._connected():
                raise self._lost()
            if future.status in ("lost", "pending"):  # its worker ended with the result; it is computed again
                future.add_done_callback(self.inbox.put)
                continue
            task, host = self.futures.pop(future)
            if future in answers:
                done = self._done(task, host, answers[future])
            else:
                done = Done(task, error=_failure(future.exception()))
            future.release()
            if done is not None:
                self.finished += done.error is None
                yield done

    def _connected(self) -> bool:
        return self.client.status == "running"

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the connection to the scheduler '{self.place.cluster or 'of this machine'}' was lost; what is finished "
            f"is kept ({self.finished} of {self.total} tasks of this run), and the same command goes on"
        )

    def _news(self, seconds: float) -> list[Future]:
        """Handle what tasks tell; returns those that have ended."""
        ended: list[Future] = []
        if not self._connected():
            raise self._lost()
        with suppress(queue.Empty):
            item = self.inbox.get(timeout=seconds)
            while True:
                if isinstance(item, Future):
                    if item in self.futures:
                        ended.append(item)
                else:
                    self._event(item[1])
                item = self.inbox.get_nowait()
        return ended

    def _event(self, event: dict[str, Any]) -> None:
        key = event["key"]
        if "began" in event:
            if key in self.running:
                self.say(f"{self.tasks[key].label}: its worker {self.running[key]} has ended; it runs again")
            self.running[key] = event["began"]
        elif "ended" in event:
            self.running.pop(key, None)
        else:
            self.told(self.tasks[key], event["told"])

    def _done(self, task: Task, host: str, answer: dict[str, Any]) -> Done | None:
        """A task's end; None if it has to run elsewhere, or with what it lacked."""
        if "value" in answer:
            return Done(task, answer["value"], None, answer["seconds"])
        if "error" in answer:
            return Done(task, None, answer["error"], answer["seconds"])
        if "cancelled" in answer:  # not by us: its worker is about to end
            self.waiting.appendleft(task)
            return None
        address = answer["worker"]
        if "missing" in answer:
            lacking = [wanted for wanted in task.inputs if str(wanted.path) in answer["missing"]]
            unsent = [wanted for wanted in lacking if not (wanted.sent or self.place.send)]
            if not unsent:
                attached = [self._attached(wanted) for wanted in lacking]
                self._start(task, {}, only=address, host=host, sent=attached)
                return None
            answer["refused"] = (
                f"does not see '{unsent[0].path}' or sees something else there; share that folder with it, or add "
                "--send to have such files sent"
            )
        if address not in self.refused:
            self.refused[address] = answer["refused"]
            self.say(f"worker {address} {answer['refused']}")
        self.waiting.appendleft(task)
        return None

    def _attached(self, wanted: Input) -> Future:
        """Something that a worker lacks, on its way; weights are read once."""
        if wanted.digest not in self.sent:
            content = (stored_name(wanted), pack(wanted.path))
            (self.sent[wanted.digest],) = self.client.scatter([content], direct=False)
        return self.sent[wanted.digest]

    def _drain(self, seconds: float) -> None:
        """Hear what tasks still tell."""
        end = time.monotonic() + seconds
        with suppress(ClusterError):
            self._news(0.01)
            while time.monotonic() < end and self.running:
                self._news(POLL)

    def end(self) -> None:
        """Take back what is running, and wait until it has ended."""
        if not self._connected():
            return
        self.waiting.clear()
        with suppress(Exception):
            self.client.cancel(list(self.futures), force=True)
            self.futures.clear()
            self._drain(GRACE)


def _failure(error: BaseException) -> Exception:
    """Why a task has no result, for people."""
    if isinstance(error, KilledWorker):
        return ClusterError("its workers ended each time, perhaps for lack of memory; use fewer --workers")
    return error if isinstance(error, Exception) else RuntimeError(str(error))
