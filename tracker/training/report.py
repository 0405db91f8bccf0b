"""What a run tells while it trains: a line of the log, a progress bar on a terminal, curves and pictures."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from tracker.training.synthesis import Batch

log = logging.getLogger(__name__)

PICTURED = 4  # samples per picture


@dataclass
class Facts:
    """What one step tells. Its values stay on the device until they are read: reading waits for the step to end."""

    values: Tensor  # loss, gradient, padding and the IoUs
    rate: float  # learning rate of the new layers
    size: int  # side of the search region, pixels
    samples: int

    @cached_property
    def _read(self) -> list[float]:
        return self.values.tolist()  # type: ignore[no-any-return]

    @property
    def loss(self) -> float:
        """Mean over the samples."""
        return self._read[0]

    @property
    def gradient(self) -> float:
        """Norm of the gradient before it is clipped."""
        return self._read[1]

    @property
    def padding(self) -> float:
        """Share of padded pixels."""
        return self._read[2]

    @property
    def ious(self) -> list[float]:
        """Mean IoU of each later frame, NaN where no sample shows the target."""
        return self._read[3:]


@dataclass
class Interval:
    """Steps since the last line."""

    started: float = field(default_factory=time.perf_counter)
    facts: list[Facts] = field(default_factory=list)
    waited: float = 0.0  # seconds without data


def mean(values: list[float]) -> float:
    """Mean of the numbers among the values; NaN where there are none."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")


def picture(batch: Batch, logit: Tensor) -> Tensor:
    """One row per sample: first frame with its remembered mask, last frame, its map, prediction and label.

    Returns:
        3 x (rows*S) x (5*S), 0..1.
    """
    rows = min(PICTURED, len(logit))
    size = batch.images.shape[-1]

    def gray(values: Tensor) -> Tensor:
        return values.float().clamp(0.0, 1.0).expand(-1, 3, -1, -1)

    first, last = batch.images[:rows, 0] / 255.0, batch.images[:rows, -1] / 255.0
    remembered = 0.5 * first + 0.5 * gray(batch.memory_mask[:rows])
    spatial_map = functional.interpolate(batch.maps[:rows, -1].float(), (size, size))
    columns = [remembered, last, gray(spatial_map), gray(torch.sigmoid(logit[:rows])), gray(batch.labels[:rows, -1])]
    return torch.cat([torch.cat(list(row), dim=-1) for row in zip(*columns, strict=True)], dim=-2)


def _writer(folder: Path) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("no curves and pictures: `pip install tensorboard` for them")
        return None
    return SummaryWriter(str(folder))


class Report:
    """Collects the steps' facts and tells them; a context that closes what it opened.

    Args:
        folder: for TensorBoard's files; None tells nothing at all (the processes that do not lead).
        first: steps done before this run.
        last: the step at which it ends.
        every: steps between two lines of the log.
    """

    def __init__(self, folder: Path | None, *, first: int, last: int, every: int) -> None:
        self.silent = folder is None
        self.last, self.every = last, every
        self.interval = Interval()
        self.waiting_share = 0.0  # of the time, over the last interval
        self._waited = 0.0
        self._writer = None if folder is None else _writer(folder / "tensorboard")
        hidden = self.silent or not sys.stderr.isatty()
        self._bar = tqdm(total=last, initial=first, disable=hidden, unit="step", dynamic_ncols=True)

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        self._curves(lambda writer: writer.close())

    def step(self, number: int, facts: Facts, waited: float) -> None:
        """Take note of a finished step.

        Args:
            number: steps done, with it.
            facts: of the step.
            waited: seconds that the run has waited for data so far.
        """
        interval = self.interval
        interval.facts.append(facts)
        self._bar.update()
        if len(interval.facts) < self.every and number < self.last:
            return
        losses = [fact.loss for fact in interval.facts]  # waits for the steps to end, and the time is taken after it
        seconds = max(time.perf_counter() - interval.started, 1e-9)
        speed = sum(fact.samples for fact in interval.facts) / seconds
        self.waiting_share = (waited - self._waited) / seconds
        self._waited = waited
        values = {
            "loss": mean(losses),
            "IoU": mean([iou for fact in interval.facts for iou in fact.ious]),
            "padding": mean([fact.padding for fact in interval.facts]),
            "gradient": mean([fact.gradient for fact in interval.facts]),
            "rate": facts.rate,
            "samples per second": speed,
            "waiting for data": self.waiting_share,
        }
        if not self.silent:
            self._tell(number, facts, values, seconds / len(interval.facts))
        self.interval = Interval()

    def _tell(self, number: int, facts: Facts, values: dict[str, float], seconds: float) -> None:
        left = round((self.last - number) * seconds / 60)
        log.info(
            "step %d/%d  size %d  loss %.3f  IoU %.3f  padding %.2f  %.2f samples/s (%.0f%% waiting)  %d:%02d left",
            *(number, self.last, facts.size, values["loss"], values["IoU"], values["padding"]),
            *(values["samples per second"], 100 * values["waiting for data"], left // 60, left % 60),
        )
        self._bar.set_postfix({"loss": f"{values['loss']:.3f}", "samples/s": f"{values['samples per second']:.1f}"})

        def add(writer: Any) -> None:
            for name, value in values.items():
                writer.add_scalar(name.replace(" ", "_"), value, number)

        self._curves(add)

    def picture(self, number: int, batch: Batch, logit: Tensor) -> None:
        """Show some samples of a step."""
        self._curves(lambda writer: writer.add_image("samples", picture(batch, logit).cpu(), number))

    def _curves(self, work: Callable[[Any], None]) -> None:
        """Do something with the TensorBoard writer, if there is one; a full disk ends the curves, not the training."""
        if self._writer is None:
            return
        try:
            work(self._writer)
        except OSError as error:
            log.warning("curves and pictures end here (%s)", error)
            self._writer = None
