"""The fast network's masks beside the plain one's: the same questions, compared crop by crop."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.robustness.tiny import CONFIG, TinyNet, tiny_engine
from tracker.benchmarks.agreement import Agreement, agree, pooled
from tracker.benchmarks.sequences import SequenceError, choose, open_sequences
from tracker.engine import Engine
from tracker.network import DMBNet, QueryFeatures
from tracker.tracker import DMB, Result

FRAMES = 6


def write_square(masks: Path) -> Path:
    """A sequence with masks in a folder: a red square that drifts over a dark ground."""
    folder = masks / "square"
    folder.mkdir(parents=True)
    for index in range(FRAMES):
        mask = np.zeros((120, 160), np.uint8)
        mask[40:70, 50 + index : 80 + index] = 1
        image = np.full((120, 160, 3), (20, 40, 30), np.uint8)
        image[mask > 0] = (20, 30, 230)
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), image)
        cv2.imwrite(str(folder / f"{index:05d}.png"), mask)
    return masks


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    return write_square(tmp_path / "masks")


class Shrunk(TinyNet):
    """Sees less of the target in half precision: what a defect of the fast network would look like."""

    def segment(self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: Tensor) -> Tensor:
        logit = super().segment(features, keys, values, spatial_map)
        if values.dtype == torch.bfloat16:
            half = torch.arange(logit.shape[-1]) < logit.shape[-1] // 2
            logit = torch.where(half, logit, torch.full_like(logit, -8.0))
        return logit


def measured(engine: Engine, masks: Path, *, from_box: bool = False, limit: int | None = None) -> Agreement:
    with open_sequences(masks) as sequences:
        return agree(engine, CONFIG, choose(sequences, None, masks)[0], from_box=from_box, limit=limit)


@pytest.mark.parametrize("from_box", [False, True])
def test_equal_networks_agree(masks: Path, from_box: bool) -> None:
    found = measured(tiny_engine(), masks, from_box=from_box)
    assert found.name == "square" and len(found.overlaps) >= FRAMES - 1
    assert min(found.overlaps) == 1.0
    assert len(measured(tiny_engine(), masks, limit=3).overlaps) < len(found.overlaps)


def test_a_defect_of_the_fast_network_is_seen(masks: Path) -> None:
    network = cast(DMBNet, Shrunk().eval())
    assert np.mean(measured(Engine(network, precision="bfloat16"), masks).overlaps) < 0.8
    assert np.mean(measured(Engine(network, precision="float32"), masks).overlaps) == 1.0


def test_the_tracker_is_not_disturbed(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, answers = tiny_engine(), list[NDArray[np.bool_]]()
    track = DMB.track

    def listening(self: DMB, image: NDArray[np.uint8]) -> Result:
        result = track(self, image)
        answers.append(result.mask)
        return result

    monkeypatch.setattr(DMB, "track", listening)
    measured(engine, masks)
    with open_sequences(masks) as sequences:
        dmb = DMB(engine, CONFIG)
        for index, frame in enumerate(choose(sequences, None, masks)[0].frames(None)):
            if index == 0:
                dmb.initialize(frame.image, frame.mask)
            else:
                assert np.array_equal(track(dmb, frame.image).mask, answers[index - 1])


def test_without_a_target_there_is_nothing_to_compare(masks: Path) -> None:
    cv2.imwrite(str(masks / "square" / "00000.png"), np.zeros((120, 160), np.uint8))
    with pytest.raises(SequenceError, match="nothing to track"):
        measured(tiny_engine(), masks)


def test_lines() -> None:
    one, other = Agreement("one", [1.0, 0.5]), Agreement("other", [0.9])
    assert one.line().startswith("one ") and "2 crops, mean IoU 0.7500" in one.line() and "lowest 0.5" in one.line()
    assert pooled([one, other]).overlaps == [1.0, 0.5, 0.9]
