"""`dmb evaluate` runs the official toolkit in several processes, and leaves what one run of it would leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.machines import Machines, wait_until
from tests.conftest import CHECKOUT, clean_environment
from tests.end_to_end.workspace import Video, straight
from tests.vot_workspace.mask_folders import label, write_video
from vot_workspace.parallel import SETTINGS

pytestmark = pytest.mark.end_to_end

EXPERIMENTS = {
    "baseline": {
        "type": "supervised", "repetitions": 5, "skip_initialize": 2, "analyses": [{"type": "supervised_average_ar"}],
    },
    "starts": {"type": "multistart", "analyses": [{"type": "multistart_average_ar"}]},
    "realtime": {"type": "supervised", "repetitions": 1, "realtime": {"grace": 3}},
    "unsupervised": {"type": "unsupervised", "repetitions": 2, "early_stop": False},
}  # fmt: skip
LENGTHS = {"long": 12, "middle": 9, "short": 6}

TRACKER = '''\
"""A still tracker that notes its initializations in a file; while another exists, it waits in all but the first."""
import os, sys, time
from tests.doubles import StillTracker
from tracker.trax_server import Model, main


class Noting(StillTracker):
    def initialize(self, image, region, *, masks=True):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{os.getpid()} {image.mean():.4f}\\n")
        return super().initialize(image, region, masks=masks)

    def track(self, image):
        while os.path.exists(os.environ["HOLD"]) and len(open(os.environ["NOTES"]).readlines()) > 1:
            time.sleep(0.05)
        assert os.environ["DMB_THREADS"] == os.environ.get("EXPECTED", "1"), os.environ["DMB_THREADS"]
        return super().track(image)


if __name__ == "__main__":
    sys.exit(main(load=lambda settings: Model(Noting, "the noting double")))
'''


def environment(**variables: str) -> dict[str, str]:
    nowhere = "http://127.0.0.1:9"  # the toolkit asks the network for its newest version; tests do not
    return clean_environment(HTTPS_PROXY=nowhere, https_proxy=nowhere, DMB_THREADS="1") | variables


class Workspace:
    """A workspace with all types of experiments and a tracker that notes its initializations."""

    def __init__(self, folder: Path, experiments: tuple[str, ...] = tuple(EXPERIMENTS), *, held: bool = False) -> None:
        self.folder, self.notes = folder, folder.parent / f"{folder.name}.notes"
        self.hold = folder.parent / f"{folder.name}.hold"
        folder.mkdir()
        if held:
            self.hold.touch()
        for name, length in LENGTHS.items():
            path = straight(length, (50, 60), (9 if name == "long" else 0.5, 0))
            video = Video(name, {"object": path}, "polygon", {0: 1, length // 2: 1, length - 1: -1})
            video.write(folder / "sequences" / name)
        (folder / "sequences" / "list.txt").write_text("".join(f"{name}\n" for name in ("short", "long", "middle")))
        chosen = {name: EXPERIMENTS[name] for name in experiments}
        (folder / "stack.yaml").write_text(yaml.safe_dump({"title": "Test", "experiments": chosen}))
        (folder / "config.yaml").write_text("registry: [./trackers.ini]\nstack: ./stack.yaml\n")
        (folder / "noting.py").write_text(TRACKER)
        lines = ["protocol = traxpython", "command = noting", f"paths = .{os.pathsep}{CHECKOUT}", "timeout = 300"]
        lines += [f"env_NOTES = {self.notes}", f"env_HOLD = {self.hold}"]
        (folder / "trackers.ini").write_text("\n".join(["[Noting]", *lines, "[Other]", *lines]) + "\n")

    def start(
        self, *arguments: str, workers: int = 2, own_group: bool = False, **variables: str
    ) -> subprocess.Popen[str]:
        words = ["-m", "tracker.cli.main", "evaluate", "--workspace", str(self.folder)]
        words += ["--workers", str(workers)] if workers else []
        return subprocess.Popen(
            [sys.executable, *words, *(arguments or ("Noting",))],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=own_group,
        )

    def evaluate(self, *arguments: str, workers: int = 2, code: int = 0, **variables: str) -> str:
        """Run the command; returns its output, both streams."""
        process = self.start(*arguments, workers=workers, **variables)
        output = "".join(process.communicate())
        assert process.returncode == code, output
        return output

    def vot(self, *arguments: str) -> None:
        words = [sys.executable, "-m", "vot", *arguments, "--workspace", str(self.folder)]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def files(self) -> dict[str, bytes]:
        """Everything that an evaluation may leave, but for times, logs, and the settings that ours notes."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith("_time.value")]
        names = {str(path.relative_to(self.folder)): path for path in paths}
        ignored = ("logs/", "__pycache__/")
        kept = {name: path for name, path in names.items() if not name.startswith(ignored) and path.name != SETTINGS}
        return {name: path.read_bytes() for name, path in kept.items()}

    def results(self) -> dict[str, bytes]:
        """Of these, the results."""
        return {name: content for name, content in self.files().items() if name.startswith("results/")}

    def times(self) -> dict[str, int]:
        found = self.folder.rglob("*_time.value")
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in found}

    def initializations(self) -> int:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0

    def processes(self) -> set[int]:
        return {int(line.split()[0]) for line in self.notes.read_text().splitlines()}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """What one run of the toolkit leaves."""
    workspace = Workspace(tmp_path_factory.mktemp("serial") / "workspace")
    workspace.vot("evaluate", "Noting")
    return workspace


