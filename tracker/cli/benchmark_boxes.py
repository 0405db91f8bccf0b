"""`dmb benchmark got10k`, `trackingnet` and `otb`: scores if the truth is public, else an archive for the server."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.cli.cluster import add_place, place_of
from tracker.cli.ending import FAILURE, complain, run_orderly, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import copied, evaluated, say, tracker_settings

if TYPE_CHECKING:
    from tracker.benchmarks.box_datasets import BoxDataset
    from tracker.benchmarks.boxes import TrackedBoxes
    from vot_workspace.evaluation import Job

COMMON = """\
The sequences are tracked in the VOT toolkit's unsupervised experiment, from the first box to the end without a restart.
A run that was interrupted continues where it was, with the same command.

--output gets: results/ with the boxes of every sequence as the benchmark's own tools read them, scores.csv and
scores.json where the ground truth is public{archive}, sequences/ (links to the images) and workspace/
(the toolkit's, needed to go on).

Settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""
ARCHIVE = ",\n{name}.zip for the evaluation server where the whole split {split} was tracked"
MOST_COMPLAINTS = 20  # that are printed of an archive


@dataclass(frozen=True)
class Benchmark:
    """One command.

    Attributes:
        name: of the command.
        title: of the benchmark.
        layout: of the folder that --root names.
        scores: what is computed, in words.
        splits: that it has; the first is the default.
        submitted: the split whose scores a server computes.
    """

    name: str
    title: str
    layout: str
    scores: str
    splits: tuple[str, ...] = ()
    submitted: str = ""

    @property
    def prog(self) -> str:
        """The command."""
        return f"dmb benchmark {self.name}"

    @property
    def description(self) -> str:
        """Text of --help."""
        archive = ARCHIVE.format(name=self.name, split=self.submitted) if self.submitted else ""
        return f"{self.title}: {self.scores}\n\n--root: {self.layout}\n\n{COMMON.format(archive=archive)}"


BENCHMARKS = {
    "got10k": Benchmark(
        "got10k",
        "GOT-10k",
        "the folder with 'train', 'val' and 'test', and in them SEQUENCE/00000001.jpg and SEQUENCE/groundtruth.txt.",
        "average overlap AO, success rates SR50 and SR75; the test split's are computed by its server.",
        ("val", "test", "train"),
        "test",
    ),
    "trackingnet": Benchmark(
        "trackingnet",
        "TrackingNet",
        "the folder with 'TEST' and 'TRAIN_0' to 'TRAIN_11', and in them anno/SEQUENCE.txt and frames/SEQUENCE/0.jpg.",
        "Success, Precision (20 pixels) and NormalizedPrecision; TEST's are computed by its server.",
        ("TEST", *(f"TRAIN_{part}" for part in range(12))),
        "TEST",
    ),
    "otb": Benchmark(
        "otb",
        "OTB",
        "the folder with SEQUENCE/img/0001.jpg and SEQUENCE/groundtruth_rect.txt (.1.txt, .2.txt: several targets).",
        "Success (area under the curve) and Precision (20 pixels).",
    ),
}


def _parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    parser = Parser(prog=benchmark.prog, description=benchmark.description)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of the data set")
    if benchmark.splits:
        parser.add_argument(
            "--split",
            choices=benchmark.splits,
            default=benchmark.splits[0],
            metavar="SPLIT",
            help=f"{', '.join(benchmark.splits)} (default: {benchmark.splits[0]})",
        )
    else:
        parser.set_defaults(split="")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for everything that comes out")
    add_model(parser)
    parser.add_argument("--sequences", nargs="+", metavar="NAME", help="only these sequences (default: all)")
    parser.add_argument("--frames", type=int, metavar="N", help="only the first N frames of each (default: all)")
    add_place(parser, "track")
    if benchmark.submitted:
        text = "track nothing: check whether this archive can be submitted"
        parser.add_argument("--check", type=Path, metavar="FILE.zip", help=text)
    else:
        parser.set_defaults(check=None)
    return parser


def _check_usage(parser: argparse.ArgumentParser, benchmark: Benchmark, options: argparse.Namespace) -> None:
    """End the process with code 2 where options are missing, have no effect or no sense."""
    if options.check is None and options.output is None:
        parser.error("give --output DIR" + (" or --check FILE.zip" if benchmark.submitted else ""))
    others = (options.output, options.weights, options.model, options.sequences, options.frames)
    if options.check is not None and any(others):
        parser.error("--check takes --root and --split only: it compares the archive with the whole split")
    if options.frames is not None and options.frames < 2:
        parser.error(f"--frames is {options.frames}; it must be at least 2")
    options.place = place_of(parser, options)


def _lengths(dataset: BoxDataset) -> dict[str, int]:
    return {sequence.name: len(sequence.images) for sequence in dataset.sequences}


def _extent(dataset: BoxDataset) -> str:
    return f"{len(dataset.sequences)} sequences, {sum(_lengths(dataset).values())} frames"


def _check(benchmark: Benchmark, dataset: BoxDataset, archive: Path) -> int:
    """Print what is wrong with an archive; returns the exit code."""
    from tracker.benchmarks.submission import check_archive

    complaints = check_archive(archive, benchmark.name, _lengths(dataset))
    for complaint in complaints[:MOST_COMPLAINTS]:
        complain(benchmark.prog, complaint)
    if len(complaints) > MOST_COMPLAINTS:
        complain(benchmark.prog, f"and {len(complaints) - MOST_COMPLAINTS} more")
    if complaints:
        return FAILURE
    say(f"'{archive}' can be submitted: {_extent(dataset)}")
    return 0


def _write_results(benchmark: Benchmark, tracked: Sequence[TrackedBoxes], output: Path) -> dict[str, str]:
    """Write the boxes of every sequence; returns the texts by their paths."""
    from tracker.benchmarks.submission import got10k_files, trackingnet_files
    from tracker.files import replace_file

    texts = got10k_files if benchmark.name == "got10k" else trackingnet_files
    files = {path: text for one in tracked for path, text in texts(one).items()}
    for path, text in files.items():
        target = output / "results" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, text)
    return files


