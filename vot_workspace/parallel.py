"""Evaluates a workspace with the VOT toolkit in several processes, or on several machines, at once.

The toolkit evaluates one sequence after the other. Here every tracker and sequence is a task of its own
(`vot_workspace.worker`) of `tracker.cluster`. Every trajectory is written into the workspace as soon as it is finished,
and an evaluation that was interrupted, or one that the toolkit itself has begun, continues where it stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from tracker.cluster.engine import run_tasks
from tracker.cluster.progress import Count, duration
from tracker.cluster.tasks import Done, Input, Place, Task, content_key, fingerprint, weights_input
from tracker.errors import UserError
from tracker.files import replace_file
from vot_workspace.layout import (
    CONFIGURATION,
    Layout,
    check_truths,
    entry_of,
    frame_count,
    known_trackers,
    registry_places,
)
from vot_workspace.toolkit import LOG
from vot_workspace.trajectories import is_finished, publish, read_trajectories
from vot_workspace.worker import Evaluated, Files, Part, evaluate_part, sent_environment, unpacked
from vot_workspace.writer import REGISTRY, WorkspaceError

SETTINGS = "dmb_settings.json"  # in a tracker's folder of results
PARTS = ".dmb_evaluate"  # folder in the workspace for temporary files of this machine's processes
TRAX_SERVER = "tracker.trax_server"


@dataclass
class Outcome:
    """What an evaluation has come to.

    Attributes:
        tasks: how many sequences there are to evaluate, of all trackers together.
        finished: how many of them are finished.
        failures: reasons by tracker and sequence.
        interrupted: the signal that has ended it; None if it was not.
    """

    tasks: int
    finished: int
    failures: dict[str, str] = field(default_factory=dict)
    interrupted: int | None = None


def results_folders(
    layout: Layout, trackers: Sequence[str], places: Sequence[Path], note: Callable[[str], None] = lambda line: None
) -> dict[str, str]:
    """Check trackers; returns the names of their results' folders by what the user has typed.

    `note` takes a sentence for each of them that is registered twice.

    Raises:
        WorkspaceError: a tracker that nobody has registered; the message lists the known ones.
    """
    twice: list[str] = []
    known = known_trackers(places, twice.append)
    found = {}
    for tracker in dict.fromkeys(trackers):
        name, at, version = tracker.partition("@")
        if name not in known or (at and not version):
            told = f"known are: {', '.join(sorted(known))}" if known else "no tracker is registered"
            raise WorkspaceError(
                f"there is no tracker '{tracker}' for '{layout.directory}' ({told}); name the trackers.ini that "
                f"registers it with --registry, for instance {REGISTRY}"
            )
        found[tracker] = tracker if at else known[name]
        for sentence in twice:
            if sentence.startswith(f"[{name}] "):
                note(f"note: {sentence}")
    return found


def choose_experiments(layout: Layout, names: Sequence[str] | None) -> dict[str, dict[str, object]]:
    """The stack's experiments, or those of the given names.

    Raises:
        WorkspaceError: there is no such experiment.
    """
    for name in names or ():
        if name not in layout.experiments:
            raise WorkspaceError(f"the stack has no experiment '{name}'; it has: {', '.join(layout.experiments)}")
    return {name: layout.experiments[name] for name in names or layout.experiments}


def rounds(layout: Layout, names: Sequence[str] | None, place: Place) -> list[tuple[list[str], bool]]:
    """Which experiments run beside each other, one round after the other.

    Experiments in real time measure how long a frame takes: they come last, alone on their machine, since several
    would slow each other down.

    Args:
        layout: the workspace.
        names: of the experiments that are wanted; None for all.
        place: where they run.

    Returns:
        For each round the names of its experiments, and whether they are timed and something else would run beside.

    Raises:
        WorkspaceError: there is no such experiment.
    """
    chosen = choose_experiments(layout, names)
    timed = [name for name, experiment in chosen.items() if experiment.get("realtime") is not None]
    others = [name for name in chosen if name not in timed]
    if place.alone:
        return [(list(chosen), False)]
    return [(others, False)] * bool(others) + [(timed, True)] * bool(timed)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep others from evaluating in the same workspace.

    Raises:
        WorkspaceError: an evaluation is running in it.
    """
    with (directory / CONFIGURATION).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(f"an evaluation is running in '{directory}'; wait for it, or end it") from None
        except OSError:  # a file system without locks
            pass
        yield


