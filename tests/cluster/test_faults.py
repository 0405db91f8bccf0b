"""Whatever breaks on a cluster: a real scheduler, and worker processes in different folders."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.machines import Machines
from tests.cluster.work import Work, noted, task
from tests.conftest import CHECKOUT
from tests.robustness.disks import mounted
from tracker.cluster.engine import run_tasks
from tracker.cluster.tasks import ClusterError, Done, Input, Place, Task, file_digest, fingerprint, release

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two healthy workers; tests that break one start their own."""
    with Machines(tmp_path_factory.mktemp("pair")) as machines:
        machines.worker("one")
        machines.worker("two")
        yield machines


def run(machines: Machines, tasks: list[Task], *, send: bool = False, **options: object) -> dict[int, Done]:
    place = Place(cluster=str(machines.file), send=send)
    return {done.task.argument.number: done for done in run_tasks(tasks, place, **options)}  # type: ignore[arg-type]


def works(notes: Path, count: int = 6, **options: object) -> list[Work]:
    return [Work(number, notes, **options) for number in range(count)]  # type: ignore[arg-type]


def test_two_workers_in_different_folders_share_the_work(pair: Machines, tmp_path: Path) -> None:
    told: list[object] = []
    notes = tmp_path / "notes"
    found = run(
        pair, [task(work) for work in works(notes, seconds=0.2)], told=lambda task, message: told.append(message)
    )
    assert {number: done.value for number, done in found.items()} == {number: number**2 for number in range(6)}
    assert {one.folder.name for one in noted(notes)} == {"one", "two"} and len(noted(notes)) == 6
    assert sorted(message["began"] for message in told) == list(range(6))  # type: ignore[index]


