"""`dmb results`: what has been measured, in one table for each of the paper's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tracker.cli.ending import command
from tracker.cli.parsing import Parser

DESCRIPTION = """\
Collect what other commands have measured into one table for each of the paper's Tables I to VII, our numbers beside
the paper's, each with date, commit, checksum of the weights, hardware and precision. Written are RESULTS.md,
results.csv and results.html (one page with plots, which needs no other file).

A SOURCE is one of these, or a folder of them, and is recognised by what it holds:
  - JSON of `dmb validate --output FILE.json`
  - the output folder of `dmb benchmark davis|got10k|trackingnet|otb`, of `dmb score davis`, of `dmb ablate`
  - a workspace of the VOT toolkit that was analysed (vot analysis --format json); what the toolkit does not record
    can be told in WORKSPACE/results/TRACKER/conditions.json:
    {"commit": "...", "weights": "checksum", "hardware": "...", "precision": "..."}
  - a file of measurements that is kept by hand, for numbers of a benchmark's server: docs/results/measured.json is one

Where several sources fill one cell the newest stands, and the others are mentioned. What nobody has run stays visible
as "not run". What was measured on other data than the paper's benchmarks goes to tables of its own.
"""
FILES = ("RESULTS.md", "results.csv", "results.html")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dmb results", description=DESCRIPTION)
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="file or folder with numbers")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help=f"folder for {', '.join(FILES)}")
    return parser


def _command(options: argparse.Namespace) -> str:
    """The command as it can be told to others, without the folders of this machine."""
    paths = [path.name if path.is_absolute() else path.as_posix() for path in (*options.sources, options.output)]
    return " ".join(["dmb results", *paths[:-1], "--output", paths[-1]])


def _collect(options: argparse.Namespace) -> None:
    """Read everything, then write everything; raises ResultsError and OSError."""
    from tracker.benchmarks.results import Results
    from tracker.benchmarks.results_page import page
    from tracker.benchmarks.results_published import read_published
    from tracker.benchmarks.results_sources import read_sources
    from tracker.benchmarks.results_tables import sections
    from tracker.benchmarks.results_text import comma_separated, markdown, summary
    from tracker.files import replace_file

    published = read_published()
    results = Results(read_sources(options.sources, published))
    found = sections(results, published)
    texts = (
        markdown(found, results, published, _command(options)),
        comma_separated(results, published),
        page(found, results, published),
    )
    options.output.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, texts, strict=True):
        replace_file(options.output / name, text)
    for remark in results.remarks:
        print(f"note: {remark}")
    print(summary(results, published))
    print(f"development sets: {len(results.development_sets)}")
    print(f"written in '{options.output}': {', '.join(FILES)}")


@command("dmb results")
def main(arguments: Sequence[str]) -> None:
    """Collect, and write the files."""
    _collect(_parser().parse_args(arguments))
