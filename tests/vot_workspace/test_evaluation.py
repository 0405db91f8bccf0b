"""What an evaluation decides by itself; with the toolkit it is tested end to end."""

from __future__ import annotations

import configparser
import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from vot_workspace import evaluation
from vot_workspace.evaluation import Job, evaluate_sequences
from vot_workspace.parallel import Outcome
from vot_workspace.toolkit import EvaluationError, Toolkit, last_words, read_log
from vot_workspace.writer import WorkspaceError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sequence as far as its name goes."""
    folder = tmp_path / "vot" / "car"
    folder.mkdir(parents=True)
    (folder / "groundtruth.txt").write_text("0,0,9,9\n")
    (folder / "sequence").write_text("")
    return tmp_path / "vot"


def test_the_registry_is_what_the_toolkit_reads(tmp_path: Path, source: Path) -> None:
    job = Job(source, None, {"DMB_LOG": "/50%/$none/log"}, tmp_path / "w.safetensors", "weights c0ffee")
    registry = configparser.ConfigParser()
    registry.read_string(job.registry(tmp_path / "work"))
    section = registry["DMB"]
    assert section["env_dmb_log"] == "/50%/$none/log"
    assert section["env_dmb_weights"] == str(tmp_path / "work" / "weights.safetensors")
    assert section["command"] == "tracker.trax_server" and (Path(section["paths"]) / "tracker").is_dir()
    assert "c0ffee" in job.registry(tmp_path)
    with pytest.raises(EvaluationError, match=r"DMB_LOG is '\$HOME/log'; the toolkit would expand"):
        Job(source, None, {"DMB_LOG": "$HOME/log"}).registry(tmp_path)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, source: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.txt").write_text("")
    with pytest.raises(EvaluationError, match="holds other files"):
        evaluate_sequences(Job(source, None, {}), keep=kept)
    (kept / "trackers.ini").write_text(Job(source, None, {}, identity="weights 1").registry(kept))
    with pytest.raises(EvaluationError, match="results of other weights, settings or sequences"):
        evaluate_sequences(Job(source, None, {}, identity="weights 2"), keep=kept)
    assert sorted(path.name for path in kept.iterdir()) == ["thesis.txt", "trackers.ini"]


def test_a_workspace_in_use_is_left_as_it_is(tmp_path: Path, source: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "sequences").mkdir(parents=True)
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"new")
    job = Job(source, None, {}, weights, "weights 1")
    contents = {
        kept / "trackers.ini": job.registry(kept),
        kept / "weights.safetensors": "old",
        kept / "config.yaml": "registry: trackers.ini\n",
        kept / "sequences" / "list.txt": "other\n",
    }
    for path, text in contents.items():
        path.write_text(text)
    states = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in contents}
    with (kept / "config.yaml").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(WorkspaceError, match="an evaluation is running in"):
            evaluate_sequences(job, keep=kept)
    assert {path: path.read_text() for path in contents} == contents
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in contents} == states


@pytest.mark.parametrize(
    ("number", "expected", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 128 + signal.SIGTERM)],
)
def test_a_signal_is_obeyed_when_nothing_is_left_running(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    expected: type[BaseException],
    code: int | None,
) -> None:
    ended = []

    def evaluate(*_: object, interrupted: Callable[[], int | None], **__: object) -> Outcome:
        os.kill(os.getpid(), number)
        assert interrupted() == number, "the signal is told, and interrupts nothing"
        ended.append(True)
        return Outcome(2, 1)

    monkeypatch.setattr(evaluation, "evaluate_workspace", evaluate)
    before = signal.getsignal(number)
    with pytest.raises(expected) as stop:
        evaluate_sequences(Job(source, None, {}, identity="weights 1"), keep=tmp_path / "kept")
    assert ended and signal.getsignal(number) is before
    assert code is None or (isinstance(stop.value, SystemExit) and stop.value.code == code)


def test_a_failure_tells_what_the_log_says(tmp_path: Path) -> None:
    log = tmp_path / "vot.log"
    log.write_text("one\ntwo\r\n\n  \x1b[31mthree\x1b[0m \n50 %\nDMB 100%|#####| 3/3 [00:01]\rfour\n")
    assert last_words(read_log(log)) == ["two", "three", "four"]
    log.write_text("")
    assert last_words(read_log(log)) == ["no output"]
    error = str(Toolkit({}, tmp_path, kept=True).failure("stopped", ["no weights", "no space"], log))
    assert error == f"the VOT toolkit stopped: no weights / no space (see '{log}')"
    error = str(Toolkit({}, tmp_path, kept=False).failure("stopped", ["no weights"], log))
    assert error == "the VOT toolkit stopped: no weights (--keep DIR keeps its log)"


def test_settings_of_others_do_not_reach_the_toolkit(tmp_path: Path) -> None:
    environ = {"DMB_GATE": "off", "TRAX": "1", "VOT_RESULTS_BINARY": "1", "PATH": "/bin"}
    environment = Toolkit(environ, tmp_path, kept=False).environment
    assert environment["PATH"] == "/bin" and environment["VOT_RESULTS_BINARY"] == "0"
    assert not {"DMB_GATE", "TRAX"} & set(environment)
