"""A start that fails leaves no tracker that answers; precision on GPUs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.robustness.pictures import TARGET, frame
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.engine.engine import resolve_precision
from tracker.tracking.tracker import StateError


@pytest.mark.parametrize("before", [False, True], ids=["the first start", "a later one"])
def test_a_start_that_fails_half_way_is_no_start(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    dmb = DMB(tiny_engine(), CONFIG)
    if before:
        dmb.initialize(frame(), TARGET)
        dmb.track(frame(1))

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(dmb.localizer, "start", fails)
        with pytest.raises(RuntimeError, match="out of memory"):
            dmb.initialize(frame(), TARGET)
    with pytest.raises(StateError, match="before initialize"):
        dmb.track(frame(1))
    again, other = dmb.initialize(frame(), TARGET), DMB(tiny_engine(), CONFIG).initialize(frame(), TARGET)
    assert again.frame_index == 0 and np.array_equal(again.mask, other.mask)


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_gpus_that_only_emulate_bfloat16_take_float16(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cuda:1")
    asked = []
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda other: asked.append(other) or capability)
    assert resolve_precision("auto", device) == dtype and asked == [device]
