"""`dmb benchmark NAME`: measurements of the tracker. Each is a file of its own, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pkgutil import resolve_name

from tracker.cli.ending import USAGE as WRONG
from tracker.cli.ending import complain
from tracker.cli.parsing import advice, help_width, reflow

USAGE = """\
usage: dmb benchmark BENCHMARK ...

benchmarks:
  davis ...        J and F on DAVIS 2016 or 2017, with masks in the layout of a submission
  failures ...     where the tracker fails on sequences with masks, with pictures
  got10k ...       AO and success rates on GOT-10k, and the archive for its server
  otb ...          success and precision on OTB
  peers ...        DMB beside OpenCV's trackers and yours: scores, time and memory in one table
  speed ...        milliseconds per frame and by stage, beside a plain variant
  trackingnet ...  success and precision on TrackingNet, and the archive for its server

Every benchmark has its own --help.
"""


def _boxes(name: str) -> Callable[..., int]:
    return partial(resolve_name("tracker.cli.benchmark_boxes:main"), name)


# a call imports the benchmark's module and gives its function, which takes arguments and returns the exit code
BENCHMARKS: dict[str, Callable[[], Callable[..., int]]] = {
    "davis": partial(resolve_name, "tracker.cli.benchmark_davis:main"),
    "failures": partial(resolve_name, "tracker.cli.benchmark_failures:main"),
    "peers": partial(resolve_name, "tracker.cli.benchmark_peers:main"),
    "speed": partial(resolve_name, "tracker.cli.benchmark_speed:main"),
    **{name: partial(_boxes, name) for name in ("got10k", "otb", "trackingnet")},
}


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(reflow(USAGE, help_width()), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else WRONG
    benchmark = BENCHMARKS.get(arguments[0])
    if benchmark is None:
        complain("dmb benchmark", f"there is no benchmark '{arguments[0]}'; {advice(arguments[0], BENCHMARKS)}")
        return WRONG
    return benchmark()(arguments[1:])
