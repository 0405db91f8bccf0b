"""Trains DMB from an ImageNet trunk: python -m tracker.training --data DIR --trunk FILE --output DIR.

The stages are made for a few CPU hours: small search regions at the target scale that tracking sees (50 to 80
pixels), two frames first, larger regions and recurrent samples later.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch

from tracker.training.data import DataError, read_stills, read_videos
from tracker.training.loop import Stage, Trainer, TrainingConfig
from tracker.training.sources import MaterialDrawer
from tracker.weights import WeightsError

HELD_OUT = ("bmx-bumps", "breakdance-flare", "car-turn", "dog-agility", "kite-walk", "scooter-gray")

FIRST_WEIGHTS: tuple[Stage, ...] = (
    Stage(steps=1000, size=128, frames=2, batch=8, factor=(1.8, 2.8)),
    Stage(steps=600, size=192, frames=3, batch=4, factor=(2.4, 4.0)),
    Stage(steps=700, size=256, frames=3, batch=4, factor=(3.0, 5.0), decay=True),
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m tracker.training", description=__doc__)
    result.add_argument("--data", type=Path, required=True, help="folder with stills-*.tar and *video*/davis*.tar")
    result.add_argument("--trunk", type=Path, required=True, help="ImageNet ResNet-50 to layer3, safetensors")
    result.add_argument("--output", type=Path, required=True, help="checkpoint and weights; continued if it exists")
    result.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    result.add_argument("--steps", type=int, nargs="+", metavar="N", help="steps of each stage (default: as planned)")
    result.add_argument("--until", type=int, help="stop after this step, to be continued later")
    result.add_argument("--report-every", type=int, default=20, help="steps between two lines of the log")
    result.add_argument("--seed", type=int, default=0)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the training; returns the exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    stages = FIRST_WEIGHTS
    if options.steps:
        if len(options.steps) != len(stages):
            print(f"--steps: give one number for each of the {len(stages)} stages", file=sys.stderr)
            return 2
        stages = tuple(replace(stage, steps=steps) for stage, steps in zip(stages, options.steps, strict=True))
    config = TrainingConfig(stages=stages, seed=options.seed)
    try:
        stills = read_stills(sorted(options.data.glob("stills-*.tar")))
        videos = read_videos(
            sorted({*options.data.glob("*video*.tar"), *options.data.glob("davis*.tar")}), held_out=HELD_OUT
        )
        if not stills:
            raise DataError(f"no stills-*.tar in '{options.data}'; name the folder that holds the training shards")
        drawer = MaterialDrawer(stills, videos, video_share=config.video_share, max_gap=config.max_gap)
        logging.info("%d stills, %d videos", len(stills), len(drawer.videos))
        device = torch.device(options.device)
        trainer = Trainer(config, drawer, trunk=options.trunk, output=options.output, device=device)
        trainer.run(until=options.until, report_every=options.report_every)
    except (DataError, WeightsError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
