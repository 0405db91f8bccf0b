"""`dmb benchmark agreement`: whether the fast network's masks are those of the plain one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import load_tracker, say

if TYPE_CHECKING:
    from tracker.settings import Settings
    from tracker.tracker import DMB

PROG = "dmb benchmark agreement"
DESCRIPTION = """\
Tracks sequences that have a mask for every frame (SEQUENCE/00000.jpg or .webp with SEQUENCE/00000.png, in a folder or a
tar file), and gives every crop that is segmented to a plain variant of the network too: float32, usual memory layout,
nothing fused, the mask refined everywhere. Both get the same crop, spatial map and memories. Told is the IoU of the two
masks.

Settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`; DMB_PRECISION is that
of the fast network.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    data = parser.add_argument_group("sequences")
    data.add_argument("--masks", type=Path, required=True, metavar="SOURCE", help="folder or tar file of sequences")
    data.add_argument("--sequences", nargs="+", metavar="NAME", help="of them, those to track (default: all)")
    data.add_argument("--frames", type=int, metavar="N", help="only the first N frames of each (default: all)")
    parser.add_argument("--init", choices=("mask", "box"), default="mask", help="what to start from (default: mask)")
    add_model(parser)
    return parser


def _run(options: argparse.Namespace, environ: Mapping[str, str], load: Callable[[Settings], DMB]) -> None:
    from tqdm import tqdm

    from tracker.benchmarks.agreement import agree, pooled
    from tracker.benchmarks.sequences import choose, open_sequences
    from tracker.settings import from_environment

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    with open_sequences(options.masks) as sequences:
        chosen = choose(sequences, options.sequences, options.masks)
        tracker = load(settings)
        say(f"{tracker.engine.device}, {str(tracker.engine.dtype).removeprefix('torch.')} beside float32")
        parts = []
        for sequence in tqdm(chosen, unit=" sequences", file=sys.stderr, leave=False, disable=None):
            parts.append(
                agree(
                    tracker.engine, tracker.config, sequence,
                    from_box=options.init == "box", limit=options.frames,
                )
            )  # fmt: skip
            say(parts[-1].line())
    say(pooled(parts).line())


@command(PROG)
def main(
    arguments: Sequence[str], *, load: Callable[[Settings], DMB] = load_tracker, environ: Mapping[str, str] = os.environ
) -> None:
    """Track with both, and compare."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.frames is not None and options.frames < 2:
        parser.error(f"--frames is {options.frames}; it must be at least 2")
    _run(options, environ, load)
