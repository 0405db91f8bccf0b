"""`dmb benchmark peers`: DMB beside other trackers, on the same sequences and cores."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.cli.ending import FAILURE, command, complain
from tracker.cli.parsing import Parser

if TYPE_CHECKING:
    from vot_workspace.layout import Layout

PROG = "dmb benchmark peers"
DESCRIPTION = """\
Evaluates trackers in a workspace of the VOT toolkit, one after the other on the same cores, and puts them into one
table: EAO, accuracy, failures, milliseconds per frame as the toolkit measures them (from the image's path to the
answer), and peak resident memory; and a plot of EAO against time. Without TRACKER these are all that the workspace's
registry knows: DMB, its compact model, OpenCV's MIL, CSRT, NANO and VIT, and yours.

A tracker that cannot run here is reported with its reason, and the others go on. NANO and VIT need networks, see
DMB_PEERS in docs/SETTINGS.md; CSRT needs opencv-contrib-python. Finished trajectories are kept with their times, as
`dmb evaluate` does; memory is known for what this command has run. Let nothing else run meanwhile.

OUTPUT holds peers.md, peers.json (which `dmb results` reads) and a peers_EXPERIMENT.png for each experiment.
"""
ANALYSIS = "peers"  # in the workspace
STEM = "peers"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("trackers", nargs="*", metavar="TRACKER", help="names of trackers (default: all)")
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR", help="workspace with sequences")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="sequences at once; several slow each other (default: 1)"
    )
    parser.add_argument("--registry", type=Path, metavar="FILE", help="trackers.ini besides those of the workspace")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for table and plots (default: DIR/peers)")
    return parser  # fmt: skip


def is_toolkit(words: tuple[str, ...]) -> bool:
    """Whether a command line is `vot evaluate`, as `vot_workspace.toolkit.vot_command` writes it."""
    return "evaluate" in words and ("vot" in words or any("run_module('vot'" in word for word in words))


@command(PROG)
def main(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> int:
    """Evaluate, analyze, compare."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"--workers is {options.workers}; it must be at least 1")
    from tracker.settings import from_environment
    from vot_workspace.layout import known_trackers, read_workspace, registry_places
    from vot_workspace.parallel import results_folders
    from vot_workspace.writer import WorkspaceError

    from_environment(environ)  # a wrong value is told now, not by each tracker
    if options.registry is not None and not options.registry.exists():
        raise WorkspaceError(f"--registry is '{options.registry}', which does not exist; name a trackers.ini")
    layout = read_workspace(options.workspace)
    places = registry_places(layout, options.registry, environ)
    folders = results_folders(layout, options.trackers or list(known_trackers(places)), places, print)
    options.output = output = options.output or layout.directory / STEM
    output.mkdir(parents=True, exist_ok=True)
    memory = _memory_before(output / f"{STEM}.json")
    finished = []
    for tracker in folders:
        ended, megabytes = _evaluate(options, layout, tracker, environ)
        if megabytes is not None:
            memory[tracker] = megabytes
        if ended:
            finished.append(tracker)
    if not finished:
        return FAILURE
    _compare(options, layout, {name: folders[name] for name in finished}, memory, environ)
    return 0 if len(finished) == len(folders) else FAILURE


