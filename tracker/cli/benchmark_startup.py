"""`dmb benchmark startup`: how long the toolkit's process takes until it is ready, and for its first frames."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, chosen_environment
from tracker.cli.parsing import Parser

PROG = "dmb benchmark startup"
DESCRIPTION = """\
Starts the process that the VOT toolkit starts, several times, and times what it does: importing, loading and verifying
the weights, preparing the network, running every part of the tracker once. Then the toolkit would be greeted, and its
timeout begin to count; the first two frames (640 x 480) are timed, too. Medians are told, and the most memory held.

Let nothing else run meanwhile, and call it twice: the first call may wait for the disk. Settings come from the
environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="number of starts (default: 3)")
    add_model(parser)
    return parser


@command(PROG)
def main(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> None:
    """Start, and print the numbers."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.starts < 1:
        parser.error(f"--starts is {options.starts}; it must be at least 1")
    from tracker.benchmarks.startup import measure_startup
    from tracker.settings import from_environment

    environ = chosen_environment(options, environ)
    from_environment(environ)
    warn_of_settings(PROG, environ)
    for line in measure_startup(environ, options.starts).lines():
        print(line, flush=True)
