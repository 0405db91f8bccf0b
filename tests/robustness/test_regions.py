"""Every region gives a valid answer, in this frame and the next ones, or one clear sentence."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from tests.robustness.checks import assert_sentence, assert_valid
from tests.robustness.pictures import HEIGHT, SHAPE, TARGET, WIDTH, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.engine.engine import Engine
from tracker.geometry.region import RegionError, parse_region

NAN, INF = math.nan, math.inf
X, Y, W, H = TARGET
ENGINE = tiny_engine()  # hypothesis takes no fixtures


def mask(*boxes: tuple[int, int, int, int], holes: tuple[tuple[int, int, int, int], ...] = ()) -> NDArray[np.bool_]:
    """A mask of the frame's size: boxes x, y, w, h, less holes."""
    made = np.zeros(SHAPE, np.bool_)
    for regions, value in ((boxes, True), (holes, False)):
        for x, y, w, h in regions:
            made[y : y + h, x : x + w] = value
    return made


def noise(share: float) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random(SHAPE) < share


def ring(points: int, radius: float = 14.0, wobble: float = 0.0) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radii = radius * (1 + wobble * (-1) ** np.arange(points))
    return np.stack([X + W / 2 + radii * np.cos(angles), Y + H / 2 + radii * np.sin(angles)], axis=1)


# kind: region; all of these can be tracked
USABLE: dict[str, Any] = {
    "the target's box": TARGET,
    "box as list": list(TARGET),
    "box as array of float32": np.array(TARGET, np.float32),
    "box as array of uint8": np.array(TARGET).astype(np.uint8),
    "box partly outside, left": (-15, 30, 30, 24),
    "box partly outside, top": (40, -15, 30, 24),
    "box partly outside, right": (WIDTH - 10, 30, 30, 24),
    "box partly outside, bottom": (40, HEIGHT - 10, 30, 24),
    "box that only its last column shows": (-29, 30, 30, 24),
    "box of one pixel": (50, 40, 1, 1),
    "box of one pixel in the first corner": (0, 0, 1, 1),
    "box of one pixel in the last corner": (WIDTH - 1, HEIGHT - 1, 1, 1),
    "box below a pixel that covers one": (49.9, 39.9, 0.8, 0.8),
    "box one pixel wide": (50, 20, 1, 40),
    "box one pixel high": (20, 40, 60, 1),
    "box of the whole image": (0, 0, WIDTH, HEIGHT),
    "box ten times the image": (-5 * WIDTH, -5 * HEIGHT, 10 * WIDTH, 10 * HEIGHT),
    "box a thousand times the image": (-5e4, -5e4, 1e5, 1e5),
    "box of the target's width and a thousand images' height": (X, -5e4, W, 1e5),
    "triangle": [(40, 30), (70, 35), (50, 54)],
    "rotated rectangle": [(55, 28), (71, 42), (56, 58), (40, 44)],
    "polygon as flat numbers": [40, 30, 70, 30, 70, 54, 40, 54],
    "polygon counter-clockwise": [(40, 54), (70, 54), (70, 30), (40, 30)],
    "concave polygon": [(40, 30), (70, 30), (55, 40), (70, 54), (40, 54)],
    "self-crossing polygon": [(40, 30), (70, 54), (70, 30), (40, 54)],
    "corners of a box in a crossing order": [(40, 30), (70, 54), (40, 54), (70, 30)],
    "star": ring(10, wobble=0.5),
    "scribble of 2,000 points": np.random.default_rng(0).uniform(20, 80, (2000, 2)),
    "polygon with every point twice": np.repeat([(40, 30), (70, 30), (70, 54), (40, 54)], 2, axis=0),
    "closed polygon": [(40, 30), (70, 30), (70, 54), (40, 54), (40, 30)],
    "polygon of a thousand points": ring(1000),
    "polygon of 100,000 points": ring(100_000),
    "polygon partly outside": [(-20, -20), (30, -10), (35, 30), (-10, 25)],
    "polygon around the image": [(-500, -500), (700, -500), (700, 700), (-500, 700)],
    "polygon of a thousand images": [(-5e4, -5e4), (5e4, -5e4), (5e4, 5e4), (-5e4, 5e4)],
    "polygon of one pixel": [(50, 40), (51, 40), (51, 41), (50, 41)],
    "polygon below a pixel": [(50.1, 40.1), (50.4, 40.1), (50.4, 40.4)],
    "sliver": [(20, 40), (90, 40.2), (90, 40.4)],
    "the target's mask": target_mask(),
    "mask as uint8 0 and 255": target_mask().astype(np.uint8) * 255,
    "mask as float": target_mask().astype(np.float64),
    "mask as int64 object ids": target_mask().astype(np.int64) * 7,
    "mask with NumPy's other byte order": target_mask().astype(">f4"),
    "mask with a channel": target_mask()[:, :, None],
    "mask in a batch": target_mask()[None],
    "mask as a picture": target_mask()[:, :, None].repeat(3, 2) * np.uint8(255),
    "box in a batch": np.array([TARGET]),
    "two corners": np.array([[X, Y], [X + W - 1, Y + H - 1]]),
    "contour of OpenCV": np.array([[[40, 30]], [[69, 30]], [[69, 53]], [[40, 53]]], np.int32),
    "mask in Fortran order": np.asfortranarray(target_mask()),
    "mask as reversed view": target_mask()[::-1].copy()[::-1],
    "mask as every other pixel of another": np.repeat(np.repeat(target_mask(), 2, 0), 2, 1)[::2, ::2],
    "mask with holes": mask((40, 30, 30, 24), holes=((45, 35, 5, 5), (60, 40, 4, 8))),
    "mask as frame around a hole": mask((40, 30, 30, 24), holes=((42, 32, 26, 20),)),
    "mask of three components": mask((40, 30, 10, 24), (58, 30, 12, 10), (60, 46, 4, 4)),
    "mask of components in opposite corners": mask((0, 0, 5, 5), (WIDTH - 5, HEIGHT - 5, 5, 5)),
    "mask of one pixel": mask((50, 40, 1, 1)),
    "mask of one row": mask((0, 40, WIDTH, 1)),
    "mask of one column": mask((50, 0, 1, HEIGHT)),
    "mask of two pixels that touch at a corner": mask((50, 40, 1, 1), (51, 41, 1, 1)),
    "mask of the whole image": np.ones(SHAPE, np.bool_),
    "mask of a border": mask((0, 0, WIDTH, HEIGHT), holes=((1, 1, WIDTH - 2, HEIGHT - 2),)),
    "mask of noise": noise(0.5),
    "mask of single pixels": noise(0.01),
    "chequered mask": np.indices(SHAPE).sum(0) % 2 == 0,
    "tensor of numbers": torch.tensor(TARGET),
    "tensor that wants gradients": torch.tensor(TARGET, dtype=torch.float32, requires_grad=True),
    "mask in a batch with a channel": target_mask()[None, None],
    "polygon in a batch": np.array([[(40, 30), (70, 30), (70, 54), (40, 54)]]),
}