def evaluate_workspace(
    layout: Layout,
    trackers: Sequence[str],
    place: Place,
    *,
    registry: Path | None = None,
    experiments: Sequence[str] | None = None,
    timed: bool = False,
    environ: Mapping[str, str] = os.environ,
    give_up: bool = False,
    say: Callable[[str], None] = lambda line: None,
    interrupted: Callable[[], int | None] = lambda: None,
) -> Outcome:
    """Evaluate trackers on all sequences of a workspace. However it ends, what is finished is kept.

    Args:
        layout: the workspace.
        trackers: identifiers, or identifier@version.
        place: where.
        registry: file or folder with trackers besides the workspace's own.
        experiments: names of those to run; None for all.
        timed: whether nothing else may run beside a sequence.
        environ: environment of the processes.
        give_up: whether the first failure ends the evaluation; else the other sequences are evaluated first.
        say: is called with a line whenever a tracker has finished a sequence, or failed on it.
        interrupted: is asked all the time; the signal for which to stop.

    Raises:
        WorkspaceError: unknown tracker or experiment, or another evaluation is running.
        ClusterError: the cluster cannot be used.
        OSError: a result cannot be written.
    """
    places = registry_places(layout, registry, environ)
    folders = results_folders(layout, trackers, places, say)
    chosen = choose_experiments(layout, experiments)
    check_truths(layout)
    for name in folders.values():
        note_settings(layout, name, places, environ, say)
    with locked(layout.directory):
        shutil.rmtree(layout.directory / PARTS, ignore_errors=True)  # of one that was killed
        every = [(tracker, sequence) for sequence in layout.sequences.values() for tracker in folders]
        left = [pair for pair in every if not _is_done(layout, chosen, folders[pair[0]], pair[1])]
        outcome = Outcome(len(every), len(every) - len(left))
        if outcome.finished:
            say(f"{outcome.finished} of {outcome.tasks} sequences are finished already")
        make = _Tasks(layout, folders, place, places, registry, experiments, environ)
        tasks, published = [make.task(*pair) for pair in left], set[tuple[str, str]]()

        def keep(folder: str, files: Files) -> None:
            region = next(reversed(files))
            if (folder, region) not in published:  # a task that ran twice has told it twice
                publish(files, layout.directory / folder)
                published.add((folder, region))

        running = run_tasks(
            tasks,
            place,
            told=lambda task, message: keep(*unpacked(message)),
            interrupted=interrupted,
            say=say,
            scratch=layout.directory / PARTS,
            alone=timed,
        )
        with Count(tasks, say, outcome.finished) as count, closing(running):
            for done in running:
                _close(layout, done, outcome, count, keep, quiet=give_up)
                if give_up and outcome.failures:
                    break
        outcome.interrupted = interrupted()
        return outcome


def _close(
    layout: Layout, done: Done, outcome: Outcome, count: Count, keep: Callable[[str, Files], None], *, quiet: bool
) -> None:
    """Keep what a task has found, and tell what has become of it."""
    found: Evaluated = done.value or Evaluated([], done.reason, {})
    for folder, files in found.trajectories:
        keep(folder, files)
    counted = count.step(done if found.failure is None else replace(done, error=UserError(found.failure)))
    if found.failure is None:
        outcome.finished += 1
        count.say(f"{done.task.label}: {duration(done.seconds)}; {counted}")
        return
    outcome.failures[done.task.label] = found.failure
    logs = layout.directory / "logs"
    logs.mkdir(exist_ok=True)
    kept = logs / f"evaluate_{done.task.argument.results}_{done.task.argument.sequence.name}.log"
    for name, content in found.logs.items():
        replace_file(kept if name == LOG else logs / name, content)
    if not quiet:  # else it is for the caller to tell
        seen = f" (see '{kept}')" if found.logs else ""
        count.say(f"{done.task.label}: FAILED: {found.failure}{seen}")


