"""Tasks in this process and in two worker processes: the same results, whoever computes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.work import Work, noted, task
from tests.conftest import clean_environment
from tracker.cluster.engine import run_tasks
from tracker.cluster.progress import Count, duration
from tracker.cluster.tasks import ClusterError, Done, Place, content_key, fingerprint, release, threads_per_task


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_computes_them_results_are_the_same(tmp_path: Path, workers: int) -> None:
    told: list[dict[str, int]] = []
    notes, scratch = tmp_path / "notes", tmp_path / "scratch"
    tasks = [task(Work(number, notes), cost=number) for number in range(5)]
    tasks.append(task(Work(7, notes, wrong="user")))
    found = list(run_tasks(tasks, Place(workers), told=lambda task, message: told.append(message), scratch=scratch))
    assert {done.task.argument.number: done.value for done in found} == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16, 7: None}
    assert [done.reason for done in found if done.error] == ["7 is odd; name an even one"]
    assert sorted(message["began"] for message in told) == [0, 1, 2, 3, 4, 7]
    assert not scratch.exists()
    if workers == 1:
        assert [one.number for one in noted(notes)] == [4, 3, 2, 1, 7, 0], "the longest first"


def test_a_generator_that_is_closed_ends_what_runs(tmp_path: Path) -> None:
    notes, hold = tmp_path / "notes", tmp_path / "hold"
    hold.touch()
    running = run_tasks([task(Work(1, notes), cost=2), task(Work(2, notes, hold))], Place(2))
    assert next(running).value == 1
    running.close()
    assert [one.number for one in noted(notes, "cancelled")] == [one.number for one in noted(notes) if one.number == 2]


def test_keys_tell_contents_apart(tmp_path: Path) -> None:
    folder = tmp_path / "cup"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    first = fingerprint(folder), fingerprint(folder / "1.jpg"), content_key(folder, {"a": 1})
    assert first == (fingerprint(folder), fingerprint(folder / "1.jpg"), content_key(folder, {"a": 1}))
    (folder / "1.jpg").write_bytes(b"other")
    second = fingerprint(folder), fingerprint(folder / "1.jpg"), content_key(folder, {"a": 2})
    assert all(one != two for one, two in zip(first, second, strict=True))
    (folder / "1.jpg").write_bytes(b"third")
    assert fingerprint(folder) != second[0], "names and sizes are the same"
    assert release() == release() and release().startswith("0.")


def test_threads_are_shared_unless_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.cluster.tasks.cores", lambda: 8)
    assert threads_per_task(Place(3), {}) == 2 and threads_per_task(Place(20), {}) == 1
    assert threads_per_task(Place(cluster="tcp://there:8786"), {}) == 1, "the same on every worker"
    for name in ("DMB_THREADS", "OMP_NUM_THREADS"):
        assert threads_per_task(Place(3), {name: "4"}) is None


def test_a_count_tells_what_is_left(tmp_path: Path) -> None:
    tasks = [task(Work(number, tmp_path), cost=3.0) for number in range(2)]
    with Count(tasks, print, finished=4) as count:
        assert count.step(Done(tasks[0], 0)).startswith("5 of 6 done, about ")
        assert count.step(Done(tasks[1], error=ValueError())) == "5 of 6 done"
    assert [duration(seconds) for seconds in (3.2, 600, 7200)] == ["3 s", "10 min", "2.0 h"]


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ClusterError, match=r"--cluster is 'gone\.json', which is no file; name the scheduler's address"
    ):
        list(run_tasks([task(Work(1, tmp_path))], Place(cluster="gone.json")))


def test_without_distributed_one_process_works_and_two_are_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['distributed'] = None; sys.modules['dask'] = None\n"
        "from pathlib import Path\nfrom tests.cluster.work import Work, task\n"
        "from tracker.cluster.engine import run_tasks\nfrom tracker.cluster.tasks import Place\n"
        f"tasks = [task(Work(number, Path({str(tmp_path / 'notes')!r}))) for number in (2, 3)]\n"
        "print([done.value for done in run_tasks(tasks, Place())])\n"
        "try:\n    list(run_tasks(tasks, Place(2)))\nexcept ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean_environment())
    assert done.stdout.splitlines() == [
        "[4, 9]", "more than one process needs Dask's distributed; install it: pip install 'dmb-tracker[cluster]'",
    ], done.stderr  # fmt: skip