# kind: region, and what the sentence says
REFUSED: dict[str, tuple[Any, str]] = {
    "box right of the image": ((WIDTH + 5, 30, 10, 10), "outside the image of 120 x 90"),
    "box above the image": ((30, -50, 10, 10), "outside the image"),
    "box that ends where the image begins": ((-10, 30, 10, 10), "outside the image"),
    "box of no width": ((40, 30, 0, 24), "no area.*above zero"),
    "box of no height": ((40, 30, 30, 0), "no area.*above zero"),
    "box of negative width": ((40, 30, -30, 24), "no area"),
    "box of negative size": ((40, 30, -30, -24), "no area"),
    "box below a pixel that covers none": ((50.6, 40.6, 0.2, 0.2), "covers no pixel.*larger one"),
    "box of a denormal size": ((50, 40, 5e-324, 5e-324), "covers no pixel"),
    "box of the largest number": ((0, 0, 1.7e308, 1.7e308), "too large|beyond"),
    "box from minus the largest number": ((-1.7e308, -1.7e308, 1.7e308, 1.7e308), "outside|too large|beyond"),
    "box of 1e200": ((-1e199, -1e199, 1e200, 1e200), "too large|beyond"),
    "box with NaN": ((NAN, 30, 30, 24), "NaN or infinity"),
    "box with an infinite width": ((40, 30, INF, 24), "NaN or infinity"),
    "box from minus infinity": ((-INF, 30, 30, 24), "NaN or infinity"),
    "three numbers": ((40, 30, 30), "not understood.*x, y, w, h"),
    "five numbers": ((40, 30, 30, 24, 0.5), "not understood"),
    "seven numbers": ((1, 2, 3, 4, 5, 6, 7), "not understood"),
    "one number": (7.0, "not understood"),
    "no numbers": ((), "not understood"),
    "a polygon of no points": (np.zeros((0, 2)), "not understood.*n >= 3"),
    "a polygon of one point": ([(40, 30)], "not understood.*n >= 3"),
    "a polygon of three equal points": ([(40, 30)] * 3, "no area.*not on one line"),
    "a polygon on a row": ([(40, 30), (50, 30), (70, 30)], "no area"),
    "a polygon with NaN": ([(40, 30), (70, NAN), (50, 54)], "NaN or infinity"),
    "a polygon with infinity": ([(40, 30), (INF, 30), (50, 54)], "NaN or infinity"),
    "a polygon outside the image": ([(200, 30), (230, 30), (210, 50)], "outside the image"),
    "a polygon of 1e200": ([(-1e200, -1e200), (1e200, -1e200), (0, 1e200)], "too large|beyond"),
    "a polygon of 10,000 points outside": (ring(10_000) + 1e4, "outside the image"),
    "a polygon of 10,000 points with NaN": (np.append(ring(10_000), [[NAN, 0]], 0), "NaN or infinity"),
    "a polygon of 50,000 points all over the image": (
        np.random.default_rng(0).uniform(0, HEIGHT, (50_000, 2)),
        "of 50,000 points crosses itself too often.*give a mask",
    ),
    "points of three coordinates": ([(1, 2, 3), (4, 5, 6), (7, 8, 9)], "mask has 3 x 3 pixels.*image's size"),
    "an empty mask": (np.zeros(SHAPE, np.bool_), "mask is empty.*ones"),
    "a mask of minus ones": (-np.ones(SHAPE), "negative numbers .scores.*scores > 0"),
    "a mask of another size": (np.ones((HEIGHT, WIDTH - 1), np.bool_), "119 x 90 pixels, the image 120 x 90"),
    "a mask with sides exchanged": (np.ones((WIDTH, HEIGHT), np.bool_), "90 x 120 pixels, the image 120 x 90"),
    "a mask without pixels": (np.ones((0, 0), np.bool_), "0 x 0 pixels"),
    "a mask with two channels": (np.ones((*SHAPE, 2)) * (0, 1), "not understood.*mask of the image's size 90 x 120"),
    "a photograph": (frame(), "not understood"),
    "a mask of probabilities": (target_mask() * 0.7 + 0.1, "between 0 and 1 .probabilities.*mask > 0.5"),
    "a mask of one probability": (target_mask() * 0.7, "between 0 and 1 .probabilities.*mask > 0.5"),
    "a mask with soft borders": (
        target_mask() * np.uint8(127) + (np.arange(WIDTH) > 50) * np.uint8(128),
        "between 0 and 255 .soft borders.*mask > 127",
    ),
    "a mask with soft borders as float": (target_mask() * 127.0 + (np.arange(WIDTH) > 50) * 128.0, "soft borders"),
    "a map of labels": (target_mask() * 1 + (np.arange(WIDTH) > 50) * 3, r"several values .1, 3, 4.*mask == 1"),
    "a map of labels with void": (
        np.where(np.arange(WIDTH) > 90, 255, target_mask() + np.arange(WIDTH) // 60),
        "several values",
    ),
    "a stack of masks": (np.ones((2, *SHAPE), np.bool_), "not understood"),
    "a mask with NaN": (np.where(target_mask(), NAN, 0.0), "mask holds NaN"),
    "a mask as text": (target_mask().astype(str), "not numeric"),
    "a mask as objects": (target_mask().astype(object), "not numeric"),
    "nothing": (None, "not numeric.*x, y, w, h"),
    "text": ("40,30,30,24", "not numeric"),
    "bytes": (b"40,30,30,24", "not numeric"),
    "long text": ("box " * 100_000, "not numeric"),
    "a dictionary": ({"x": 40, "y": 30}, "not numeric"),
    "a set": ({40, 30, 24}, "not numeric"),
    "a slice": (slice(0, 3), "not numeric"),
    "a function": (len, "not numeric"),
    "points of different length": ([(40, 30), (70, 30, 1), (50,)], "not numeric"),
    "complex numbers": (np.array(TARGET, complex), "not numeric"),
    "dates": (np.array(["2020-01-01"] * 4, "datetime64[D]"), "not numeric"),
    "a list of 10,000 objects": ([object()] * 10_000, "not numeric"),
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return tiny_engine()


@pytest.mark.parametrize(
    "region",
    [
        np.array([TARGET]),
        np.array([[X + W - 1, Y + H - 1], [X, Y]]),
        target_mask()[:, :, None],
        target_mask()[None],
        target_mask()[:, :, None].repeat(3, 2),
        np.where(np.arange(WIDTH) > 90, 255, target_mask() * 7),  # 255 is void
        target_mask() * 255.0,
    ],
)
def test_a_region_in_another_shape_is_the_same_region(region: NDArray) -> None:
    assert parse_region(region, SHAPE).box == TARGET
    assert np.array_equal(parse_region(region, SHAPE).to_mask(SHAPE), target_mask())


def test_a_contour_is_a_polygon() -> None:
    points = np.array([(40, 30), (69, 30), (69, 53), (40, 53)])
    assert np.array_equal(parse_region(points[:, None], SHAPE).to_mask(SHAPE), target_mask())


def test_the_users_mask_and_the_answers_are_nobody_elses() -> None:
    """Painting on either changes no later answer."""
    plain, painted = DMB(ENGINE, CONFIG), DMB(ENGINE, CONFIG)
    given = target_mask()
    plain.initialize(frame(), target_mask())
    result = painted.initialize(frame(), given)
    given[:] = True
    for index in range(1, 4):
        with pytest.raises(ValueError, match="read-only"):
            result.mask[:10] = True
        with pytest.raises(ValueError, match="read-only"):
            result.polygon[0] = 0
        result.mask.copy()[:] = True
        result = painted.track(frame(index))
        assert np.array_equal(result.mask, plain.track(frame(index)).mask)


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes"])
@pytest.mark.parametrize("kind", USABLE)
def test_a_usable_region_is_answered_now_and_later(engine: Engine, kind: str, masks: bool) -> None:
    dmb = DMB(engine, CONFIG)
    assert_valid(dmb.initialize(frame(), USABLE[kind], masks=masks), SHAPE)
    for index in range(1, 4):
        assert_valid(dmb.track(frame(index)), SHAPE)


@pytest.mark.parametrize("kind", ["the target's box", "rotated rectangle", "mask of noise", "box of one pixel"])
@pytest.mark.parametrize(
    "change",
    [{"crop": {"recenter": False}}, {"filter": {"enabled": False}}, {"gate": {"rule": "relative"}},
     {"gate": {"rule": "off"}}, {"box2seg": {"enabled": False}}, {"appearance": {"sampling_interval": 0}},
     {"appearance": {"max_frames": 1}}],
    ids=str,
)  # fmt: skip
def test_so_it_is_under_every_setting(engine: Engine, kind: str, change: dict[str, dict[str, Any]]) -> None:
    parts = {part: replace(getattr(CONFIG, part), **values) for part, values in change.items()}
    dmb = DMB(engine, replace(CONFIG, **parts))
    assert_valid(dmb.initialize(frame(), USABLE[kind]), SHAPE)
    for index in range(1, 4):
        assert_valid(dmb.track(frame(index)), SHAPE)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("error")
def test_an_unusable_region_is_refused_in_one_sentence(engine: Engine, kind: str) -> None:
    region, words = REFUSED[kind]
    with pytest.raises(RegionError) as caught:
        DMB(engine, CONFIG).initialize(frame(), region)
    assert_sentence(caught.value, words)


def test_a_refused_region_leaves_the_tracker_usable(engine: Engine) -> None:
    dmb = DMB(engine, CONFIG)
    dmb.initialize(frame(), TARGET)
    with pytest.raises(RegionError):
        dmb.initialize(frame(), (0, 0, -1, 5))
    assert_valid(dmb.initialize(frame(), TARGET), SHAPE)


numbers = st.floats(width=64) | st.floats(-200, 300) | st.integers(-5, 130)
anything: st.SearchStrategy[Any] = st.one_of(
    st.tuples(*[numbers] * 4),
    st.lists(st.tuples(numbers, numbers), max_size=8),
    st.lists(numbers, max_size=12),
    arrays(st.sampled_from([np.bool_, np.uint8, np.float32, np.int16]), array_shapes(max_dims=3, max_side=6)),
    arrays(np.bool_, SHAPE, elements=st.booleans(), fill=st.booleans()),
    st.none() | st.text() | st.binary() | st.dictionaries(st.text(), numbers) | st.booleans(),
    st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
)


@given(region=anything)
@settings(max_examples=200, deadline=None)
def test_whatever_is_given_is_answered_or_refused(region: object) -> None:
    dmb = DMB(ENGINE, CONFIG)
    try:
        result = dmb.initialize(frame(), region)
    except RegionError as error:
        assert_sentence(error)
        return
    assert_valid(result, SHAPE)
    assert_valid(dmb.track(frame(1)), SHAPE)


def test_other_shapes_of_a_region_mean_the_same() -> None:
    """A dimension of 1 in front, and tensors, change nothing."""
    alone = (target_mask(), np.array([(40, 30), (70, 30), (70, 54), (40, 54)]), np.array(TARGET))
    for region in alone:
        expected = parse_region(region, SHAPE).to_mask(SHAPE)
        for same in (region[None], region[None, None], torch.tensor(region), torch.tensor(region[None])):
            assert np.array_equal(parse_region(same, SHAPE).to_mask(SHAPE), expected)


def test_a_mask_of_the_background_is_warned_of(engine: Engine) -> None:
    with pytest.warns(UserWarning, match="covers the image's edges; is the target marked, and not the background"):
        DMB(engine, CONFIG).initialize(frame(), ~target_mask())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DMB(engine, CONFIG).initialize(frame(), target_mask())
