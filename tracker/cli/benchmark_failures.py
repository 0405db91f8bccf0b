"""`dmb benchmark failures`: where the tracker fails, with pictures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.api.loading import load_tracker
from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import say

if TYPE_CHECKING:
    from tracker.benchmarks.failures import Stretch
    from tracker.settings import Settings
    from tracker.tracking.tracker import DMB

PROG = "dmb benchmark failures"
DESCRIPTION = """\
Tracks sequences that have a mask for every frame (SEQUENCE/00000.jpg or .webp with SEQUENCE/00000.png, in a folder or a
tar file), and draws what happened where the overlap with the mask was low: the last good frame, the first bad one, the
worst one, and the first good one after it. The answer is filled, its rotated box yellow, the label outlined in cyan.
OUTPUT/failures.md lists the stretches.

With --tracking: sequences in the VOT format are tracked reset-based, from boxes and polygons, and every lost target is
drawn with its last good frame and its class: left the picture, fast motion, hidden or changed, wrong peak, size drift,
stale shape, wrong mask.

Settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""
TABLE = "failures.md"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    data = parser.add_argument_group("sequences")
    source = data.add_mutually_exclusive_group(required=True)
    source.add_argument("--masks", type=Path, metavar="SOURCE", help="folder or tar file of sequences with masks")
    source.add_argument("--tracking", type=Path, metavar="DIR", help="folder of sequences in the VOT format")
    data.add_argument("--sequences", nargs="+", metavar="NAME", help="which of them to track (default: all)")
    parser.add_argument("--init", choices=("mask", "box"), default="mask", help="what to start from (default: mask)")
    data.add_argument("--frames", type=int, metavar="N", help="only the first N frames of each (default: all)")
    data.add_argument("--strides", type=int, nargs="+", metavar="N", help="--tracking: every N-th frame (default: 1)")
    bad = parser.add_argument_group("with --masks: what counts as a failure")
    bad.add_argument(
        "--below",
        type=float,
        default=0.5,
        metavar="IOU",
        help="a bad frame's overlap is below this, at most 1 (default: 0.5)",
    )
    bad.add_argument("--least", type=int, default=3, metavar="N", help="bad frames in a row (default: 3)")
    add_model(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for pictures and table")
    return parser  # fmt: skip


def picture_name(stretch: Stretch) -> str:
    """File of a stretch's picture."""
    return f"{stretch.name}_{stretch.first:05d}.png"


def _run(options: argparse.Namespace, environ: Mapping[str, str], load: Callable[[Settings], DMB]) -> None:
    import cv2
    from tqdm import tqdm

    from tracker.benchmarks.failures import stretches, strip, table, watch
    from tracker.data.sequences import choose, open_sequences
    from tracker.files import replace_file
    from tracker.settings import from_environment

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    with open_sequences(options.masks) as sequences:
        chosen = choose(sequences, options.sequences, options.masks)
        tracker = load(settings)
        options.output.mkdir(parents=True, exist_ok=True)
        found: list[Stretch] = []
        for sequence in chosen:
            watching = watch(tracker, sequence, from_box=options.init == "box", limit=options.frames)
            frames = list(tqdm(watching, sequence.name, unit=" frames", file=sys.stderr, leave=False, disable=None))
            new = stretches(sequence.name, frames, below=options.below, least=options.least)
            mean = sum(frame.overlap for frame in frames[1:]) / max(len(frames) - 1, 1)
            say(f"{sequence.name}: {len(frames)} frames, mean IoU {mean:.3f}, {len(new)} failures")
            for stretch in new:
                picture = cv2.cvtColor(strip(stretch.shown()), cv2.COLOR_RGB2BGR)
                replace_file(options.output / picture_name(stretch), cv2.imencode(".png", picture)[1].tobytes())
            found += new
            replace_file(options.output / TABLE, table(found, picture_name))
    say(f"{len(found)} failures; see '{options.output / TABLE}'")


def _run_tracking(options: argparse.Namespace, environ: Mapping[str, str], load: Callable[[Settings], DMB]) -> None:
    import cv2

    from tracker.benchmarks.reset_failures import Failure, find_failures, table
    from tracker.benchmarks.tracking import read_sequence
    from tracker.files import replace_file
    from tracker.settings import from_environment
    from vot_workspace.dataset import choose

    def name_of(failure: Failure) -> str:
        return f"{failure.name}_{failure.stride}_{failure.failed.index:05d}.png"

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    sequences = [read_sequence(options.tracking / name) for name in choose(options.tracking, options.sequences)]
    tracker = load(settings)
    options.output.mkdir(parents=True, exist_ok=True)
    found: list[Failure] = []
    for sequence in sequences:
        for stride in options.strides or [1]:
            new = list(find_failures(tracker, sequence, stride))
            say(f"{sequence.name} /{stride}: {', '.join(failure.kind for failure in new) or 'no failure'}")
            for failure in new:
                picture = cv2.cvtColor(failure.picture(), cv2.COLOR_RGB2BGR)
                replace_file(options.output / name_of(failure), cv2.imencode(".png", picture)[1].tobytes())
            found += new
            replace_file(options.output / TABLE, table(found, name_of))
    say(f"{len(found)} failures; see '{options.output / TABLE}'")


@command(PROG)
def main(
    arguments: Sequence[str], *, load: Callable[[Settings], DMB] = load_tracker, environ: Mapping[str, str] = os.environ
) -> None:
    """Track, and draw where it fails."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.frames is not None and options.frames < 2:
        parser.error(f"--frames is {options.frames}; it must be at least 2")
    if not 0.0 < options.below <= 1.0 or options.least < 1:
        parser.error("--below must be above 0 and at most 1, and --least at least 1")
    if options.strides is not None and (options.tracking is None or min(options.strides) < 1):
        parser.error("--strides goes with --tracking, and each is at least 1")
    (_run if options.tracking is None else _run_tracking)(options, environ, load)