def _write_scores(benchmark: Benchmark, tracked: Sequence[TrackedBoxes], output: Path, document: dict[str, Any]) -> str:
    """Score, and write CSV and JSON; returns the line to print."""
    from tracker.benchmarks import boxes
    from tracker.benchmarks.record import record
    from tracker.benchmarks.validation import write_document
    from tracker.files import replace_file

    score = {"got10k": boxes.got10k, "trackingnet": boxes.trackingnet, "otb": boxes.otb}[benchmark.name]
    scores = score(tracked)
    replace_file(output / "scores.csv", scores.table())
    limit = f", first {document['first_frames']} frames" if document["first_frames"] else ""
    data = f"{benchmark.title} {document['split']}".strip() + f", {len(tracked)} sequences{limit}"
    records = {"records": [record(document, data, scores.overall | {"fps": scores.fps[""]})]}
    write_document(output / "scores.json", document | scores.document() | records)
    return scores.line()


def _benchmark(benchmark: Benchmark, options: argparse.Namespace, environ: Mapping[str, str], process: Job) -> int:
    """Check everything that can be checked at once, then track, write and score; returns the exit code."""
    from tracker.benchmarks.box_datasets import READERS
    from tracker.settings import from_environment

    if options.output is not None and options.output.exists() and not options.output.is_dir():
        raise OSError(f"--output is '{options.output}', which is a file; name a folder")
    whole = READERS[benchmark.name](options.root, options.split)
    if options.check is not None:
        return _check(benchmark, whole, options.check)
    dataset = whole.choose(options.sequences, options.frames)
    settings = from_environment(environ, model_of(options))
    warn_of_settings(benchmark.prog, environ)
    options.output.mkdir(parents=True, exist_ok=True)

    from tracker.benchmarks.box_run import run
    from tracker.benchmarks.validation import conditions
    from tracker.checkpoints.weights import find_weights, read_weights

    weights = find_weights(settings.weights, model=settings.model)
    read_weights(weights)  # here, so that a complaint names this file and not the copy
    with copied(weights) as copy:
        checksum = read_weights(copy)[1]["checksum"]
        document = conditions(settings, weights, checksum)
        document |= {"benchmark": benchmark.title, "split": dataset.split, "first_frames": options.frames}
        say(f"{weights.name} {checksum[:12]}, {document['device']}, {document['precision']}")
        say(f"{' '.join((benchmark.title, dataset.split)).strip()}: {_extent(dataset)}")
        own = {**process.settings, **tracker_settings(environ)}
        job = replace(process, settings=own, weights=copy, identity=evaluated(document))
        found = run(dataset, job, options.output, place=options.place, environ=environ, say=say)
    where = options.place.cluster or options.place.workers
    document |= {"workers": where, "threads": found.threads or document["threads"]}  # of each process
    files = _write_results(benchmark, found.boxes, options.output)
    code = 0
    if options.split == benchmark.submitted != "":
        code = _submit(benchmark, whole, dataset, files, options.output)
    if not dataset.public:
        say("the ground truth of this split is not public: its server computes the scores")
    else:
        say(_write_scores(benchmark, found.boxes, options.output, document))
    return code


def _submit(benchmark: Benchmark, whole: BoxDataset, part: BoxDataset, files: Mapping[str, str], output: Path) -> int:
    """Write the archive and check it, if the whole split was tracked; returns the exit code."""
    from tracker.benchmarks.submission import write_archive

    if _lengths(part) != _lengths(whole):
        say(f"no archive: the server wants all {len(whole.sequences)} sequences with all their frames")
        return 0
    archive = output / f"{benchmark.name}.zip"
    write_archive(archive, files)
    return _check(benchmark, whole, archive)


def main(
    name: str,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    process: Job | None = None,
) -> int:
    """Run one of BENCHMARKS; `process` is the tracker's (tests put another one here)."""
    benchmark = BENCHMARKS[name]
    parser = _parser(benchmark)
    options = parser.parse_args(arguments)
    _check_usage(parser, benchmark, options)

    def work() -> int:
        from vot_workspace.evaluation import Job

        return _benchmark(benchmark, options, environ, process or Job(options.root, None, {}))

    return run_orderly(benchmark.prog, work)
