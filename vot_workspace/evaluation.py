"""Evaluates DMB with the VOT toolkit on chosen sequences: makes a workspace, evaluates and analyses it.

The workspace belongs to one tracker: it holds a copy of the weights, and the settings in its trackers.ini.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tracker.cluster.tasks import PACKAGES, Place, threads_per_task
from tracker.files import replace_file, replacing
from tracker.signals import StopFlag
from vot_workspace.configuration import write_workspace
from vot_workspace.dataset import choose, provide, with_anchors
from vot_workspace.layout import CONFIGURATION, read_workspace
from vot_workspace.parallel import TRAX_SERVER, evaluate_workspace, locked
from vot_workspace.scores import ScoresError, Table, read_scores
from vot_workspace.toolkit import LOG, EvaluationError, Toolkit, last_words, read_log

TRACKER = "DMB"
STACK = "dev.yaml"
MULTISTART = "dev_multistart.yaml"
ALONE = Place()
WEIGHTS = "weights.safetensors"  # below a workspace
REGISTRY = "trackers.ini"  # below a workspace
RESULTS = Path("results", TRACKER, "baseline")  # below a workspace
ANALYSIS = "validation"
FAILURE = "2"  # line of a result where the target was lost
TIMEOUT = 300  # seconds for one frame
HEADER = "; Written by `dmb`; the results beside this file belong to"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation has found.

    Attributes:
        table: expected average overlap, accuracy and failures, as `vot analysis` has them.
        failures: by sequence, how often the target was lost; empty for a multi-start evaluation, in which the analysis
            alone decides that.
        lengths: by sequence, frames that were tracked.
        threads: per process, where this evaluation has chosen them.
    """

    table: Table
    failures: dict[str, int]
    lengths: dict[str, int]
    threads: int | None

    @property
    def scores(self) -> dict[str, float]:
        """The numbers by name: "EAO", "accuracy", and "failures per sequence" or "robustness"."""
        return self.table.scores[TRACKER]


@dataclass(frozen=True)
class Job:
    """What is evaluated.

    Attributes:
        source: folder or tar file of sequences, see `vot_workspace.dataset`.
        names: of the sequences; None for all.
        settings: environment variables of the tracker, DMB_DEVICE and the like.
        weights: weights file of the tracker, which becomes its DMB_WEIGHTS; None for none of its own.
        identity: what the results depend on besides the settings, e.g. the weights' checksum.
        stack: file in vot_workspace/stacks.
        command: module that is the TraX process.
        packages: folder from which it is imported.
    """

    source: Path
    names: Sequence[str] | None
    settings: Mapping[str, str]
    weights: Path | None = None
    identity: str = ""
    stack: str = STACK
    command: str = TRAX_SERVER
    packages: Path = PACKAGES

    def registry(self, directory: Path) -> str:
        """Text of the trackers.ini for a workspace, which holds a copy of the weights.

        Raises:
            EvaluationError: the toolkit would change a value.
        """
        settings = dict(self.settings)
        if self.weights is not None:
            settings["DMB_WEIGHTS"] = str(directory / WEIGHTS)
        lines = [f"{HEADER} {self.identity}, {self.stack}, {self.source.resolve()}", f"[{TRACKER}]"]
        lines += [f"label = {TRACKER}", "protocol = traxpython", f"command = {self.command}"]
        lines += [f"paths = {self.packages}", f"python = {shlex.quote(sys.executable)}", f"timeout = {TIMEOUT}"]
        for name, text in settings.items():
            if os.path.expandvars(text) != text or "\n" in text:
                raise EvaluationError(f"{name} is '{text}'; the toolkit would expand its $, use a value without")
            lines.append(f"env_{name} = {text}")
        return "\n".join(lines).replace("%", "%%") + "\n"


@dataclass(frozen=True)
class Tracked:
    """A workspace in which every sequence has its result.

    Attributes:
        directory: the workspace.
        names: of the sequences.
        threads: per process, where this evaluation has chosen them.
        toolkit: which can be run in it.
    """

    directory: Path
    names: list[str]
    threads: int | None
    toolkit: Toolkit

    def trajectory(self, name: str) -> list[str]:
        """The result of a sequence, a line per frame: a region, or the code of a special state."""
        return self._read(name, f"{name}_001.txt")

    def trajectories(self, name: str) -> list[list[str]]:
        """All results of a sequence, one for every start of a multi-start evaluation."""
        paths = sorted(Path(self.directory, RESULTS, name).glob(f"{name}_*.txt"))
        return [path.read_text(encoding="utf-8").split() for path in paths]

    def seconds(self, name: str) -> list[float]:
        """What each frame of a sequence took, as the toolkit has measured it."""
        return [float(line) for line in self._read(name, f"{name}_001_time.value")]

    def _read(self, name: str, file: str) -> list[str]:
        return Path(self.directory, RESULTS, name, file).read_text(encoding="utf-8").split()


