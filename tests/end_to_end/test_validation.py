"""`dmb validate --vot` drives the official toolkit in several processes and merges what they find."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment
from tests.end_to_end.workspace import Video, straight
from tracker.cluster.tasks import Place
from vot_workspace.evaluation import MULTISTART, RESULTS, Job, evaluate_sequences
from vot_workspace.parallel import PARTS
from vot_workspace.toolkit import EvaluationError

pytestmark = pytest.mark.end_to_end

LENGTH = 42  # frames: the curve of the demo's stack ends at 40
NOWHERE = "http://127.0.0.1:9"  # the toolkit asks the network for its newest version; tests do not


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two sequences: in one the target leaves the place that a still tracker answers, in the other it does not."""
    for name, step in (("leaving", 3.0), ("staying", 0.1)):
        video = Video(name, {"object": straight(LENGTH, (40, 60), (step, 0))}, "polygon")
        video.write(tmp_path / "vot" / name)
    return tmp_path / "vot"


def job(source: Path, double: str = "still") -> Job:
    settings = {"DOUBLE": double}
    return Job(source, None, settings, stack="demo_vot2018.yaml", command="tests.doubles", packages=CHECKOUT)


def environment() -> dict[str, str]:
    return clean_environment(HTTPS_PROXY=NOWHERE, https_proxy=NOWHERE)


def test_two_workers_find_what_one_finds(source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    kept = tmp_path / "kept"
    both = evaluate_sequences(job(source), place=Place(2), keep=kept, environ=environment(), say=said.append)
    results = sorted(path.relative_to(kept / RESULTS) for path in (kept / RESULTS).glob("*/*.txt"))
    assert [str(path) for path in results] == ["leaving/leaving_001.txt", "staying/staying_001.txt"]
    assert not (kept / PARTS).exists()
    assert sorted(line.split(":")[0] for line in said) == ["DMB leaving", "DMB staying"] and "2 of 2 done" in said[1]
    assert both.lengths == {"leaving": LENGTH, "staying": LENGTH}
    assert both.failures["leaving"] > 1 and both.failures["staying"] == 0
    assert both.scores["failures per sequence"] == pytest.approx(both.failures["leaving"] / 2)

    one = evaluate_sequences(job(source), environ=environment())
    assert one.scores == both.scores and one.failures == both.failures
    assert 0 < one.scores["EAO"] < 1

    (kept / RESULTS / "leaving" / "leaving_001.txt").unlink()  # as if it had been interrupted
    said.clear()
    again = evaluate_sequences(job(source), keep=kept, environ=environment(), say=said.append)
    assert said[0] == "1 of 2 sequences are finished already"
    assert said[1].startswith("DMB leaving: ") and said[1].endswith("2 of 2 done") and len(said) == 2
    assert again.scores == both.scores


def test_starts_in_the_middle(source: Path) -> None:
    assert not list(source.glob("*/anchor.value")), "sequences that know nothing of multi-start evaluation"
    found = evaluate_sequences(replace(job(source), stack=MULTISTART), place=Place(2), environ=environment())
    assert found.failures == {} and found.lengths == {"leaving": 2 * LENGTH, "staying": 2 * LENGTH}
    assert set(found.scores) == {"EAO", "accuracy", "robustness"}
    assert 0.5 < found.scores["robustness"] < 1.0
    assert not list(source.glob("*/anchor.value")), "the user's sequences were changed"


def test_a_tracker_that_fails_is_one_sentence(source: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate_sequences(job(source, "broken"), environ=environment() | {"TMPDIR": str(tmp_path)})
    sentence = str(caught.value)
    assert sentence.startswith("the VOT toolkit stopped before it had finished leaving: ")
    assert "KeyError: 'no such thing'" in sentence and sentence.endswith(" (--keep DIR keeps its log)")
    assert "\n" not in sentence


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_ends_all_processes_and_keeps_what_is_finished(
    source: Path, tmp_path: Path, number: signal.Signals
) -> None:
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\nfrom pathlib import Path\n"
        "from tests.end_to_end.test_validation import environment, job\n"
        "from tracker.cli.ending import run_orderly\n"
        "from vot_workspace.evaluation import evaluate_sequences\n"
        "def say(line):\n    print(line, flush=True)\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        f"work = lambda: evaluate_sequences(job(Path({str(source)!r})), keep=Path({str(tmp_path / 'kept')!r}),"
        " environ=environment(), say=say)\n"
        "sys.exit(run_orderly('dmb validate', work))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number, done.stderr
    assert done.stdout.startswith("DMB leaving: ") and done.stdout.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "kept" / RESULTS).iterdir()) == ["leaving"]
    assert not (tmp_path / "kept" / PARTS).exists()