def test_a_task_that_fails_three_times_is_named_and_the_others_finish(pair: Machines, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    tasks = [task(work) for work in works(notes, 4)]
    tasks += [task(Work(7, notes, wrong="defect")), task(Work(9, notes, wrong="user"))]
    found = run(pair, tasks)
    assert [found[number].value for number in range(4)] == [0, 1, 4, 9]
    assert found[7].reason == "RuntimeError: no such thing" and found[9].reason == "9 is odd; name an even one"
    tries = [one.number for one in noted(notes)]
    assert tries.count(7) == 3, "it is tried again, perhaps elsewhere"
    assert tries.count(9) == 1, "what the user must mend fails everywhere"


def test_what_a_worker_lacks_is_sent_once_and_checked(
    pair: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, notes = Path("/proc/self/cwd"), tmp_path / "notes"  # another folder in each process
    (tmp_path / "weights.bin").write_bytes(b"w" * 1000)
    (tmp_path / "cup").mkdir()
    (tmp_path / "cup" / "1.jpg").write_bytes(b"p" * 50)
    weights = Input(here / "weights.bin", file_digest(here / "weights.bin"), sent=True)
    (pair.folder / "one" / "weights.bin").write_bytes(b"other")
    tasks = [task(work, weights) for work in works(notes, read=weights.path, seconds=0.1)]
    found = run(pair, tasks)
    assert [found[number].value for number in range(6)] == [number**2 + 1000 for number in range(6)]
    kept = list(pair.folder.glob("*/dask-scratch-space/*/dmb_received/*/weights.bin"))
    assert len(kept) == 2 and all(path.read_bytes() == b"w" * 1000 for path in kept)

    sequence = Input(here / "cup", fingerprint(here / "cup"))
    lines: list[str] = []
    with pytest.raises(ClusterError, match=r"worker .* does not see '/proc/self/cwd/cup' .*--send"):
        run(pair, [task(Work(3, notes, read=sequence.path), sequence)], say=lines.append)
    assert len([line for line in lines if line.startswith("worker")]) == 2, "both workers were asked"
    found = run(pair, [task(Work(3, notes, read=sequence.path), sequence)], send=True)
    assert found[3].value == 9 + 50
    changed = Input(weights.path, "0" * 64, sent=True)
    found = run(pair, [task(Work(3, notes, read=weights.path), changed)])
    assert found[3].reason == "'/proc/self/cwd/weights.bin' was changed while this ran; run the same command again"


def test_timed_tasks_have_their_machine_for_themselves(pair: Machines, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    run(pair, [task(work) for work in works(notes, 4, seconds=0.2)], alone=True)
    spans = sorted((begin.time, end.time) for begin, end in zip(noted(notes), noted(notes, "ended"), strict=True))
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans)), "both are on one machine"


def test_an_interruption_ends_what_is_running(pair: Machines, tmp_path: Path) -> None:
    notes, hold = tmp_path / "notes", tmp_path / "hold"
    hold.touch()
    tasks = [task(Work(1, notes)), *(task(Work(number, notes, hold)) for number in (2, 3))]
    found = run(
        pair, tasks, interrupted=lambda: signal.SIGINT if len(noted(notes)) == 3 and noted(notes, "ended") else None
    )
    assert set(found) <= {1}
    assert {one.number for one in noted(notes, "cancelled")} == {2, 3}, "the workers were told"
    hold.unlink()
    assert run(pair, [task(Work(5, notes))])[5].value == 25, "and take other work"


def test_a_killed_worker_costs_its_task_nothing_but_time(tmp_path: Path) -> None:
    notes, hold = tmp_path / "notes", tmp_path / "hold"
    hold.touch()
    with Machines(tmp_path / "machines") as machines:
        for name in ("one", "two"):
            machines.worker(name)
        lines: list[str] = []
        found: dict[int, Done] = {}
        place = Place(cluster=str(machines.file))
        tasks = [task(Work(0, notes, hold), cost=9), *(task(work) for work in works(notes)[1:])]
        running = run_tasks(tasks, place, say=lines.append)
        for done in running:
            found[done.task.argument.number] = done
            if len(found) == 2:  # the first task waits on a worker
                (victim,) = [one for one in noted(notes) if one.number == 0]
                machines.workers[victim.folder.name].kill()
                machines.workers[victim.folder.name].wait()
                hold.unlink()
        assert {number: done.value for number, done in found.items()} == {number: number**2 for number in range(6)}
        began = [one.number for one in noted(notes)]
        assert began.count(0) == 2 and all(began.count(number) == 1 for number in range(1, 6)), "nothing twice"
        assert len({one.folder for one in noted(notes) if one.number == 0}) == 2
        assert any(line.startswith("number 0: its worker ") and "runs again" in line for line in lines)


def test_a_killed_scheduler_is_one_sentence_and_the_rest_goes_on_with_another(tmp_path: Path) -> None:
    notes, hold = tmp_path / "notes", tmp_path / "hold"
    hold.touch()
    found: dict[int, Done] = {}
    tasks = [task(work) for work in works(notes, 3)] + [task(Work(8, notes, hold), cost=0.5)]
    with Machines(tmp_path / "machines") as machines:
        for name in ("one", "two"):
            machines.worker(name)
        with pytest.raises(ClusterError, match=r"connection to the scheduler .* was lost; .*\(3 of 4 .*goes on"):
            for done in run_tasks(tasks, Place(cluster=str(machines.file))):
                found[done.task.argument.number] = done
                if len(found) == 3:
                    machines.scheduler.kill()
    assert set(found) == {0, 1, 2}
    hold.unlink()
    with Machines(tmp_path / "again") as machines:
        machines.worker("three")
        left = [each for each in tasks if each.argument.number not in found]
        assert run(machines, left)[8].value == 64
    with pytest.raises(ClusterError, match="no scheduler answers at"):
        list(run_tasks(left, Place(cluster="tcp://127.0.0.1:9")))


def test_a_worker_of_another_version_or_without_dmb_is_refused(tmp_path: Path) -> None:
    other, none = tmp_path / "other", tmp_path / "none"
    shutil.copytree(CHECKOUT / "tracker", other / "tracker", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "vot_workspace", other / "vot_workspace", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "tracker" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    (none / "tracker").mkdir(parents=True)
    (none / "tracker" / "__init__.py").touch()
    lines: list[str] = []
    notes = tmp_path / "notes"
    with Machines(tmp_path / "machines") as machines:
        machines.worker("old", path=other)
        sentence = rf"worker tcp://\S+ has DMB 0\.0\.1 \(\w+\), and this is {release()[:5]}.*install the same version"
        with pytest.raises(ClusterError, match=sentence):
            run(machines, [task(work) for work in works(notes, 2)])
        machines.worker("bare", path=none)
        with pytest.raises(ClusterError, match=r"has .*DMB"):
            run(machines, [task(work) for work in works(notes)], say=lines.append)
        refused = [line for line in lines if line.startswith("worker")]
        assert len(refused) == 2, "each is named once"
        assert any("has no DMB (" in line for line in refused), refused
        machines.worker("good")
        found = run(machines, [task(work) for work in works(notes, seconds=0.1)])
        assert [found[number].value for number in range(6)] == [number**2 for number in range(6)]
    assert {one.folder.name for one in noted(notes)} == {"good"}


def test_a_worker_whose_disk_is_full_names_the_task(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    notes = tmp_path / "notes"
    with mounted(tmp_path / "small", "size=2m") as disk, Machines(tmp_path / "machines") as machines:
        machines.worker("small", "--local-directory", str(disk))
        found = run(machines, [task(Work(2, notes, wrong="disk")), task(Work(3, notes))])
    assert "No space left on device" in found[2].reason and found[3].value == 9


def test_a_task_that_ends_its_workers_is_given_up(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    found = {
        done.task.argument.number: done
        for done in run_tasks([task(Work(1, notes, wrong="death")), task(Work(3, notes))], Place(2))
    }
    assert found[3].value == 9 and "its workers ended each time" in found[1].reason
    assert len([one for one in noted(notes) if one.number == 1]) == 3


def test_tasks_for_a_gpu_go_where_one_is_announced(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with Machines(tmp_path / "machines") as machines:
        machines.worker("plain")
        machines.worker("gpu", "--resources", "GPU=1", threads=2)
        found = run(machines, [task(work, gpu=True) for work in works(notes, 4, seconds=0.2)])
    assert len(found) == 4 and {one.folder.name for one in noted(notes)} == {"gpu"}
    begins, ends = noted(notes), noted(notes, "ended")
    assert all(end.time <= begin.time for begin, end in zip(begins[1:], ends, strict=False)), "one GPU, one task"


@pytest.mark.parametrize("kind", ["a dashboard", "no bokeh", "switched off"])
def test_a_dashboard_is_named_where_there_is_one(tmp_path: Path, kind: str) -> None:
    words = ["--no-dashboard"] if kind == "switched off" else ["--dashboard", "--dashboard-address", "127.0.0.1:0"]
    if kind == "no bokeh" and importlib.util.find_spec("bokeh") is not None:
        pytest.skip("bokeh is installed")
    routes = "tests.cluster.dashboard" if kind == "a dashboard" else "distributed.http.scheduler.info"
    variables = {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": f"['{routes}']"}
    lines: list[str] = []
    with Machines(tmp_path / "machines", *words, **variables) as machines:
        machines.worker("one")
        found = run(machines, [task(Work(3, tmp_path / "notes"))], say=lines.append)
        assert found[3].value == 9
    named = [line for line in lines if line.startswith("dashboard: ")]
    assert len(named) == (kind == "a dashboard")
    assert all(re.fullmatch(r"dashboard: http://127\.0\.0\.1:\d+/status", line) for line in named)


def test_nothing_is_left_behind(pair: Machines, tmp_path: Path) -> None:
    run(pair, [task(work) for work in works(tmp_path / "notes")])
    assert not list(pair.folder.glob("*/dask-scratch-space/*/dmb_task_*"))
    assert os.getpid() not in {one.process for one in noted(tmp_path / "notes")}
