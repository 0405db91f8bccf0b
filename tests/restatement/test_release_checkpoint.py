"""A checkpoint in the release's layout, converted and loaded, against the whole network restated."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.restatement import network, reader, release
from tests.restatement.comparison import assert_close
from tests.restatement.layers import Array
from tracker.checkpoints.conversion import convert
from tracker.checkpoints.weights import load_weights
from tracker.network import DMBNet, Window

HEIGHT, WIDTH = 32, 48
GRID = (HEIGHT // 16, WIDTH // 16)


class Case(NamedTuple):
    """Two remembered frames, the current one, and what the restatement makes of them."""

    images: list[Array]  # 3 x H x W, 0..255; the last one is the current frame
    masks: list[Array]  # 1 x H x W, of the remembered frames
    spatial_map: Array  # 1 x h x w
    keys: list[Array]
    values: list[Array]
    query: network.Query
    probability: Array  # H x W


@pytest.fixture(scope="module")
def state() -> release.State:
    return release.random_state(0)


@pytest.fixture(scope="module")
def model(state: release.State) -> Iterator[DMBNet]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "release.pth", Path(folder) / "converted.safetensors"
        release.save(state, source)
        convert(source, target)
        source.unlink()
        yield load_weights(target).double()


@pytest.fixture(scope="module")
def case(state: release.State) -> Case:
    rng = np.random.default_rng(1)
    images = [rng.uniform(0.0, 255.0, (3, HEIGHT, WIDTH)) for _ in range(3)]
    masks = [rng.uniform(0.0, 1.0, (1, HEIGHT, WIDTH)) for _ in range(2)]
    spatial_map = rng.uniform(0.0, 1.0, (1, *GRID))
    parameters = {name: values.astype(np.float64) for name, values in state.items()}
    pairs = [network.memorize(network.normalize(i), m, parameters) for i, m in zip(images, masks, strict=False)]
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    query = network.ask(network.normalize(images[-1]), parameters)
    probability = network.segment(query, keys, values, spatial_map, parameters)
    return Case(images, masks, spatial_map, keys, values, query, probability)


def batch(array: Array) -> Tensor:
    return torch.from_numpy(array)[None]


def memorize(model: DMBNet, case: Case) -> tuple[Tensor, Tensor]:
    """The rows of both remembered frames."""
    pairs = [
        model.encode_memory(model.normalize(batch(image)), batch(mask))
        for image, mask in zip(case.images, case.masks, strict=False)
    ]
    return torch.cat([key for key, _ in pairs], 1), torch.cat([value for _, value in pairs], 1)


def test_the_checkpoint_says_where_its_strides_are_and_what_it_was_not_trained_for(model: DMBNet) -> None:
    assert model.stride_on == "3x3"
    assert not model.coarse_prediction
    assert not model.training


@torch.no_grad()
def test_query(model: DMBNet, case: Case) -> None:
    found = model.encode_query(model.normalize(batch(case.images[-1])))
    for name, expected in case.query._asdict().items():
        assert_close(getattr(found, name)[0], expected)


@torch.no_grad()
def test_memory(model: DMBNet, case: Case) -> None:
    for found, frames in zip(memorize(model, case), (case.keys, case.values), strict=True):
        rows = [frame[:, row, column] for frame in frames for row in range(GRID[0]) for column in range(GRID[1])]
        assert_close(found[0], np.stack(rows))


@torch.no_grad()
@pytest.mark.parametrize("window", [None, Window(top=1, left=2, height=2, width=3)])
def test_mask(model: DMBNet, case: Case, window: Window | None) -> None:
    """A window makes no difference: the release cannot predict coarsely, so that everything is refined."""
    query = model.encode_query(model.normalize(batch(case.images[-1])))
    logit = model.segment(query, *memorize(model, case), batch(case.spatial_map), window)
    assert_close(torch.sigmoid(logit)[0, 0], case.probability)
    assert_close(logit[0, 0], np.log(case.probability / (1.0 - case.probability)))


def test_every_part_of_the_network_shows_in_the_numbers_compared(case: Case) -> None:
    """Neither saturated nor constant, and an attention that tells positions from one another."""
    assert case.probability.min() < 0.4 and case.probability.max() > 0.6
    assert case.probability.min() > 1e-3 and case.probability.max() < 1.0 - 1e-3
    weights = reader.affinity(case.query.query[:, 0, 1], case.keys)
    assert 1.3 / weights.size < weights.max() < 0.9
    for features in case.query:
        assert (features != 0.0).mean() > 0.3
        assert 0.05 < features.std() < 20.0
