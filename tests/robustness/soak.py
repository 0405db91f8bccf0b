"""What a long run costs from frame to frame: memory, open files, threads, computing time; as a table, lines and a plot.

`SOAK_OUTPUT` names the folder for the tables and plots; by default `build/soak` in the checkout.
"""

from __future__ import annotations

import csv
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TypeVar

from tests.conftest import CHECKOUT

STATM, DESCRIPTORS = Path("/proc/self/statm"), Path("/proc/self/fd")
MAY_GROW = 1.05  # times the resident set size after the warm-up
MAY_SLOW = 2.0  # times the computing time per frame after the warm-up; what else the machine does has its share in that
WINDOW = 100  # frames that are compared, after the warm-up and at the end
BARS = "▁▂▃▄▅▆▇█"
Answer = TypeVar("Answer")
WIDTH = 50  # characters of a line in the terminal


@dataclass(frozen=True)
class Sample:
    """The process after a frame.

    Attributes:
        frame: how many were tracked.
        megabytes: resident set size, as Linux states it.
        descriptors: open files.
        threads: of Python.
        milliseconds: of processor time that the frame took, all threads together.
    """

    frame: int
    megabytes: float
    descriptors: int
    threads: int
    milliseconds: float


class Curve:
    """Samples of a run, one after each frame that is tracked through `timed`.

    Args:
        name: of the files.
        warm_up: frames at the beginning that may differ from the later ones.
    """

    def __init__(self, name: str, warm_up: int = 100) -> None:
        self.name, self.warm_up = name, warm_up
        self.samples: list[Sample] = []

    def timed(self, work: Callable[[], Answer]) -> Answer:
        """Track one frame, and note what the process is like afterward."""
        begin = time.process_time()
        result = work()
        spent = 1000 * (time.process_time() - begin)
        megabytes = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        open_files, threads = len(os.listdir(DESCRIPTORS)), threading.active_count()
        self.samples.append(Sample(len(self.samples) + 1, megabytes, open_files, threads, spent))
        return result

    @property
    def complete(self) -> bool:
        """Whether it is long enough for its beginning and its end to be compared."""
        return len(self.samples) >= self.warm_up + 2 * WINDOW

    def assert_flat(self) -> None:
        """Neither memory nor open files, threads or the time per frame grow after the warm-up.

        Compared are the first and the last `WINDOW` frames after it; open files and threads are as many all the time.
        """
        assert self.complete, "too short to compare its beginning and its end"
        after = self.samples[self.warm_up :]
        early, late = after[:WINDOW], after[-WINDOW:]
        peaks = [max(sample.megabytes for sample in part) for part in (early, late)]
        assert peaks[1] <= MAY_GROW * peaks[0], f"memory grew from {peaks[0]:.1f} to {peaks[1]:.1f} MB"
        assert len({(sample.descriptors, sample.threads) for sample in after}) == 1, "open files or threads changed"
        times = [median(sample.milliseconds for sample in part) for part in (early, late)]
        assert times[1] <= MAY_SLOW * times[0], f"a frame took {times[0]:.1f} ms, in the end {times[1]:.1f} ms"

    def lines(self) -> Iterable[str]:
        """The run for the terminal."""
        after = self.samples[self.warm_up :]
        early, late = after[:WINDOW], after[-WINDOW:]
        first, last = (max(sample.megabytes for sample in part) for part in (early, late))
        begin, end = (median(sample.milliseconds for sample in part) for part in (early, late))
        yield f"{self.name}: {len(self.samples)} frames, the first {self.warm_up} of them to warm up"
        memory = [sample.megabytes for sample in self.samples]
        yield f"  memory   {bars(memory)}  {first:.1f} MB after the warm-up, {last:.1f} MB at the end"
        times = [sample.milliseconds for sample in self.samples]
        yield f"  a frame  {bars(times)}  {begin:.1f} ms of processor time after the warm-up, {end:.1f} ms at the end"
        yield f"  open files {after[0].descriptors}, at the end {after[-1].descriptors}; threads {after[-1].threads}"

    def write(self) -> Path:
        """Write NAME.csv and NAME.png; returns the folder."""
        import matplotlib.pyplot as plt

        folder = Path(os.environ.get("SOAK_OUTPUT", CHECKOUT / "build" / "soak"))
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{self.name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(field.name for field in fields(Sample))
            table.writerows((f"{value:.2f}" if isinstance(value, float) else value for value in astuple(sample))
                            for sample in self.samples)  # fmt: skip
        figure, axes = plt.subplots(3, 1, sharex=True, figsize=(8, 6))
        frames = [sample.frame for sample in self.samples]
        for axis, name, unit in zip(
            axes,
            ("megabytes", "milliseconds", "descriptors"),
            ("MB resident", "ms per frame", "open files"),
            strict=True,
        ):
            axis.plot(frames, [getattr(sample, name) for sample in self.samples], linewidth=0.8)
            axis.set_ylim(bottom=0)
            axis.set_ylabel(unit)
        axes[-1].set_xlabel("frame")
        figure.savefig(folder / f"{self.name}.png", dpi=120)
        plt.close(figure)
        return folder


def bars(values: Sequence[float]) -> str:
    """Values as a line of `WIDTH` bars from zero to the largest one; each is the median of its share."""
    edges = [round(index * len(values) / WIDTH) for index in range(WIDTH + 1)]
    shares = [median(values[first:last]) for first, last in pairwise(edges) if last > first]
    top = max(shares) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int(len(BARS) * share / top))] for share in shares)
