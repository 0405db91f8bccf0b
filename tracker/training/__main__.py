"""Trains DMB: dmb train PLAN --data DIR --trunk FILE --output DIR (or python -m tracker.training, the same).

On several GPUs or machines: torchrun --nproc-per-node N -m tracker.training PLAN ...
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm.contrib.logging import logging_redirect_tqdm

from tracker.engine import DeviceError, is_full, resolve_device
from tracker.training.data import DataError
from tracker.training.distributed import World, join, leave
from tracker.training.drawer import MaterialDrawer, Pictures
from tracker.training.loop import Trainer
from tracker.training.plan import PLANS, PlanError, TrainingConfig, read_plan
from tracker.training.readers import read_data
from tracker.training.resident import Shelf
from tracker.training.sources import Files
from tracker.weights import WeightsError

log = logging.getLogger(__name__)

FULL = "the memory of the device is full; raise --accumulate, or leave the data in their files: --data-on host"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = ", ".join(sorted(path.stem for path in PLANS.glob("*.toml")))
    result = argparse.ArgumentParser(
        prog="dmb train", description="Trains DMB. An interrupted run goes on where it stopped when called again."
    )
    result.add_argument("plan", help=f"a TOML file with stages and rates, or one of: {own}")
    data = "folder of training data, recognised by its contents (docs/DATA.md); may be given several times"
    result.add_argument("--data", type=Path, required=True, action="append", metavar="DIR", help=data)
    start = result.add_mutually_exclusive_group()
    start.add_argument("--trunk", type=Path, help="start from an ImageNet ResNet-50 to layer3, safetensors")
    start.add_argument("--weights", type=Path, help="start from DMB weights")
    result.add_argument("--output", type=Path, required=True, help="checkpoint and weights; continued if it exists")
    result.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number> (default: auto)")
    result.add_argument(
        "--data-on",
        choices=("device", "host"),
        help="device: decode all data at the start and keep them in the memory of the device that trains; host: decode "
        "samples when they are drawn (default: device with a GPU, host on the CPU)",
    )
    workers = "processes that decode samples, with the data on the host (default: 0; up to 8 with a GPU)"
    result.add_argument("--workers", type=int, help=workers)
    result.add_argument("--accumulate", type=int, default=1, help="parts a batch is computed in, where memory is short")
    result.add_argument("--until", type=int, help="stop after this step, to be continued later")
    result.add_argument("--report-every", type=int, default=20, help="steps between two lines of the log")
    return result


def read_files(config: TrainingConfig, folders: Sequence[Path]) -> Files:
    """Read the data that a plan asks for.

    Raises:
        DataError: they are missing or damaged.
    """
    data = read_data(folders, held_out=config.held_out)
    stills, videos = data.stills, data.videos
    if not stills:
        named = ", ".join(f"'{folder}'" for folder in folders)
        raise DataError(f"no stills in {named}, which backgrounds and distractors come from; add another --data DIR")
    if not videos:
        log.warning("no videos were read: every sample is made from stills")
    log.info("%d stills, %d videos", len(stills), len(videos))
    return Files(stills, videos)


def build_drawer(config: TrainingConfig, pictures: Pictures) -> MaterialDrawer:
    """Draw from pictures as a plan wants it."""
    return MaterialDrawer(
        pictures,
        composite_share=config.composite_share,
        distractor_share=config.distractor_share,
        twin_share=config.twin_share,
        part_share=config.part_share,
        pair_share=config.pair_share,
        max_gap=config.max_gap,
    )


def start_log(world: World, output: Path) -> None:
    """Log to the terminal and to `output`/train.log; processes that do not lead only warn."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if world.leads:
        output.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(output / "train.log"))
    level = logging.INFO if world.leads else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)


def choose_device(name: str, world: World) -> torch.device:
    """The device of this process: with several GPUs each process takes its own."""
    device = resolve_device(name)
    if device.type == "cuda" and world.size > 1:
        device = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(device)
    return device


def place_data(asked: str | None, files: Files, device: torch.device, world: World) -> Pictures:
    """The pictures where they are wanted: decoded on the device, by default on a GPU, or in their files.

    Raises:
        DataError: the device has not enough memory.
    """
    if asked == "host" or (asked is None and device.type == "cpu"):
        return files
    with logging_redirect_tqdm():
        return Shelf(files, device, quiet=not world.leads)


def choose_workers(asked: int | None, device: torch.device, world: World) -> int:
    """Worker processes: as asked, else none on the CPU, which the network itself needs, and up to 8 with a GPU."""
    if asked is not None:
        return asked
    if device.type == "cpu":
        return 0
    return min(8, max(1, (os.cpu_count() or 1) // world.size - 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the training; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.accumulate < 1 or (options.workers or 0) < 0:
        print("training: --accumulate must be at least 1 and --workers at least 0", file=sys.stderr)
        return 2
    try:
        config = read_plan(options.plan)
        world = join(cuda=resolve_device(options.device).type == "cuda")
        start_log(world, options.output)
        device = choose_device(options.device, world)
        pictures = place_data(options.data_on, read_files(config, options.data), device, world)
        trainer = Trainer(
            config,
            build_drawer(config, pictures),
            trunk=options.trunk,
            weights=options.weights,
            output=options.output,
            device=device,
            world=world,
            accumulate=options.accumulate,
            workers=choose_workers(options.workers, device, world),
        )
        with logging_redirect_tqdm():
            trainer.run(until=options.until, report_every=options.report_every)
    except (DataError, DeviceError, PlanError, WeightsError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if not is_full(error):
            raise
        print(f"training: {FULL}", file=sys.stderr)
        return 1
    finally:
        leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
