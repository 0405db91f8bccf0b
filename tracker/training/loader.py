"""Draws the material of every step, in worker processes where there are some.

What a part of a step holds is a function of the run's seed, the step and the part alone. A run that was interrupted
therefore goes on with the very samples that it would have seen, and two processes of one part each see what one
process sees that takes two parts in turn.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import time
from collections.abc import Generator, Sequence
from multiprocessing.process import BaseProcess
from weakref import WeakSet

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tracker.training.data import DataError
from tracker.training.drawer import MaterialDrawer
from tracker.training.packing import Packed
from tracker.training.plan import TrainingConfig

MATERIAL, SYNTHESIS, WINDOWS = range(3)  # what a seed is for: the draws must not repeat one another


def seed_of(config: TrainingConfig, step: int, part: int, purpose: int) -> list[int]:
    """The seed of one purpose in one part of one step."""
    return [config.seed, step, part, purpose]


class MaterialDataset(Dataset[Packed]):
    """The run's material, addressed by (step, part).

    Args:
        config: the run; its stages say how many samples of how many frames a part holds.
        drawer: the data.
        parts: parts that every step is divided into.
    """

    def __init__(self, config: TrainingConfig, drawer: MaterialDrawer, parts: int) -> None:
        self.config, self.drawer, self.parts = config, drawer, parts

    def __getitem__(self, address: tuple[int, int]) -> Packed:
        step, part = address
        stage, _ = self.config.stage_at(step)
        rng = np.random.default_rng(seed_of(self.config, step, part, MATERIAL))
        share = self.config.video_share if stage.video_share is None else stage.video_share
        count = stage.batch // self.parts
        recipes = [self.drawer.draw(stage.frames, rng, video_share=share) for _ in range(count)]
        return self.drawer.pictures.pack(recipes)


class Addresses(Sequence[tuple[int, int]]):
    """The (step, part) pairs that one process works through: a sampler for DataLoader."""

    def __init__(self, steps: range, parts: Sequence[int]) -> None:
        self.steps, self.parts = steps, parts

    def __len__(self) -> int:
        return len(self.steps) * len(self.parts)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.steps[index // len(self.parts)], self.parts[index % len(self.parts)]


def _start_worker(number: int) -> None:
    # Ctrl-C reaches the whole process group; the training process saves, and ends its workers when it is done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # one decoding thread each: the processes are the parallelism
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


_workers: WeakSet[BaseProcess] = WeakSet()


@atexit.register
def _end_workers() -> None:
    # An iterator that an exception's traceback still holds has not ended its workers, and they ignore the SIGTERM with
    # which multiprocessing would, and then wait for them. DataLoader's own SIGCHLD handler takes their end for a crash.
    living = [process for process in _workers if process.is_alive()]
    if living:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in living:
        process.kill()


class Stream:
    """Iterates over the material from a step on, and measures how long that kept the training waiting.

    Args:
        dataset: the material.
        steps: the steps to come.
        parts: the parts of each step that this process trains.
        workers: processes that decode ahead; 0 decodes in this one.
        pin: page-lock the arrays, for uploads to a GPU.
    """

    def __init__(
        self, dataset: MaterialDataset, steps: range, parts: Sequence[int], *, workers: int, pin: bool
    ) -> None:
        self.waited = 0.0  # seconds
        self._loader = DataLoader(
            dataset,
            batch_size=None,
            sampler=Addresses(steps, parts),
            num_workers=workers,
            pin_memory=pin,
            worker_init_fn=_start_worker,
            prefetch_factor=4 if workers else None,
        )

    def __iter__(self) -> Generator[Packed, None, None]:
        others = set(multiprocessing.active_children())
        source = iter(self._loader)
        _workers.update(set(multiprocessing.active_children()) - others)
        while True:
            start = time.perf_counter()
            try:
                packed = next(source)
            except StopIteration:
                return
            except DataError as error:
                # from a worker process the message comes with the worker's traceback before it
                raise DataError(str(error).rstrip().rpartition("DataError: ")[2]) from None
            finally:
                self.waited += time.perf_counter() - start
            yield packed