def test_two_workers_leave_what_one_leaves(tmp_path: Path, serial: Workspace) -> None:
    parallel = Workspace(tmp_path / "parallel")
    output = parallel.evaluate()
    assert "Noting long: " in output and "3 of 3 done" in output
    one, two = serial.files(), parallel.files()
    assert one.pop("trackers.ini") != two.pop("trackers.ini")  # they name different files for the notes
    for name in [name for name in one if "/realtime/" in name and name.endswith("_confidence.value")]:
        assert one.pop(name) and two.pop(name)  # a frame that is late on a busy machine is not tracked
    assert one == two and serial.times().keys() == parallel.times().keys()
    for experiment in EXPERIMENTS:
        assert any(name.startswith(f"results/Noting/{experiment}/long/") for name in two)
    assert serial.initializations() == parallel.initializations() > 30
    assert not (parallel.folder / ".dmb_evaluate").exists()

    before = parallel.files(), parallel.times()
    output = parallel.evaluate()
    assert "3 of 3 sequences are finished already" in output
    assert (parallel.files(), parallel.times()) == before

    parallel.vot("analysis", "--name", "scores", "Noting")
    assert json.loads((parallel.folder / "analysis" / "scores.json").read_text())["results"]["baseline"]


@pytest.mark.slow
def test_two_machines_leave_what_one_leaves_even_if_one_of_them_dies(tmp_path: Path, serial: Workspace) -> None:
    workspace = Workspace(tmp_path / "workspace", held=True)
    with Machines(tmp_path / "machines") as machines:
        for name in ("one", "two"):
            machines.worker(name)
        process = workspace.start("Noting", "--cluster", str(machines.file), workers=0)
        wait_until(lambda: workspace.initializations() == 2)
        machines.workers["one"].kill()
        wait_until(lambda: sum(map(alive, workspace.processes())) == 1)  # the other machine's
        workspace.hold.unlink()
        output = "".join(process.communicate(timeout=300))
        left = [path for path in (tmp_path / "machines").rglob("dmb_task_*") if "one" not in path.parts]
    assert process.returncode == 0 and "has ended; it runs again" in output, output
    assert output.count("3 of 3 done") == 2 and "realtime is timed, hence on its own" in output
    one, two = serial.results(), workspace.results()
    for name in [name for name in one if "/realtime/" in name and name.endswith("_confidence.value")]:
        assert one.pop(name) and two.pop(name)
    assert one == two and serial.times().keys() == workspace.times().keys()
    assert workspace.initializations() == serial.initializations() + 1, "only what was running is computed twice"
    assert not left


