"""The memory reader against equations 3 to 5."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.restatement import reader
from tests.restatement.comparison import assert_close
from tests.restatement.layers import Array
from tracker.config import AppearanceConfig
from tracker.memory.appearance import AppearanceMemory
from tracker.network.reader import pad_memory, read_memory, to_rows

VALUE_CHANNELS = 3


def frames(rng: np.random.Generator, count: int, height: int = 2, width: int = 3) -> tuple[list[Array], list[Array]]:
    """Keys 128 x h x w, whose dot products with a query of unit variance spread by the root of 128, and values."""
    keys = [rng.standard_normal((reader.KEY_CHANNELS, height, width)) for _ in range(count)]
    return keys, [rng.standard_normal((VALUE_CHANNELS, height, width)) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 3])
def test_reader(count: int) -> None:
    rng = np.random.default_rng(count)
    samples = []
    for _ in range(2):
        query, query_value = rng.standard_normal((128, 2, 3)), rng.standard_normal((VALUE_CHANNELS, 2, 3))
        samples.append((query, query_value, *frames(rng, count)))
    queries, query_values = (torch.from_numpy(np.stack([sample[part] for sample in samples])) for part in (0, 1))
    rows = []
    for part in (2, 3):
        by_frame = [torch.from_numpy(np.stack([sample[part][k] for sample in samples])) for k in range(count)]
        rows.append(torch.cat([to_rows(frame) for frame in by_frame], 1))
    expected = np.stack([reader.read(*sample) for sample in samples])
    assert_close(read_memory(queries, query_values, rows[0], rows[1]), expected)
    padded = pad_memory(rows[0], rows[1], rows[0].shape[1] + 5)  # the shapes that a GPU has
    assert_close(read_memory(queries, query_values, *padded), expected)


def test_affinities_are_neither_uniform_nor_a_choice_of_one() -> None:
    """So that scale, normalization and the sums over frames and positions all show in the read-out."""
    rng = np.random.default_rng(5)
    keys, _ = frames(rng, 3)
    weights = reader.affinity(rng.standard_normal(128), keys)
    assert weights.sum() == pytest.approx(1.0)
    assert 2.0 / weights.size < weights.max() < 0.9


def test_reader_from_the_memory_that_the_tracker_keeps() -> None:
    """Frames 0 to t-1 with frame 0 among them: the sums of the print begin at k = 1."""
    rng = np.random.default_rng(7)
    keys, values = frames(rng, 4)
    query, query_value = rng.standard_normal((128, 2, 3)), rng.standard_normal((VALUE_CHANNELS, 2, 3))
    memory = AppearanceMemory(AppearanceConfig(sampling_interval=1, max_frames=4))
    pairs = [(torch.from_numpy(k)[None], torch.from_numpy(v)[None]) for k, v in zip(keys, values, strict=True)]
    memory.reset(*pairs[0])
    for index in (1, 2, 3):
        memory.commit(*pairs[index], index)
    readout = read_memory(torch.from_numpy(query)[None], torch.from_numpy(query_value)[None], *memory.rows())
    assert_close(readout[0], reader.read(query, query_value, keys, values))
    forgetful = reader.read(query, query_value, keys[1:], values[1:])
    assert np.abs(forgetful - readout[0].numpy()).max() > 1e-2
