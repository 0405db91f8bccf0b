"""`dmb train`: train the network by a plan."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tracker.cli.ending import command
from tracker.cli.parsing import Parser

PLANS = Path(__file__).resolve().parents[1] / "training" / "plans"
DESCRIPTION = """\
Trains DMB as a plan says: stages, frame sizes, rates. What is written to --output continues where it stopped when the
same command is called again, Ctrl-C and SIGTERM included; at the end its weights file is what `--weights` takes
everywhere.

On several GPUs or machines: torchrun --nproc-per-node N -m tracker.training PLAN ...
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(prog="dmb train", description=DESCRIPTION)
    own = ", ".join(sorted(path.stem for path in PLANS.glob("*.toml")))
    result.add_argument("plan", metavar="PLAN", help=f"a TOML file with stages and rates, or one of: {own}")
    data = result.add_argument_group("what it learns from")
    data.add_argument(
        "--data",
        type=Path,
        required=True,
        action="append",
        metavar="DIR",
        help="folder of training data, recognized by its contents (docs/TRAINING.md); may be repeated",
    )
    start = data.add_mutually_exclusive_group()
    start.add_argument(
        "--trunk", type=Path, metavar="FILE", help="start from an ImageNet ResNet-50 to layer3, safetensors"
    )
    start.add_argument("--weights", type=Path, metavar="FILE", help="start from DMB weights")
    start.add_argument(
        "--from",
        dest="origin",
        type=Path,
        metavar="RUN",
        help="branch off the checkpoint in another run's output folder, with its optimizer; that folder is only read",
    )
    data.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="DMB weights whose features are imitated, for a plan with a teacher (default: those of --weights)",
    )
    result.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of checkpoint and weights; continued if it exists",
    )
    work = result.add_argument_group("where and how")
    work.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    work.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that decode samples (default: 0; up to 8 with a GPU)",
    )
    work.add_argument(
        "--accumulate", type=int, default=1, metavar="N", help="parts a batch is computed in, where memory is short"
    )
    work.add_argument(
        "--begin",
        type=int,
        default=0,
        metavar="STEP",
        help="the step of the plan that a fresh run begins with, in a new warm-up: where a checkpoint was lost and its "
        "weights were kept (`dmb weights info` tells their steps)",
    )
    work.add_argument("--until", type=int, metavar="STEP", help="stop after this step, to be continued later")
    work.add_argument(
        "--report-every", type=int, default=20, metavar="STEPS", help="steps between two lines of the log"
    )
    return result


@command("dmb train")
def main(arguments: Sequence[str]) -> None:
    """Train."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.accumulate < 1 or (options.workers or 0) < 0:
        command_line.error("--accumulate must be at least 1 and --workers at least 0")
    from tracker.training.run import run

    run(options)
