"""What a step sees is a function of seed, step and part; damaged samples are reported and replaced."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import clean_environment
from tests.training.test_synthesis import frame
from tracker.training.data import DataError, Frame
from tracker.training.drawer import MaterialDrawer
from tracker.training.loader import MaterialDataset, Stream, seed_of
from tracker.training.packing import NONE, Packed
from tracker.training.plan import Stage, TrainingConfig
from tracker.training.recipes import SOURCE_SIZE
from tracker.training.sources import Files

CONFIG = TrainingConfig(stages=(Stage(steps=3, size=64, frames=2, batch=4, factor=(2.0, 2.5)),), seed=7)


def dataset(stills: list[Frame] | None = None, parts: int = 2) -> MaterialDataset:
    stills = [frame(seed) for seed in range(4)] if stills is None else stills
    return MaterialDataset(CONFIG, MaterialDrawer(Files(stills, {})), parts)


def same(ours: Packed, theirs: Packed) -> bool:
    names = ("target", "background", "distractor", "sizes")
    arrays = all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in names)
    return arrays and torch.equal(ours.images, theirs.images) and torch.equal(ours.masks, theirs.masks)


def test_every_purpose_of_every_part_of_every_step_has_its_own_seed() -> None:
    calls = itertools.product(range(3), range(2), range(2))
    seeds = {tuple(seed_of(CONFIG, *call)) for call in calls}
    assert len(seeds) == 12


def test_parts_differ_and_repeat_themselves() -> None:
    data = dataset()
    assert len(data[0, 0].target) == 2
    assert same(data[1, 1], dataset()[1, 1])
    assert not same(data[1, 1], data[1, 0]) and not same(data[1, 1], data[2, 1])


def test_a_stage_draws_its_own_share_of_videos() -> None:
    stages = tuple(replace(CONFIG.stages[0], steps=1, video_share=share) for share in (0.0, 1.0, None))
    videos = {"moving": [frame(seed, {1: 1}) for seed in range(3)]}
    data = MaterialDataset(
        replace(CONFIG, stages=stages, video_share=1.0), MaterialDrawer(Files([frame(9)], videos)), 1
    )
    assert [data[step, 0].video.all() for step in range(3)] == [False, True, True]
    assert not data[0, 0].video.any()
    data = MaterialDataset(replace(CONFIG, stages=stages), MaterialDrawer(Files([frame(9)], {})), 1)
    assert not data[1, 0].video.any(), "without videos there are only stills"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_through_its_parts_in_order(workers: int) -> None:
    data = dataset()
    stream = Stream(data, range(1, 3), [0, 1], workers=workers, pin=False)
    expected = [data[step, part] for step in (1, 2) for part in (0, 1)]
    found = list(stream)
    assert len(found) == 4
    assert all(same(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert stream.waited > 0


def test_a_still_is_packed_once_however_often_it_is_used() -> None:
    packed = dataset(parts=1)[0, 0]
    assert packed.target.shape == (4, 2)
    assert (packed.target[:, 0] == packed.target[:, 1]).all()
    used = np.concatenate([packed.target.ravel(), packed.background, packed.distractor])
    assert set(used) - {NONE} == set(range(len(packed.images)))
    images, masks, extents = packed.take(packed.target[:, 0])
    square = (SOURCE_SIZE, SOURCE_SIZE)
    assert images.shape == (4, 3, *square) and masks.shape == (4, 1, *square) and extents.tolist()[0] == [288, 200]


def damaged() -> Frame:
    return type(frame(0))("s/bad", b"no image", frame(0).mask)


def test_a_damaged_sample_is_reported_once_and_another_one_drawn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = dataset([frame(0), damaged()])
        for step in range(3):
            assert len(data[step, 0].target) == 2
    assert [record.message for record in caplog.records if "s/bad" in record.message and "skipped" in record.message]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_data_without_a_usable_sample_end_in_one_sentence(workers: int) -> None:
    with pytest.raises(DataError, match=r"^200 stills in a row hold no object") as caught:
        list(Stream(dataset([damaged()]), range(1), [0], workers=workers, pin=False))
    assert "\n" not in str(caught.value)


HELD = """
from tests.training import test_loader as tests
stream = iter(tests.Stream(tests.dataset(), range(3), [0], workers=1, pin=False))
next(stream)
held = stream.gi_frame.f_locals["source"]
"""


def test_workers_that_are_still_held_do_not_keep_the_process_from_ending() -> None:
    words = [sys.executable, "-c", HELD]
    done = subprocess.run(words, env=clean_environment(), capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
