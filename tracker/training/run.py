"""A training run from its options: plan, data, devices, log. `dmb train` (tracker.cli.train) reads the options."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm.contrib.logging import logging_redirect_tqdm

from tracker.engine.engine import is_full, resolve_device
from tracker.errors import UserError
from tracker.training.data import DataError
from tracker.training.distributed import World, join, leave
from tracker.training.drawer import MaterialDrawer
from tracker.training.loop import Trainer
from tracker.training.plan import TrainingConfig, read_plan
from tracker.training.readers import read_data
from tracker.training.sources import Files

log = logging.getLogger(__name__)

FULL = "the memory of the device is full; raise --accumulate"


class DeviceFullError(UserError):
    """The device has too little memory for the training; the message says what takes less."""


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
    if config.instance_share and not data.instances:
        log.warning("no pictures of several objects were read, of which the plan wants a share: stills stand in")
    log.info("%d stills, %d of several objects, %d videos", len(stills), len(data.instances), len(videos))
    return Files(stills, videos, data.instances)


def build_drawer(config: TrainingConfig, pictures: Files) -> MaterialDrawer:
    """Draw from pictures as a plan wants it."""
    return MaterialDrawer(
        pictures,
        composite_share=config.composite_share,
        distractor_share=config.distractor_share,
        twin_share=config.twin_share,
        part_share=config.part_share,
        pair_share=config.pair_share,
        instance_share=config.instance_share,
        max_gap=config.max_gap,
    )


class LogFile(logging.FileHandler):
    """The log as a file; a disk that is full is said once and ends nothing."""

    _complained = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say on standard error why a line is not in the file."""
        error = sys.exc_info()[1]
        if not self._complained:
            self._complained = True
            reason = getattr(error, "strerror", None) or error
            sentence = f"'{self.baseFilename}' cannot be written ({reason}); training goes on"
            print(f"dmb train: warning: {sentence}", file=sys.stderr)


def start_log(world: World, output: Path) -> None:
    """Log to the terminal and to `output`/train.log; processes that do not lead only warn."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if world.leads:
        output.mkdir(parents=True, exist_ok=True)
        handlers.append(LogFile(output / "train.log"))
    level = logging.INFO if world.leads else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)


def choose_device(name: str, world: World) -> torch.device:
    """The device of this process: with several GPUs each process takes its own."""
    device = resolve_device(name)
    if device.type == "cuda" and world.size > 1:
        device = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(device)
    return device


def choose_workers(asked: int | None, device: torch.device, world: World) -> int:
    """Worker processes: as asked, else none on the CPU, which the network itself needs, and up to 8 with a GPU."""
    if asked is not None:
        return asked
    if device.type == "cpu":
        return 0
    return min(8, max(1, (os.cpu_count() or 1) // world.size - 1))


def run(options: argparse.Namespace) -> None:
    """Train as the options of `tracker.cli.train` say.

    Raises:
        CompactionError, DataError, DeviceError, PlanError, WeightsError, OSError: what was named cannot be used.
        DeviceFullError: the device has too little memory.
    """
    config = read_plan(options.plan)
    world = join(cuda=resolve_device(options.device).type == "cuda")
    try:
        start_log(world, options.output)
        device = choose_device(options.device, world)
        trainer = Trainer(
            config,
            build_drawer(config, read_files(config, options.data)),
            trunk=options.trunk,
            weights=options.weights,
            origin=options.origin,
            begin=options.begin,
            teacher=options.teacher,
            output=options.output,
            device=device,
            world=world,
            accumulate=options.accumulate,
            workers=choose_workers(options.workers, device, world),
        )
        with logging_redirect_tqdm():
            trainer.run(until=options.until, report_every=options.report_every)
    except RuntimeError as error:
        if not is_full(error):
            raise
        raise DeviceFullError(FULL) from error
    finally:
        leave()
