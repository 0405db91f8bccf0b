"""`dmb results`: what has been measured, in one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tracker.cli.ending import command
from tracker.cli.parsing import Parser

DESCRIPTION = """\
Put what other commands have measured into one table (Markdown): scores, date, commit, checksum of the weights,
hardware, precision, and settings that are not the default.

A SOURCE is a JSON file or a folder that `dmb validate`, `dmb ablate`, `dmb benchmark` or `dmb score` has written, or an
analyzed workspace of the VOT toolkit (vot analysis --format json). The paper's own numbers are in docs/BENCHMARKS.md.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dmb results", description=DESCRIPTION)
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="file or folder with scores")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="also write the table into this file")
    return parser


@command("dmb results")
def main(arguments: Sequence[str]) -> None:
    """Read all records, then print and write the table."""
    options = _parser().parse_args(arguments)
    from tracker.benchmarks.record import read_records, table
    from tracker.files import replace_file

    text = "\n".join(table(read_records(options.sources))) + "\n"
    print(text, end="")
    if options.output is not None:
        replace_file(options.output, text)
