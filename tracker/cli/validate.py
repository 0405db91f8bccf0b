"""`dmb validate`: J, F and EAO of a weights file by one command, fast enough for the pauses of a training.

What is measured on images is the tracker itself: its `initialize` and `track` on sequences with masks, its TraX process
in the VOT toolkit on sequences in the toolkit's format.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.api.loading import load_tracker
from tracker.cli.cluster import add_place, place_of
from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser

if TYPE_CHECKING:
    from tracker.settings import Settings
    from tracker.tracking.tracker import DMB
    from vot_workspace.evaluation import Job

PROG = "dmb validate"
DESCRIPTION = """\
Scores of a weights file.

With --masks: region similarity J and boundary similarity F on sequences with a mask for every frame
(SEQUENCE/00000.jpg or .webp with SEQUENCE/00000.png, in a folder or a tar file), started from the first mask and from
its box, and what Box2Seg makes of that box. With --vot: expected average overlap, accuracy and failures of the VOT
toolkit's reset-based evaluation (vot_workspace/stacks/dev.yaml). With --tracking: the same protocol in this program,
without the toolkit, also at faster motion (every 2nd or 4th frame) and from later starts, each number with its
interval over sequences, and against a saved run. Give one of them or several.

A first answer in minutes: --tracking DIR --strides 4. The whole: --strides 1 2 4.

Settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    add_model(parser)
    masks = parser.add_argument_group("on sequences with masks")
    masks.add_argument("--masks", type=Path, metavar="SOURCE", help="folder or tar file of sequences with masks")
    masks.add_argument("--sequences", nargs="+", metavar="NAME", help="which of them to track (default: all)")
    masks.add_argument("--init", choices=("mask", "box", "both"), help="what to start from (default: both)")
    masks.add_argument("--frames", type=int, metavar="N", help="only the first N frames of each (default: all)")
    vot = parser.add_argument_group("in the VOT toolkit")
    vot.add_argument("--vot", type=Path, metavar="DIR", help="folder or tar file of sequences in the VOT format")
    vot.add_argument("--vot-sequences", nargs="+", metavar="NAME", help="which of them to evaluate (default: all)")
    experiment = "resets: start again after a failure, as VOT2013 to VOT2019 do; multistart: start every 50 frames, as "
    experiment += "VOT2020 does; takes about four times as long, and chance moves the EAO less (default: resets)"
    vot.add_argument("--experiment", choices=("resets", "multistart"), help=experiment)
    vot.add_argument("--keep", type=Path, metavar="DIR", help="keep the workspace here; an evaluation goes on in it")
    tracking = parser.add_argument_group("reset-based, without the toolkit")
    tracking.add_argument("--tracking", type=Path, metavar="DIR", help="folder of sequences in the VOT format")
    which = "which of them to track (default: all)"
    tracking.add_argument("--tracking-sequences", nargs="+", metavar="NAME", help=which)
    tracking.add_argument("--strides", type=int, nargs="+", metavar="N", help="track every N-th frame (default: 1)")
    tracking.add_argument("--starts", type=int, metavar="K", help="start at K places of each first half (default: 1)")
    kept = "write every overlap, to compare with; the same command continues with what is in it"
    tracking.add_argument("--runs", type=Path, metavar="FILE.json", help=kept)
    tracking.add_argument("--against", type=Path, metavar="FILE.json", help="compare with such a file by sequence")
    add_place(parser, "--vot and --tracking:")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write all numbers and conditions")
    return parser