def evaluate_sequences(
    job: Job,
    *,
    place: Place = ALONE,
    keep: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Evaluate a tracker and analyze what came out; arguments and errors are those of `track_sequences`."""
    with track_sequences(job, place=place, keep=keep, environ=environ, say=say) as tracked:
        table = _analyse(tracked.directory, tracked.toolkit)
        results = {name: tracked.trajectories(name) for name in tracked.names}
    failures = {}
    if job.stack != MULTISTART:
        failures = {name: sum(lines.count(FAILURE) for lines in runs) for name, runs in results.items()}
    return Evaluation(table, failures, {name: sum(map(len, runs)) for name, runs in results.items()}, tracked.threads)


@contextmanager
def track_sequences(
    job: Job,
    *,
    place: Place = ALONE,
    keep: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Tracked]:
    """Run the experiment of a stack, and give the workspace with the results.

    Args:
        job: what is evaluated.
        place: where tasks run.
        keep: folder for the workspace, in which an interrupted evaluation goes on; None for a temporary one.
        environ: environment of the toolkit, from which other settings of DMB, TraX and the toolkit are removed.
        say: is called with a line whenever a sequence is finished.

    Raises:
        EvaluationError: the toolkit or the tracker failed, or `keep` holds something else.
        DatasetError: no such sequences.
        WorkspaceError: an evaluation is running in `keep`.
        KeyboardInterrupt, SystemExit: Ctrl-C, or SIGTERM or a closed terminal, once all processes have ended.
    """
    names = choose(job.source, job.names)
    with ExitStack() as resources:
        if keep is None:
            temporary = tempfile.TemporaryDirectory(prefix="dmb_validate_", ignore_cleanup_errors=True)
            directory = Path(resources.enter_context(temporary)).resolve()
        else:
            directory = keep.resolve()
        _claim(directory, job)
        scratch = tempfile.TemporaryDirectory(prefix="tmp_", dir=directory, ignore_cleanup_errors=True)
        toolkit = Toolkit(environ, Path(resources.enter_context(scratch)), kept=keep is not None)
        threads = None if place.alone else threads_per_task(place, {**toolkit.environment, **job.settings})
        if threads is not None:
            toolkit.environment["DMB_THREADS"] = str(threads)
        with locked(directory) if (directory / CONFIGURATION).is_file() else nullcontext():  # others may work in it
            made = directory / "sequences"
            sequences = provide(job.source, names, made)
            if job.stack == MULTISTART:
                sequences = {name: with_anchors(folder, made / name) for name, folder in sequences.items()}
            paths = [str(folder) for folder in sequences.values()]  # the toolkit's list.txt may hold absolute paths
            registry = directory / REGISTRY
            # anew: what is measured is what the stack means now, whatever a kept workspace says
            write_workspace(directory, stack=job.stack, sequences=paths, registry=registry, renew=True)
        _evaluate(directory, place, toolkit, say)
        yield Tracked(directory, names, threads, toolkit)


def check_folder(directory: Path, job: Job) -> None:
    """Check that a workspace's folder is new, empty, or holds an evaluation of the same job. Nothing is written.

    Raises:
        EvaluationError: it holds something else, or cannot be read.
    """
    registry = directory / REGISTRY
    try:
        if registry.is_file():
            if registry.read_text(encoding="utf-8", errors="replace") != job.registry(directory):
                raise EvaluationError(
                    f"'{directory}' holds results of other weights, settings or sequences, or of another version, "
                    "device or precision; name another folder or delete it"
                )
        elif directory.exists() and any(directory.iterdir()):
            raise EvaluationError(f"'{directory}' holds other files; name a new folder")
    except OSError as error:
        raise EvaluationError(f"folder '{directory}' cannot be used ({error}); name another one") from error


def _claim(directory: Path, job: Job) -> None:
    """Make the workspace's folder, or what it lacks. What is there stays: another evaluation may be using it."""
    check_folder(directory, job)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / REGISTRY).is_file():
            replace_file(directory / REGISTRY, job.registry(directory))
        (directory / "sequences").mkdir(exist_ok=True)
        # a copy, since a training may write new ones while this evaluation runs
        if job.weights is not None and not (directory / WEIGHTS).is_file():
            with replacing(directory / WEIGHTS) as draft:
                shutil.copyfile(job.weights, draft)
    except OSError as error:
        raise EvaluationError(f"folder '{directory}' cannot be used ({error}); name another one") from error


def _evaluate(directory: Path, place: Place, toolkit: Toolkit, say: Callable[[str], None]) -> None:
    """Run `vot evaluate` for every sequence that has no result yet."""
    interruption = StopFlag()
    with interruption.watching():
        outcome = evaluate_workspace(
            read_workspace(directory),
            [TRACKER],
            place,
            registry=directory / REGISTRY,
            environ=toolkit.environment,
            give_up=True,
            say=say,
            interrupted=interruption,
        )
    number = interruption()  # also one that came when all had been done
    if number is not None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
    if outcome.failures:
        names = ", ".join(label.partition(" ")[2] for label in outcome.failures)
        reasons = list(dict.fromkeys(outcome.failures.values()))
        raise toolkit.failure(f"stopped before it had finished {names}", reasons, directory / "logs")


def _analyse(directory: Path, toolkit: Toolkit) -> Table:
    """Run `vot analysis` on the results."""
    path = directory / "analysis" / f"{ANALYSIS}.json"
    path.unlink(missing_ok=True)
    code = toolkit.run(directory, "analysis", "--name", ANALYSIS, TRACKER)
    if code or not path.is_file():
        log = directory / LOG
        raise toolkit.failure(f"could not analyze the results (exit code {code})", last_words(read_log(log)), log)
    try:
        (table,) = read_scores(path)
    except (ScoresError, ValueError) as error:
        raise EvaluationError(f"the VOT toolkit's analysis cannot be read ({error}); evaluate again") from error
    return table