def _evaluate(
    options: argparse.Namespace, layout: Layout, tracker: str, environ: Mapping[str, str]
) -> tuple[bool, float | None]:
    """Whether a tracker has finished all sequences, and its peak memory in MB."""
    from tracker.benchmarks.peak_memory import PeakMemory
    from tracker.cluster.tasks import Place, threads_per_task
    from tracker.signals import StopFlag
    from vot_workspace.parallel import evaluate_workspace, rounds

    interruption = StopFlag()
    memory: float | None = None
    place = Place(options.workers)
    for names, timed in rounds(layout, None, place):
        shared = Place() if timed else place
        threads = threads_per_task(shared, environ)
        with interruption.watching(), PeakMemory(is_toolkit) as peak:
            outcome = evaluate_workspace(
                layout,
                [tracker],
                shared,
                registry=options.registry,
                experiments=names,
                timed=timed,
                environ=environ if threads is None else {**environ, "DMB_THREADS": str(threads)},
                give_up=True,
                say=lambda line: print(line, flush=True),
                interrupted=interruption,
            )
        memory = max(filter(None, (memory, peak.megabytes)), default=None)
        if outcome.interrupted is not None:
            raise KeyboardInterrupt if outcome.interrupted == 2 else SystemExit(128 + outcome.interrupted)
        for label, reason in outcome.failures.items():
            complain(PROG, f"{tracker} is left out: {label.removeprefix(tracker).strip()}: {reason}")
        if outcome.failures:
            return False, memory
    return True, memory


def _memory_before(path: Path) -> dict[str, float]:
    """What an earlier run of this command has measured."""
    try:
        return {str(name): float(value) for name, value in json.loads(path.read_text())["memory"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _compare(
    options: argparse.Namespace,
    layout: Layout,
    folders: Mapping[str, str],
    memory: Mapping[str, float],
    environ: Mapping[str, str],
) -> None:
    """Analyze the results, then print and write the comparison."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from tracker.benchmarks.peers import markdown, plot, rows
    from tracker.benchmarks.record import record
    from tracker.benchmarks.validation import processor_name
    from tracker.cluster.tasks import cores
    from tracker.files import replace_file, replacing
    from vot_workspace.scores import read_scores

    output = options.output
    facts = {"processor": processor_name(), "cores": cores(), "workers": options.workers}
    facts["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    text = [f"{facts['processor']}, {facts['cores']} cores, {options.workers} at once, {facts['date']}"]
    written: dict[str, Any] = {**facts, "memory": memory, "experiments": {}, "records": []}
    for table in read_scores(_analyze(options, layout, folders, environ)):
        found = rows(layout, table, folders, memory)
        text += ["", f"## {table.experiment}", "", *markdown(found)]
        picture = output / f"{STEM}_{table.experiment}.png"
        with replacing(picture) as draft:
            drawn = plot(found, draft)
        if drawn:
            text += ["", f"![EAO against time]({picture.name})"]
        else:
            picture.unlink()
        written["experiments"][table.experiment] = [asdict(row) for row in found]
        data = f"{layout.directory.name}, {table.experiment}"
        written["records"] += [record(facts, data, row.numbers(), row.tracker) for row in found]
    replace_file(output / f"{STEM}.md", "\n".join(text) + "\n")
    replace_file(output / f"{STEM}.json", json.dumps(written, indent=2) + "\n")
    print("\n".join(text))
    print(f"\nsee '{output}'")


def _analyze(
    options: argparse.Namespace, layout: Layout, trackers: Mapping[str, str], environ: Mapping[str, str]
) -> Path:
    """Run `vot analysis`; returns its file.

    Raises:
        EvaluationError: it has failed.
    """
    from vot_workspace.toolkit import LOG, Toolkit, last_words, read_log

    path = layout.directory / "analysis" / f"{ANALYSIS}.json"
    path.unlink(missing_ok=True)
    registry = [] if options.registry is None else ["--registry", str(options.registry.absolute())]
    with tempfile.TemporaryDirectory(prefix="dmb_peers_", ignore_cleanup_errors=True) as scratch:
        toolkit = Toolkit(environ, Path(scratch), kept=True)
        toolkit.environment["VOT_REGISTRY"] = environ.get("VOT_REGISTRY", "")
        code = toolkit.run(layout.directory, *registry, "analysis", "--name", ANALYSIS, *trackers)
    log = layout.directory / LOG
    if code or not path.is_file():
        raise toolkit.failure(f"could not analyze the results (exit code {code})", last_words(read_log(log)), log)
    return path