def _check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the process with code 2 where options are missing, have no effect or no sense."""
    if options.masks is None and options.vot is None and options.tracking is None:
        parser.error("give --masks, --vot or --tracking")
    belonging = {
        "masks": ("sequences", "init", "frames"),
        "vot": ("vot_sequences", "experiment", "keep"),
        "tracking": ("tracking_sequences", "strides", "starts", "runs", "against"),
    }
    for needed, names in belonging.items():
        for name in names:
            if getattr(options, needed) is None and getattr(options, name) is not None:
                parser.error(f"--{name.replace('_', '-')} has no effect without --{needed}")
    if options.vot is None and options.tracking is None:
        for name in ("workers", "cluster"):
            if getattr(options, name) is not None:
                parser.error(f"--{name} has no effect without --vot or --tracking")
    options.place = place_of(parser, options)
    for name, smallest in (("frames", 2), ("starts", 1), ("strides", 1)):
        given = getattr(options, name)
        for value in given if isinstance(given, list) else [given]:
            if value is not None and value < smallest:
                parser.error(f"--{name.replace('_', '-')} is {value}; it must be at least {smallest}")


def say(line: str) -> None:
    """Print a line at once, so that it can be followed in a file."""
    print(line, flush=True)


def tracker_settings(
    environ: Mapping[str, str], without: Sequence[str] = ("DMB_WEIGHTS", "DMB_MODEL")
) -> dict[str, str]:
    """The settings as environment variables of the TraX process.

    Args:
        environ: the environment.
        without: what is left out. The weights are given apart, and they tell their model: the one in the environment
            need not be it, since --model goes before it.
    """
    from tracker.settings import OF_DMB

    chosen = {variable.name: environ.get(variable.name, "").strip() for variable in OF_DMB}
    return {name: text for name, text in chosen.items() if text and name not in without}


def evaluated(facts: Mapping[str, Any]) -> str:
    """What results in a workspace depend on besides the settings; `facts` are those of `conditions`."""
    kind = facts["device"].partition(":")[0]
    return f"weights {facts['weights']['checksum']}, version {facts['version']}, {kind}, {facts['precision']}"


@contextmanager
def copied(weights: Path) -> Iterator[Path]:
    """A copy of the weights: a training that runs may write new ones before everything is measured."""
    with tempfile.TemporaryDirectory(prefix="dmb_weights_") as folder:
        yield Path(shutil.copyfile(weights, Path(folder, weights.name)))


def _masks(options: argparse.Namespace, settings: Settings, load: Callable[[Settings], DMB]) -> dict[str, Any]:
    """The part on sequences with masks; prints, and returns what goes into the JSON file."""
    from tracker.benchmarks.validation import INITS, validate_masks
    from tracker.data.sequences import choose, open_sequences

    inits = (options.init,) if options.init in INITS else INITS
    with open_sequences(options.masks) as sequences:
        chosen = choose(sequences, options.sequences, options.masks)
        result = validate_masks(load(settings), chosen, inits, limit=options.frames, say=say)
    for line in (*result.mean_lines(), *result.box2seg_lines()):
        say(line)
    return {"source": options.masks.name, "first_frames": options.frames} | result.document()


def _vot(options: argparse.Namespace, job: Job, environ: Mapping[str, str], threads: int) -> dict[str, Any]:
    """The part in the toolkit; prints, and returns what goes into the JSON file."""
    from vot_workspace.evaluation import evaluate_sequences

    place = options.place
    found = evaluate_sequences(job, place=place, keep=options.keep, environ=environ, say=say)
    for line in found.table.lines():
        say(line)
    if found.failures:
        lost = [f"{name} {count}" for name, count in found.failures.items() if count]
        say(f"failures: {', '.join(lost) or 'none'}")
    if math.isnan(found.scores.get("EAO", 0.0)):
        say(f"EAO is not defined: these sequences are too short for the bounds in {job.stack}")
    rows = [
        {"sequence": name, "frames": length} | ({"failures": found.failures[name]} if found.failures else {})
        for name, length in found.lengths.items()
    ]
    facts: dict[str, Any] = {"source": job.source.name, "stack": job.stack, "workers": place.cluster or place.workers}
    return facts | {"threads_per_worker": found.threads or threads, "sequences": rows, "scores": found.scores}


def _tracking(
    options: argparse.Namespace, settings: Settings, load: Callable[[Settings], DMB], names: list[str]
) -> dict[str, Any]:
    """The reset-based part without the toolkit; prints, and returns what goes into the JSON file."""
    from tracker.benchmarks.tracking import TrackingDataError, read_runs, run_all
    from tracker.metrics.resets import Table

    strides, starts = sorted(set(options.strides or [1])), options.starts or 1
    before = None if options.against is None else read_runs(options.against)
    alone = replace(settings, threads=1)
    runs = run_all(
        options.tracking,
        names,
        alone,
        load,
        strides=strides,
        starts=starts,
        place=options.place,
        kept=options.runs,
        say=say,
    )
    table = Table(runs)
    lost = [f"{name} {count}" for name, count in table.failures.items() if count]
    say(f"{sum(table.failures.values())} failures: {', '.join(lost) or 'none'}")
    found = {"scores": table.intervals()}
    if before is not None:
        keys = {run.key for run in runs}
        missing = keys - {run.key for run in before}
        if missing:
            name, stride, first = sorted(missing)[0]
            raise TrackingDataError(
                f"'{options.against}' lacks sequence '{name}' at stride {stride} from frame {first}; compare with a "
                "run of the same --strides, --starts and sequences"
            )
        found["difference"] = table.against(Table([run for run in before if run.key in keys]))
    for title, scores in found.items():
        for name, interval in scores.items():
            mark = "  decided" if title == "difference" and interval.decided else ""
            say(f"{title} {name:26s} {interval}{mark}")
    return {
        "source": options.tracking.name, "strides": strides, "starts": starts, "failures": table.failures,
        **{title: {name: asdict(interval) for name, interval in scores.items()} for title, scores in found.items()},
    }  # fmt: skip


def _validate(options: argparse.Namespace, load: Callable[[Settings], DMB], environ: Mapping[str, str]) -> None:
    """Check everything that can be checked at once, then measure."""
    from tracker.benchmarks.tracking import TrackingDataError
    from tracker.benchmarks.validation import conditions, records, write_document
    from tracker.checkpoints.weights import find_weights, read_weights
    from tracker.data.sequences import choose, open_sequences
    from tracker.settings import from_environment
    from vot_workspace.dataset import choose as choose_vot
    from vot_workspace.evaluation import MULTISTART, STACK, Job

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    if options.output is not None and (options.output.is_dir() or not options.output.absolute().parent.is_dir()):
        raise OSError(f"--output is '{options.output}', which is a folder or in none; name a file in a folder")
    if options.masks is not None:
        with open_sequences(options.masks) as sequences:
            choose(sequences, options.sequences, options.masks)
    names = choose_vot(options.vot, options.vot_sequences) if options.vot is not None else []
    tracking_names = choose_vot(options.tracking, options.tracking_sequences) if options.tracking is not None else []
    if options.tracking is not None and not options.tracking.is_dir():
        raise TrackingDataError(f"--tracking is '{options.tracking}', a file; unpack it and name the folder")
    weights = find_weights(settings.weights, model=settings.model)
    read_weights(weights)  # here, so that a complaint names this file and not the copy
    with copied(weights) as copy:
        settings = replace(settings, weights=str(copy))
        checksum = read_weights(copy)[1]["checksum"]
        document = conditions(settings, weights, checksum)
        arithmetic = f"{document['device']}, {document['precision']}, threads {document['threads']}"
        say(f"{weights.name} {checksum[:12]}, {arithmetic}")
        if options.masks is not None:
            document["masks"] = _masks(options, settings, load)
            if options.output is not None:
                # at once: what follows takes long
                write_document(options.output, document | {"records": records(document)})
        if options.tracking is not None:
            document["tracking"] = _tracking(options, settings, load, tracking_names)
        if options.vot is not None:
            stack = MULTISTART if options.experiment == "multistart" else STACK
            job = Job(options.vot, names, tracker_settings(environ), copy, evaluated(document), stack)
            document["vot"] = _vot(options, job, environ, document["threads"])
    if options.output is not None:
        write_document(options.output, document | {"records": records(document)})


@command(PROG)
def main(
    arguments: Sequence[str],
    *,
    load: Callable[[Settings], DMB] = load_tracker,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Measure what is asked for."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_usage(parser, options)
    _validate(options, load, environ)
