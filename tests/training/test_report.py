"""The log's numbers are means over its steps, and pictures show what they promise."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from tracker.training.report import Facts, Report, picture
from tracker.training.synthesis import Batch


def facts(loss: float, iou: float = 0.5) -> Facts:
    return Facts(torch.tensor([loss, 2.0, 0.1, iou, float("nan")]), rate=1e-3, size=64, samples=4)


def test_a_line_tells_the_mean_of_its_steps(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Report(tmp_path, first=0, last=5, every=2) as report:
        for step, loss in enumerate((1.0, 3.0, 5.0, 9.0, 8.0), 1):
            report.step(step, facts(loss), waited=0.0)
    lines = [record.message for record in caplog.records if record.message.startswith("step")]
    assert [line.split("loss ")[1].split()[0] for line in lines] == ["2.000", "7.000", "8.000"]
    assert all("IoU 0.500" in line and "0% waiting" in line for line in lines)
    assert lines[-1].startswith("step 5/5") and lines[-1].endswith("0:00 left")


def test_curves_are_written_where_tensorboard_is_installed(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    batch = Batch(
        torch.full((2, 3, 3, 16, 16), 255.0),
        torch.zeros(2, 3, 1, 16, 16),
        torch.zeros(2, 1, 16, 16),
        torch.ones(2, 3, 1, 1, 1),
        np.zeros((2, 3, 2), np.float32),
        torch.zeros(()),
    )
    with Report(tmp_path, first=0, last=2, every=1) as report:
        report.step(1, facts(4.0), waited=0.0)
        report.step(2, facts(2.0), waited=0.0)
        report.picture(2, batch, torch.zeros(2, 1, 16, 16))
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("loss")] == [4.0, 2.0]
    assert events.Images("samples")[0].width == 80
    shown = picture(batch, torch.zeros(2, 1, 16, 16))
    assert shown.shape == (3, 32, 80)
    # first frame half covered by its empty mask, last frame, map, undecided prediction, empty label
    assert shown[0, 5, 8::16].tolist() == [0.5, 1.0, 1.0, 0.5, 0.0]


def test_other_processes_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Report(None, first=0, last=1, every=1) as report:
        report.step(1, facts(1.0), waited=0.0)
    assert not caplog.records