class _Tasks:
    """Makes tasks of trackers and sequences."""

    def __init__(
        self,
        layout: Layout,
        folders: Mapping[str, str],
        place: Place,
        places: Sequence[Path],
        registry: Path | None,
        experiments: Sequence[str] | None,
        environ: Mapping[str, str],
    ) -> None:
        self.layout, self.folders, self.place, self.places = layout, folders, place, places
        self.option = None if registry is None else registry.absolute()
        self.experiments = None if experiments is None else tuple(experiments)
        self.environment = sent_environment(environ, everything=place.cluster is None)
        stack = layout.stack
        self.stack = Path(stack).read_text(encoding="utf-8") if isinstance(stack, str) else yaml.safe_dump(stack)
        self.entries = {name: entry_of(name.partition("@")[0], places, exact=True) for name in folders}
        self.weights = {name: self._weights(entry, environ) for name, entry in self.entries.items()}

    def task(self, tracker: str, sequence: Path) -> Task:
        """One tracker on one sequence."""
        frames, weights, results = frame_count(sequence), self.weights[tracker], self.folders[tracker]
        part = Part(
            tracker, results, sequence, self.stack, self.experiments, tuple(self.layout.registry), self.option,
            dict(self.entries[tracker]), weights, self.environment, _present(self.layout, results, sequence),
        )  # fmt: skip
        inputs = []
        if self.place.cluster is not None:
            inputs = [Input(sequence, fingerprint(sequence)), *weights_input(weights)]
        seen = sequence.name, [path.read_bytes().hex() for path in sorted(sequence.glob("groundtruth*.txt"))]
        settings = {name: text for name, text in self.environment.items() if name.startswith(("DMB_", "VOT_"))}
        present = sorted(f"{folder}/{name}" for folder, files in part.present.items() for name in files)
        identity = [dict(self.entries[tracker]), self.stack, self.experiments, settings, present]
        key = content_key(tracker, *seen, identity, [(str(each.path), each.digest) for each in inputs])
        gpu = self.entries[tracker].get("command") == TRAX_SERVER and settings.get("DMB_DEVICE") != "cpu"
        return Task(f"{tracker} {sequence.name}", key, evaluate_part, part, max(frames, 1), tuple(inputs), gpu)

    def _weights(self, entry: Mapping[str, str], environ: Mapping[str, str]) -> Path | None:
        """DMB's weights, which every machine of a cluster must have; None where they are nobody's concern."""
        if self.place.cluster is None or entry.get("command") != TRAX_SERVER:
            return None
        from tracker.checkpoints.weights import WeightsError, asked_model, find_weights

        own = {name.removeprefix("env_"): text for name, text in entry.items() if name.startswith("env_")}
        try:
            settings = {**environ, **own}
            return find_weights(settings.get("DMB_WEIGHTS"), settings, model=asked_model(settings)).absolute()
        except WeightsError:  # the tracker says so itself
            return None


def _present(layout: Layout, results: str, sequence: Path) -> dict[str, Files]:
    """Files of the trajectories that a task need not compute again, by folder below the workspace."""
    found: dict[str, Files] = {}
    for name in layout.experiments:
        for folder in sorted((layout.directory / "results" / results / name).glob("*")):
            # under another sequence's name it is no concern of this one; under any other, only the toolkit knows
            if folder.name == sequence.name or folder.name not in layout.sequences:
                whole = [each.files() for each in read_trajectories(folder).values() if each.consistent]
                if whole:
                    where = folder.relative_to(layout.directory).as_posix()
                    found[where] = {name: content for files in whole for name, content in files.items()}
    return found


def note_settings(
    layout: Layout, results: str, places: Sequence[Path], environ: Mapping[str, str], note: Callable[[str], None]
) -> None:
    """Keep with what settings a tracker's results are made, and tell where they were others before.

    Args:
        layout: the workspace.
        results: name of the tracker's folder of results.
        places: where trackers are registered.
        environ: environment of the processes, of which DMB_* counts; the number of threads is nobody's choice here.
        note: takes a sentence.
    """
    settings = {name: text for name, text in environ.items() if name.startswith("DMB_") and text}
    settings |= {str(name): str(text) for name, text in entry_of(results.partition("@")[0], places).items()}
    for name in ("DMB_THREADS", "DMB_LOG", "DMB_PEERS", "env_dmb_log", "env_dmb_peers", "timeout", "label", "tags"):
        settings.pop(name, None)
    folder = layout.directory / "results" / results
    path, made = folder / SETTINGS, json.dumps(settings, sort_keys=True, indent=1)
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        if before is None and not any(folder.glob("*/*/*")):
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, made)
    except (OSError, ValueError):  # a note is no reason not to evaluate
        return
    if isinstance(before, dict) and before != settings:
        changed = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
        note(
            f"note: the results in '{folder}' were made with other settings ({', '.join(changed)}) and are kept; "
            "delete that folder to measure anew, or give the tracker another name"
        )


def _is_done(layout: Layout, experiments: Mapping[str, dict[str, object]], results: str, sequence: Path) -> bool:
    for name, experiment in experiments.items():
        folder = layout.directory / "results" / results / name / sequence.name
        found = {key: value for key, value in read_trajectories(folder).items() if value.consistent}
        if not is_finished(experiment, sequence, found):
            return False
    return True
