"""Which frames the appearance memory holds, and how it is laid out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tracker.config import AppearanceConfig
from tracker.memory.appearance import AppearanceMemory

CONFIG = AppearanceConfig(sampling_interval=5, last_frame=True, max_frames=4)


def frame(index: int, channels: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    """A map 1 x C x 2 x 3 whose numbers name the frame, the position and the channel."""
    return (1000 * index + torch.arange(channels * 6).reshape(1, channels, 2, 3)).to(dtype)


def run(config: AppearanceConfig, frames: list[int]) -> AppearanceMemory:
    memory = AppearanceMemory(config)
    memory.reset(frame(0), frame(0, 3))
    for index in frames:
        memory.commit(frame(index), frame(index, 3), index)
    return memory


@pytest.mark.parametrize(
    ("config", "frames", "held"),
    [
        (CONFIG, [], [0]),
        (CONFIG, [1], [0, 1]),
        (CONFIG, [1, 2, 3], [0, 3]),
        (CONFIG, [1, 2, 3, 4, 5], [0, 5]),
        (CONFIG, list(range(1, 8)), [0, 5, 7]),
        (CONFIG, list(range(1, 12)), [0, 5, 10, 11]),
        (CONFIG, list(range(1, 16)), [0, 5, 10, 15]),
        (CONFIG, list(range(1, 17)), [0, 10, 15, 16]),
        (CONFIG, list(range(1, 102)), [0, 95, 100, 101]),
        (
            CONFIG,
            [1, 7, 8, 11, 12, 13],
            [0, 7, 12, 13],
        ),  # frames are missing: five apart from the last one kept
        (replace(CONFIG, last_frame=False), list(range(1, 14)), [0, 5, 10]),
        (replace(CONFIG, last_frame=False), list(range(1, 23)), [0, 10, 15, 20]),
        (replace(CONFIG, sampling_interval=0), list(range(1, 14)), [0]),
        (replace(CONFIG, sampling_interval=0, last_frame=False), list(range(1, 14)), [0]),
        (replace(CONFIG, sampling_interval=1), list(range(1, 7)), [0, 4, 5, 6]),
        (replace(CONFIG, max_frames=1), list(range(1, 14)), [0]),
        (replace(CONFIG, max_frames=2), list(range(1, 14)), [0, 13]),
    ],
)
def test_frames_held(config: AppearanceConfig, frames: list[int], held: list[int]) -> None:
    memory = run(config, frames)
    assert sorted(memory.frames) == held
    assert memory.frames[0] == 0


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(1, 60)), st.integers(0, 6), st.integers(2, 5))
def test_rows_are_those_of_the_frames(accepted: set[int], interval: int, bound: int) -> None:
    memory = run(AppearanceConfig(interval, True, bound), sorted(accepted))
    keys, values = memory.rows()
    assert len(memory.frames) <= bound
    assert memory.frames == [0] if interval == 0 else not accepted or max(accepted) in memory.frames
    assert torch.equal(keys, torch.cat([frame(i).flatten(2).transpose(1, 2) for i in memory.frames], 1))
    assert torch.equal(values, torch.cat([frame(i, 3).flatten(2).transpose(1, 2) for i in memory.frames], 1))


def test_reading_and_writing_take_no_new_memory() -> None:
    memory = run(CONFIG, [1])
    keys, values = memory.rows()
    assert keys.is_contiguous() and values.is_contiguous()
    assert (tuple(keys.shape), tuple(values.shape)) == ((1, 12, 2), (1, 12, 3))
    addresses = keys.data_ptr(), values.data_ptr()
    for index in range(2, 40):
        memory.commit(frame(index), frame(index, 3), index)
        assert tuple(rows.data_ptr() for rows in memory.rows()) == addresses
    memory.reset(frame(7), frame(7, 3))
    assert tuple(rows.data_ptr() for rows in memory.rows()) == addresses
    assert memory.frames == [0]
    assert torch.equal(memory.rows()[0], frame(7).flatten(2).transpose(1, 2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_keeps_the_type_and_takes_rows_as_well_as_maps(dtype: torch.dtype) -> None:
    maps, rows = AppearanceMemory(CONFIG), AppearanceMemory(CONFIG)
    maps.reset(frame(0, dtype=dtype), frame(0, 3, dtype))
    rows.reset(*(frame(0, c, dtype).flatten(2).transpose(1, 2) for c in (2, 3)))
    maps.commit(frame(1, dtype=dtype), frame(1, 3, dtype), 1)
    key, value = (frame(1, c, dtype).flatten(2).transpose(1, 2) for c in (2, 3))
    rows.commit(key, value, 1)
    for a, b in zip(maps.rows(), rows.rows(), strict=True):
        assert a.dtype == dtype and torch.equal(a, b)


def test_reset_takes_another_shape_and_type() -> None:
    memory = run(CONFIG, [1, 2])
    memory.reset(torch.ones(1, 4, 5, 5, dtype=torch.bfloat16), torch.ones(1, 8, 5, 5, dtype=torch.bfloat16))
    keys, values = memory.rows()
    assert (tuple(keys.shape), tuple(values.shape)) == ((1, 25, 4), (1, 25, 8))
    assert keys.dtype == torch.bfloat16


def test_a_copy_is_stored() -> None:
    memory = AppearanceMemory(CONFIG)
    key, value = frame(0), frame(0, 3)
    memory.reset(key, value)
    key.zero_()
    assert torch.equal(memory.rows()[0], frame(0).flatten(2).transpose(1, 2))


def test_wants_says_what_commit_will_do() -> None:
    memory = run(replace(CONFIG, last_frame=False), [])
    for index in range(1, 30):
        wanted = memory.wants(index)
        memory.commit(frame(index), frame(index, 3), index)
        assert wanted == (index in memory.frames)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="max_frames >= 1"):
        AppearanceMemory(replace(CONFIG, max_frames=0))
    with pytest.raises(ValueError, match="cannot follow"):
        AppearanceMemory(CONFIG).commit(frame(1), frame(1, 3), 1)
    memory = run(CONFIG, [1, 2])
    with pytest.raises(ValueError, match="frame 2 cannot follow"):
        memory.commit(frame(2), frame(2, 3), 2)
    with pytest.raises(ValueError, match="the memory holds rows"):
        memory.commit(frame(3), frame(3, 2), 3)
    with pytest.raises(ValueError, match="differ in positions"):
        memory.reset(torch.ones(1, 2, 2, 3), torch.ones(1, 3, 2, 2))
    with pytest.raises(ValueError, match="takes 1 x C"):
        memory.reset(torch.ones(2, 2, 2, 3), torch.ones(2, 3, 2, 3))
