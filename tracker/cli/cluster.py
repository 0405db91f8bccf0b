"""The options that say where the work is done: --workers, --cluster and --send."""

from __future__ import annotations

import argparse

from tracker.cluster.tasks import Place


def add_place(parser: argparse.ArgumentParser, what: str = "work") -> None:
    """Add --workers, --cluster and --send."""
    place = parser.add_argument_group("where it runs")
    place.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"{what} in N processes of this machine: what it has cores or GPU memory for (default: 1)",
    )
    place.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="on a Dask cluster that is running instead: its scheduler's address, tcp://HOST:8786, or the file that "
        "dask scheduler --scheduler-file has written (docs/BENCHMARKS.md, Several machines)",
    )
    place.add_argument(
        "--send", action="store_true", help="with --cluster: send workers the sequences that they do not see"
    )


def place_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Place:
    """What was chosen; ends the process with code 2 where that has no sense."""
    if options.workers is not None and options.workers < 1:
        parser.error(f"--workers is {options.workers}; it must be at least 1")
    if options.workers is not None and options.cluster is not None:
        parser.error("--workers has no effect with --cluster, whose workers run already; leave one of them out")
    if options.send and options.cluster is None:
        parser.error("--send has no effect without --cluster")
    return Place(options.workers or 1, options.cluster, options.send)
