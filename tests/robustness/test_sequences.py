"""Every sequence is answered to its end: odd lengths and sizes, nothing to see, a target that never comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.robustness.checks import KINDS, assert_toolkit_takes, assert_valid
from tests.robustness.pictures import HEIGHT, SHAPE, TARGET, WIDTH, Image, background, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.engine.engine import Engine
from tracker.tracking.tracker import StateError
from tracker.trax.convert import write_region

LENGTH = 12


def _flat(value: int) -> Image:
    return np.full((*SHAPE, 3), value, np.uint8)


def _noise(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def _sized(index: int) -> Image:
    sizes = ((HEIGHT, WIDTH), (45, 60), (300, 200), (1, 1), (2, 300), (300, 2), (720, 1280), (15, 15))
    return frame(index, *sizes[index // 2 % len(sizes)])


# kind: frame `index` of the sequence
SEQUENCES = {
    "the target moves": frame,
    "constant": lambda index: frame(),
    "all black": lambda index: _flat(0),
    "all white": lambda index: _flat(255),
    "all gray": lambda index: _flat(128),
    "black after the first frame": lambda index: frame() if index == 0 else _flat(0),
    "white after the first frame": lambda index: frame() if index == 0 else _flat(255),
    "noise": _noise,
    "noise after the first frame": lambda index: frame() if index == 0 else _noise(index),
    "flicker between black and white": lambda index: _flat(255 * (index % 2)),
    "the target is gone": lambda index: frame() if index == 0 else background(),
    "the target is gone and comes back": lambda index: background() if 3 <= index < 8 else frame(index),
    "all is target": lambda index: frame() if index == 0 else np.full((*SHAPE, 3), (225, 25, 35), np.uint8),
    "another picture in every frame": lambda index: np.roll(frame(index), (17 * index, 29 * index), (0, 1)),
    "upside down every now and then": lambda index: frame(index)[:: 1 - 2 * (index % 2)],
    "gray after the first frame": lambda index: frame() if index == 0 else frame(index).mean(2).astype(np.uint8),
    "darker and darker": lambda index: (frame(index) * (1 - index / LENGTH)).astype(np.uint8),
    "colors exchanged midway": lambda index: frame(index)[:, :, :: 1 if index < 6 else -1],
    "half the size midway": lambda index: frame(index, *((HEIGHT, WIDTH) if index < 6 else (HEIGHT // 2, WIDTH // 2))),
    "four times the size midway": lambda index: frame(
        index, *((HEIGHT, WIDTH) if index < 6 else (4 * HEIGHT, 4 * WIDTH))
    ),
    "sides exchanged midway": lambda index: frame(index, *((HEIGHT, WIDTH) if index < 6 else (WIDTH, HEIGHT))),
    "one pixel midway": lambda index: frame(index, *((HEIGHT, WIDTH) if index < 6 else (1, 1))),
    "one row midway": lambda index: frame(index, *((HEIGHT, WIDTH) if index < 6 else (1, WIDTH))),
    "another size every other frame": _sized,
}
STARTS = {
    "mask": lambda: target_mask(),
    "box": lambda: TARGET,
    "polygon": lambda: [(40, 30), (69, 30), (69, 53), (40, 53)],
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return tiny_engine()


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("kind", SEQUENCES)
def test_every_frame_is_answered(engine: Engine, kind: str, start: str) -> None:
    dmb = DMB(engine, CONFIG)
    assert_valid(dmb.initialize(SEQUENCES[kind](0), STARTS[start](), masks=start == "mask"), SHAPE)
    for index in range(1, LENGTH):
        image = SEQUENCES[kind](index)
        result = dmb.track(image)
        assert_valid(result, image.shape[:2])
        assert result.frame_index == index


@pytest.mark.parametrize("rule", ["relative", "off"])
@pytest.mark.parametrize("kind", SEQUENCES)
def test_so_it_is_under_other_rules_of_the_gate(engine: Engine, kind: str, rule: str) -> None:
    dmb = DMB(engine, replace(CONFIG, gate=replace(CONFIG.gate, rule=rule)))
    dmb.initialize(SEQUENCES[kind](0), TARGET)
    for index in range(1, 5):
        image = SEQUENCES[kind](2 * index)
        assert_valid(dmb.track(image), image.shape[:2])


def test_one_frame_is_a_sequence(engine: Engine) -> None:
    assert_valid(DMB(engine, CONFIG).initialize(frame(), TARGET), SHAPE)


def test_tracking_before_the_start_is_refused(engine: Engine) -> None:
    with pytest.raises(StateError, match=r"call initialize\(image, region\) first"):
        DMB(engine, CONFIG).track(frame())


def test_a_new_start_forgets_everything(engine: Engine) -> None:
    def run(dmb: DMB) -> Iterator[np.ndarray]:
        yield dmb.initialize(frame(), TARGET).mask
        for index in range(1, 8):
            result = dmb.track(frame(index))
            yield result.mask
            yield result.polygon
            yield np.array(result.confidence)

    fresh, used = DMB(engine, CONFIG), DMB(engine, CONFIG)
    for kind in ("noise", "another size every other frame", "the target is gone"):
        used.initialize(SEQUENCES[kind](0), target_mask())
        for index in range(1, 9):
            used.track(SEQUENCES[kind](index))
    assert all(np.array_equal(a, b) for a, b in zip(run(fresh), run(used), strict=True))


def test_a_speckled_first_mask_is_never_answered_with_more_runs_than_the_toolkit_writes(engine: Engine) -> None:
    shape = (400, 500)
    mask = np.indices(shape).sum(0) % 2 == 0
    dmb = DMB(engine, CONFIG)
    first = dmb.initialize(frame(0, *shape), mask)
    assert np.count_nonzero(np.diff(first.mask.ravel())) > 100_000, "the first answer is the mask that was given"
    black = np.zeros((*shape, 3), np.uint8)
    for result in (first, dmb.track(black), dmb.track(black)):
        for kind in KINDS:
            assert_toolkit_takes(write_region(result, kind, shape), kind, shape)
