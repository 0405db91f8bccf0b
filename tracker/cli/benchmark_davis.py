"""`dmb benchmark davis`: the tracker on DAVIS 2016 or 2017, masks for a submission, and their J and F."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.api.loading import load_trackers
from tracker.cli.cluster import add_place, place_of
from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import copied, say

if TYPE_CHECKING:
    from tracker.benchmarks.davis_run import Load, Run
    from tracker.benchmarks.davis_scores import Scores
    from tracker.cluster.tasks import Place
    from tracker.data.davis import DavisSequence, Source
    from tracker.settings import Settings

PROG = "dmb benchmark davis"
DESCRIPTION = """\
Track every object of DAVIS, write the masks as a submission wants them (OUTPUT/SEQUENCE/00000.png, object ids with
DAVIS's palette), and score them as the official evaluation does: mean, recall and decay of region similarity J and
contour accuracy F without the first and the last frame, as a table, CSV and JSON. In DAVIS 2016 all objects are one; in
DAVIS 2017 each has a tracker of its own, and their answers are merged by soft aggregation.

The same command continues where it was interrupted: sequences whose masks are all there are not tracked again. OUTPUT
keeps the conditions in run.json, and masks of other weights or settings are never mixed.

Settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""
NOT_COMPARED = ("threads",)  # settings that do not change masks but for rounding


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that name sequences of DAVIS."""
    data = parser.add_argument_group("sequences")
    data.add_argument(
        "--root",
        type=Path,
        required=True,
        metavar="DAVIS",
        help="folder of the official layout (JPEGImages, Annotations, ImageSets), or a folder or tar "
        "file with SEQUENCE/00000.jpg and SEQUENCE/00000.png",
    )
    data.add_argument("--year", type=int, choices=(2016, 2017), required=True, help="2016: all objects are one")
    chosen = data.add_mutually_exclusive_group()
    chosen.add_argument(
        "--split",
        metavar="NAME|FILE",
        help="list in ImageSets (val, train, ...) or text file of names (default: val; without "
        "ImageSets all sequences)",
    )
    chosen.add_argument("--sequences", nargs="+", metavar="NAME", help="these sequences instead of a split")
    data.add_argument("--frames", type=int, metavar="N",
                      help="only the first N frames of each, for a quick look: no score of DAVIS")  # fmt: skip


def source_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Source:
    """What the options of `add_source` name; ends the process with code 2 where they have no sense."""
    from tracker.data.davis import MIN_FRAMES, Source

    if options.frames is not None and options.frames < MIN_FRAMES:
        parser.error(f"--frames is {options.frames}; it must be at least {MIN_FRAMES}, since neither end is scored")
    names = tuple(dict.fromkeys(options.sequences)) if options.sequences else None
    return Source(options.root, options.year, options.split, names, options.frames)


def score_all(sequences: Sequence[DavisSequence], folder: Path) -> Scores:
    """Score the masks in `folder` with a progress bar; raises DavisError."""
    from tqdm import tqdm

    from tracker.benchmarks.davis_scores import Scores, score_masks

    with tqdm(sequences, "scoring", unit=" sequences", file=sys.stderr, leave=False) as bar:
        return Scores([score for sequence in bar for score in score_masks(sequence, folder / sequence.name)])


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    add_source(parser)
    parser.add_argument(
        "--init",
        choices=("mask", "box"),
        default="mask",
        help="what the trackers start from (default: mask, as DAVIS has it)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for masks and scores")
    add_model(parser)
    parser.add_argument(
        "--no-score",
        action="store_true",
        help="write masks only: for test sets, of which only the first labels are public",
    )
    add_place(parser, "track")
    return parser  # fmt: skip


def _conditions(source: Source, init: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What masks depend on; `facts` are those of `tracker.benchmarks.validation.conditions`."""
    from tracker import __version__

    settings = {name: value for name, value in facts["settings"].items() if name not in NOT_COMPARED}
    return {
        "version": __version__,
        "root": source.root.resolve().name,
        "year": source.year,
        "frames": source.limit,
        "init": init,
        "weights": facts["weights"]["checksum"],
        "device": facts["device"].partition(":")[0],
        "precision": facts["precision"],
        "settings": settings,
    }


def _shared(settings: Settings, place: Place, environ: Mapping[str, str]) -> Settings:
    """The settings of one of several processes: they share the cores unless the user has chosen their threads."""
    from tracker.cluster.tasks import threads_per_task

    threads = None if place.alone else threads_per_task(place, environ)
    return settings if threads is None else replace(settings, threads=threads)


def _track(run: Run, sequences: Sequence[DavisSequence], place: Place) -> None:
    """Track what is missing, with a progress bar."""
    from tqdm import tqdm

    from tracker.benchmarks.davis_run import track_all

    missing = [sequence for sequence in sequences if not run.is_done(sequence)]
    if len(missing) < len(sequences):
        say(f"{len(sequences) - len(missing)} of {len(sequences)} sequences are there already")
    lengths = {sequence.name: len(sequence.frames) for sequence in missing}
    with (
        tqdm(total=sum(lengths.values()), desc="tracking", unit=" frames", file=sys.stderr) as bar,
        # closed at once where this is interrupted: the processes end before the message
        closing(track_all(run, missing, place, lambda done: bar.update(done - bar.n))) as finished,
    ):
        for name in finished:
            bar.write(f"{name}: {lengths[name]} masks", file=sys.stdout)


def _benchmark(options: argparse.Namespace, source: Source, load: Load | None, environ: Mapping[str, str]) -> None:
    """Check everything that can be checked at once, then track, then score."""
    from tracker.benchmarks.davis_run import Run, check_folder
    from tracker.benchmarks.validation import conditions
    from tracker.checkpoints.weights import find_weights, read_weights
    from tracker.data.davis import open_davis
    from tracker.settings import from_environment

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    weights = find_weights(settings.weights, model=settings.model)
    read_weights(weights)  # here, so that a complaint names this file and not the copy
    with open_davis(source) as sequences, copied(weights) as copy:
        for sequence in sequences:
            _check(sequence, scored=not options.no_score)
        place: Place = options.place
        if place.cluster is None:
            place = replace(place, workers=min(place.workers, len(sequences)))
        settings = _shared(replace(settings, weights=str(copy)), place, environ)
        facts = conditions(settings, weights, read_weights(copy)[1]["checksum"])
        check_folder(options.output, _conditions(source, options.init, facts), [each.name for each in sequences])
        say("{} {}, {device}, {precision}, threads {threads}".format(
            weights.name, facts["weights"]["checksum"][:12], **facts))  # fmt: skip
        run = Run(source, options.init, options.output, settings, load or load_trackers)
        _track(run, sequences, place)
        if options.no_score:
            say(f"masks written in '{options.output}', not scored")
            return
        scores = score_all(sequences, options.output)
    scores.write(options.output, facts | {"year": source.year, "init": options.init, "first_frames": source.limit})
    for line in scores.lines():
        say(line)


def _check(sequence: DavisSequence, *, scored: bool) -> None:
    """Find missing files before hours are spent; raises DavisError."""
    from tracker.data.davis_masks import DavisError

    assert sequence.objects
    missing = [frame for frame in sequence.frames[1:-1] if f"{frame}.png" not in sequence.labels.files]
    if scored and missing:
        raise DavisError(f"label '{sequence.labels.where}/{missing[0]}.png' is missing; restore it, or use --no-score")


@command(PROG, interrupted="interrupted; the same command continues")
def main(arguments: Sequence[str], *, load: Load | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Track, and score; without `load`, with the real trackers."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.place = place_of(parser, options)
    _benchmark(options, source_of(parser, options), load, environ)
