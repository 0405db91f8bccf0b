"""`dmb benchmark NAME`: measurements of the tracker. Each is a file of its own, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

USAGE = """\
usage: dmb benchmark BENCHMARK ...

benchmarks:
  boxfit ...    how well, and how fast, rotated boxes are fitted to masks
  davis ...     J and F on DAVIS 2016 or 2017, with masks in the layout of a submission
  failures ...  where the tracker fails on sequences with masks, with pictures
  got10k ...    AO and success rates on GOT-10k, and the archive for its server
  otb ...       success and precision on OTB
  trackingnet ... success and precision on TrackingNet, and the archive for its server

Every benchmark has its own --help.
"""


def _boxfit() -> Callable[[Sequence[str]], int]:
    from tracker.cli.benchmark_boxfit import main

    return main


def _davis() -> Callable[[Sequence[str]], int]:
    from tracker.cli.benchmark_davis import main

    return main


def _failures() -> Callable[[Sequence[str]], int]:
    from tracker.cli.benchmark_failures import main

    return main


def _boxes(name: str) -> Callable[[], Callable[[Sequence[str]], int]]:
    def load() -> Callable[[Sequence[str]], int]:
        from tracker.cli.benchmark_boxes import main

        return partial(main, name)

    return load


BENCHMARKS = {
    "boxfit": _boxfit,
    "davis": _davis,
    "failures": _failures,
    "got10k": _boxes("got10k"),
    "otb": _boxes("otb"),
    "trackingnet": _boxes("trackingnet"),
}


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark; returns the exit code, 2 where there is no such benchmark."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    benchmark = BENCHMARKS.get(arguments[0])
    if benchmark is None:
        names = ", ".join(BENCHMARKS)
        print(f"dmb: there is no benchmark '{arguments[0]}'; use one of: {names}", file=sys.stderr)
        return 2
    return benchmark()(arguments[1:])