def test_an_earlier_serial_run_is_continued(tmp_path: Path, serial: Workspace) -> None:
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(serial.folder / "results", workspace.folder / "results")
    results = workspace.folder / "results" / "Noting"
    shutil.rmtree(results / "baseline" / "middle")
    for path in (results / "unsupervised" / "short").glob("short_002*"):
        path.unlink()
    damaged = results / "starts" / "long" / "long_00000006.bin"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"")
    before = workspace.times()
    output = workspace.evaluate()
    untimed, _, timed = output.partition("1 process; realtime is timed, hence on its own")
    assert "3 of 3 done" in untimed and "already" not in untimed and "3 of 3 sequences are finished already" in timed
    assert damaged.read_bytes() == whole
    one, two = serial.files(), workspace.files()
    assert {name: one[name] for name in one if name.startswith("results/")} == {
        name: two[name] for name in two if name.startswith("results/")
    }
    again = {name for name, stamp in workspace.times().items() if before.get(name) != stamp}
    assert {name.split("/", 2)[2] for name in again} == {
        *(f"baseline/middle/middle_{run:03d}_time.value" for run in (1, 2, 3)),
        "unsupervised/short/short_002_time.value",
        "starts/long/long_00000006_time.value",
    }
    assert workspace.initializations() == 3 + 1 + 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_keeps_what_is_finished_and_ends_everything(tmp_path: Path, number: int, code: int) -> None:
    workspace = Workspace(tmp_path / "workspace", ("unsupervised",), held=True)
    process = workspace.start(workers=1)
    wait_until(lambda: workspace.initializations() == 2)  # the first of two repetitions on the longest sequence is done
    busy = workspace.evaluate(workers=1, code=1)
    assert "an evaluation is running" in busy and busy.count("error:") == 1
    process.send_signal(number)
    output = "".join(process.communicate(timeout=120))
    assert process.returncode == code and "0 of 3 are finished; the same command continues" in output
    for started in workspace.processes():
        with pytest.raises(ProcessLookupError):
            os.kill(started, 0)
    assert not (workspace.folder / ".dmb_evaluate").exists()
    before = workspace.times()
    assert list(before) == ["results/Noting/unsupervised/long/long_001_time.value"]
    if number == signal.SIGTERM:
        return
    workspace.hold.unlink()
    workspace.evaluate()
    after = workspace.times()
    assert len(after) == 6 and before.items() <= after.items()
    assert workspace.initializations() == 2 + 5


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_all_processes_and_ends_them_quietly(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace", ("unsupervised",), held=True)
    process = workspace.start(own_group=True)
    wait_until(lambda: workspace.initializations() == 2)
    os.killpg(process.pid, signal.SIGINT)
    output = "".join(process.communicate(timeout=120))
    assert process.returncode == 130 and "0 of 3 are finished; the same command continues" in output
    assert "Traceback" not in output and not any(map(alive, workspace.processes()))
    assert not (workspace.folder / ".dmb_evaluate").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_killed_evaluation_has_finished_is_found_and_nothing_is_left_running(
    tmp_path: Path, workers: int
) -> None:
    workspace = Workspace(tmp_path / "workspace", ("unsupervised",), held=True)
    process = workspace.start(workers=workers)
    results = workspace.folder / "results"
    finished = 1 if workers == 1 else 0  # both of two wait in their first initialization
    wait_until(lambda: workspace.initializations() == 2 and len([*results.rglob("*.bin")]) == finished)
    process.kill()
    process.communicate()
    for started in workspace.processes():
        wait_until(lambda started=started: not alive(started), 10)
    workspace.hold.unlink()
    workspace.evaluate()
    assert len(workspace.times()) == 6 and workspace.initializations() == 2 + 6 - finished
    assert not (workspace.folder / ".dmb_evaluate").exists()


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_failure_on_one_sequence_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace", ("baseline", "unsupervised"))
    damaged = workspace.folder / "sequences" / "long" / "color" / "00000004.jpg"
    damaged.write_bytes(damaged.read_bytes()[:500])
    output = workspace.evaluate(code=1)
    sentence = f"frame '{damaged}' is damaged or not an image (500 bytes); restore it"
    assert f"error: Noting long: Server terminated the session: {sentence}" in output.replace("\n", " ")
    assert "2 of 3 done" in output
    results = workspace.folder / "results" / "Noting"
    for experiment in ("baseline", "unsupervised"):
        assert {path.name for path in (results / experiment).iterdir()} == {"middle", "short"}
    assert "encountered an error" in (workspace.folder / "logs" / "evaluate_Noting_long.log").read_text()
    assert any((workspace.folder / "logs").glob("Noting_*.log"))


def test_threads_are_shared_unless_they_are_given(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace", ("unsupervised",))
    cores = len(os.sched_getaffinity(0))
    share = max(1, cores // 2)
    registry = workspace.folder / "trackers.ini"
    registry.write_text(registry.read_text().replace("env_HOLD", f"env_EXPECTED = {share}\nenv_HOLD"))
    output = workspace.evaluate("Noting", "Other", DMB_THREADS="", OMP_NUM_THREADS="")
    assert f"DMB_THREADS={share} in each" in output and "6 of 6 done" in output
    assert sorted(path.name for path in (workspace.folder / "results").iterdir()) == ["Noting", "Other"]


def test_videos_with_masks_are_evaluated_in_both_forms(tmp_path: Path) -> None:
    there, away = [label((1, 20, 14))], [label()]
    labels = there * 4 + away * 7 + there * 4  # five images after the failure there is no target, either
    write_video(tmp_path / "videos" / "hiding", tmp_path / "videos" / "hiding", labels)
    made = tmp_path / "made"
    words = ["-m", "tracker.cli.main", "workspace", "from-masks", str(tmp_path / "videos"), str(made), "--form", "both"]
    subprocess.run([sys.executable, *words], check=True, env=environment(), capture_output=True)
    noting = Workspace(tmp_path / "noting")
    registry = noting.folder / "trackers.ini"
    for form, names in (("polygon", {"hiding_001"}), ("mask", {"hiding_00000000", "hiding_00000014"})):
        noting.folder = made / form
        noting.evaluate("Noting", "--registry", str(registry), workers=1, VOT_RESULTS_BINARY="0")
        folder = made / form / "results" / "Noting" / "baseline" / "hiding"
        assert {path.stem for path in folder.glob("*.txt")} == names
        noting.vot("--registry", str(registry), "analysis", "--name", "scores", "Noting")
    lines = (made / "polygon" / "results" / "Noting" / "baseline" / "hiding" / "hiding_001.txt").read_text().split()
    assert [lines[index] for index in (0, 4, 5, 10, 11)] == ["1", "2", "0", "0", "1"]
