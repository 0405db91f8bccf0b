"""`dmb score davis`: J and F of a folder of masks, from this tracker or from any other method."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tracker.cli.benchmark_davis import add_source, score_all, source_of
from tracker.cli.ending import command
from tracker.cli.parsing import Parser
from tracker.cli.validate import say

DESCRIPTION = """\
Score masks that are there already.

  davis    J and F on DAVIS 2016 or 2017
"""
DAVIS = """\
Score masks MASKS/SEQUENCE/00000.png as the official evaluation of DAVIS's semi-supervised task does: mean, recall and
decay of region similarity J and contour accuracy F, without the first and the last frame.

Masks are PNG files with object ids as palette or gray values. For DAVIS 2016 the object is what is not zero, so that
masks of 0 and 255 are understood.
"""


def _parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The command's parser, and that of `davis`."""
    parser = Parser(prog="dmb score", description=DESCRIPTION)
    benchmarks = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    davis = benchmarks.add_parser("davis", description=DAVIS)
    add_source(davis)
    davis.add_argument("--masks", type=Path, required=True, metavar="DIR", help="folder of the masks")
    davis.add_argument("--output", type=Path, metavar="DIR", help="write the scores as CSV and JSON into this folder")
    return parser, davis


@command("dmb score")
def main(arguments: Sequence[str]) -> None:
    """Score, and print the numbers."""
    parser, davis = _parser()
    options = parser.parse_args(arguments)
    source = source_of(davis, options)
    from tracker.data.davis import open_davis
    from tracker.data.davis_masks import DavisError

    if not options.masks.is_dir():
        raise DavisError(f"'{options.masks}' is not a folder; name one that holds SEQUENCE/00000.png")
    with open_davis(source) as sequences:
        scores = score_all(sequences, options.masks)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        facts = {"root": source.root.resolve().name, "masks": options.masks.resolve().name}
        scores.write(options.output, facts | {"year": source.year, "first_frames": source.limit})
    for line in scores.lines():
        say(line)
