"""Trains DMB: dmb train PLAN --data DIR --trunk FILE --output DIR (or python -m tracker.training, the same)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tracker.engine import DeviceError, resolve_device
from tracker.training.data import DataError, read_stills, read_videos
from tracker.training.loop import Trainer
from tracker.training.plan import PLANS, PlanError, TrainingConfig, read_plan
from tracker.training.sources import MaterialDrawer
from tracker.weights import WeightsError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = ", ".join(sorted(path.stem for path in PLANS.glob("*.toml")))
    result = argparse.ArgumentParser(
        prog="dmb train", description="Trains DMB. An interrupted run goes on where it stopped when called again."
    )
    result.add_argument("plan", help=f"a TOML file with stages and rates, or one of: {own}")
    result.add_argument("--data", type=Path, required=True, help="folder with stills-*.tar and *video*/davis*.tar")
    start = result.add_mutually_exclusive_group()
    start.add_argument("--trunk", type=Path, help="start from an ImageNet ResNet-50 to layer3, safetensors")
    start.add_argument("--weights", type=Path, help="start from DMB weights")
    result.add_argument("--output", type=Path, required=True, help="checkpoint and weights; continued if it exists")
    result.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number> (default: auto)")
    result.add_argument("--until", type=int, help="stop after this step, to be continued later")
    result.add_argument("--report-every", type=int, default=20, help="steps between two lines of the log")
    return result


def build_drawer(config: TrainingConfig, data: Path) -> MaterialDrawer:
    """Read the data that a plan asks for.

    Raises:
        DataError: they are missing or damaged.
    """
    stills = read_stills(sorted(data.glob("stills-*.tar")))
    shards = sorted({*data.glob("*video*.tar"), *data.glob("davis*.tar")})
    videos = read_videos(shards, held_out=config.held_out)
    if not stills:
        raise DataError(f"no stills-*.tar in '{data}'; name the folder that holds the training shards")
    return MaterialDrawer(
        stills,
        videos,
        video_share=config.video_share,
        composite_share=config.composite_share,
        distractor_share=config.distractor_share,
        twin_share=config.twin_share,
        max_gap=config.max_gap,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the training; returns the exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        config = read_plan(options.plan)
        drawer = build_drawer(config, options.data)
        logging.info("%d stills, %d videos", len(drawer.stills), len(drawer.videos))
        device = resolve_device(options.device)
        trainer = Trainer(
            config, drawer, trunk=options.trunk, weights=options.weights, output=options.output, device=device
        )
        trainer.run(until=options.until, report_every=options.report_every)
    except (DataError, DeviceError, PlanError, WeightsError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
