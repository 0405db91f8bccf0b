"""The GPU's way of running the network, on the CPU: fixed shapes, stand-ins for the graphs, crops on the device."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.benchmarks.speed import Clip, breakdown
from tracker.config import AppearanceConfig, CropConfig, FilterConfig, GateConfig, TrackerConfig
from tracker.engine.engine import FRAMES_STEP, Engine
from tracker.engine.graphs import Graphs
from tracker.errors import DeviceFullError
from tracker.geometry.crop import Crop
from tracker.network import Architecture, DMBNet, QueryFeatures
from tracker.tracking.tracker import DMB
from vot_workspace.demo import SCRIPTS, render

SMALL = Architecture(blocks=(1, 1, 1), decoder_width=16)
CONFIG = TrackerConfig(
    crop=CropConfig(size=64, segment_size=96, box_size=64),
    appearance=AppearanceConfig(sampling_interval=1, max_frames=7),
    filter=FilterConfig(projection_channels=4, initial_gn_iterations=1, initial_cg_iterations=2, upsampling=4),
    gate=GateConfig(rule="off"),
)
CELLS = 16  # positions of a crop of 64 pixels


@pytest.fixture(scope="module")
def model() -> DMBNet:
    torch.manual_seed(0)
    return DMBNet(architecture=SMALL).eval().requires_grad_(False)


@pytest.fixture
def static(model: DMBNet) -> Engine:
    return Engine(model, precision="float32", graphs=True)


def picture(seed: int = 0, size: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def remembered(engine: Engine, frames: int) -> tuple[Tensor, Tensor]:
    """Keys and values of several frames."""
    mask = np.zeros((64, 64), np.float32)
    mask[:, :32] = 1.0
    rows = [engine.encode_memory(engine.normalize(picture(seed)[None]), mask) for seed in range(frames)]
    keys, values = zip(*rows, strict=True)
    return torch.cat(keys, 1), torch.cat(values, 1)


@torch.inference_mode()
def whole(engine: Engine, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray) -> NDArray:
    """The network's own answer, refined everywhere."""
    logit = engine.network.segment(features, keys, values, torch.from_numpy(spatial_map)[None, None])
    return torch.sigmoid(logit)[0, 0].numpy()


def test_the_plain_way_is_the_usual_one(model: DMBNet) -> None:
    assert Engine(model).graphs is None and Engine(model).graphs is None
    assert Engine(model, graphs=True).graphs == 0


@pytest.mark.parametrize("frames", [1, FRAMES_STEP - 1, FRAMES_STEP, FRAMES_STEP + 1, 2 * FRAMES_STEP + 1])
def test_a_padded_memory_gives_the_same_masks(static: Engine, frames: int) -> None:
    features = static.encode_query(static.normalize(picture(99)[None]))
    keys, values = remembered(static, frames)
    spatial_map = np.linspace(0, 1, CELLS, dtype=np.float32).reshape(4, 4)
    answer = static.segment(features, keys, values, spatial_map)
    assert answer.shape == (64, 64) and answer.dtype == np.float32
    np.testing.assert_allclose(answer, whole(static, features, keys, values, spatial_map), atol=1e-5)


def test_so_do_networks_that_do_not_predict_coarsely(model: DMBNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "coarse_prediction", False)
    static = Engine(model, precision="float32", graphs=True)
    features, (keys, values) = static.encode_query(static.normalize(picture(99)[None])), remembered(static, 2)
    zeros = np.zeros((4, 4), np.float32)
    expected = Engine(model, precision="float32").segment(features, keys, values, zeros)
    np.testing.assert_allclose(static.segment(features, keys, values, zeros), expected, atol=1e-5)


def test_a_growing_memory_needs_few_graphs(static: Engine) -> None:
    features = static.encode_query(static.normalize(picture(99)[None]))
    keys, values = remembered(static, 12)
    before, zeros = static.graphs, np.zeros((4, 4), np.float32)
    answers = [static.segment(features, keys[:, : n * CELLS], values[:, : n * CELLS], zeros) for n in range(1, 13)]
    assert before is not None and static.graphs == before + 3 + 1, "memories of 5, 10 and 20 frames, and one decoder"
    for n, answer in enumerate(answers, 1):
        expected = whole(static, features, keys[:, : n * CELLS], values[:, : n * CELLS], zeros)
        np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_every_step_answers_as_without_graphs_and_keeps_its_answer(model: DMBNet, static: Engine) -> None:
    plain, mask = Engine(model, precision="float32"), np.ones((64, 64), np.float32)
    answers: list[list[list[Tensor]]] = []
    for engine in (plain, static):
        images = [engine.normalize(picture(seed)[None]) for seed in range(2)]
        answers.append(
            [[*engine.encode_query(image), engine.filter_features(image), *engine.encode_memory(image, mask)]
             for image in images]
        )  # fmt: skip
    for one, other in zip(*answers, strict=True):  # the first image's answers were made before the second's
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert static.graphs == 3
    crops = static.normalize(np.stack([picture(seed) for seed in range(5)]))
    torch.testing.assert_close(static.filter_features(crops), plain.filter_features(crops), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [20.0, 200.0])
def test_crops_are_those_of_opencv(model: DMBNet, static: Engine, side: float) -> None:
    plain = Engine(model, precision="float32")
    image, crop = picture(size=(90, 120)), Crop((50.3, 40.8), side, 64)
    image.setflags(write=False)  # as arrays from files are
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, theirs = static.pixels(image, crop), plain.pixels(image, crop)
    assert ours.shape == theirs.shape == (1, 3, 64, 64) and ours.stride() == theirs.stride()
    level = 1 / 255 / 0.224
    assert (ours - theirs).abs().max() < 1.5 * level
    assert torch.equal(theirs, plain.normalize(crop.extract(image)[None]))


def test_a_frame_is_uploaded_once(static: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads: list[tuple[int, ...]] = []
    upload = static._upload
    monkeypatch.setattr(static, "_upload", lambda array: uploads.append(array.shape) or upload(array))
    image, other = picture(0, (90, 120)), picture(1, (90, 120))
    crops = [Crop((50.0, 40.0), 30.0, size) for size in (64, 96)]
    static.begin(image)
    answers = [static.pixels(image, crop) for crop in crops]
    assert uploads.count(image.shape) == 1 and [answer.shape[-1] for answer in answers] == [64, 96]
    assert not torch.equal(static.pixels(other, crops[0]), answers[0]), "another image is not taken for it"
    image[:] = other  # as a camera that fills one array again and again
    static.begin(image)
    assert torch.equal(static.pixels(image, crops[0]), static.pixels(other, crops[0]))


FULL = torch.OutOfMemoryError("CUDA out of memory")


def run(engine: Engine) -> list[Any]:
    image, mask = picture(size=(90, 120)), np.ones((64, 64), np.float32)
    pixels = engine.pixels(image, Crop((50.0, 40.0), 64.0, 64))
    features = engine.encode_query(pixels)
    keys, values = engine.encode_memory(pixels, mask)
    segmented = engine.segment(features, keys, values, np.zeros((4, 4), np.float32))
    return [pixels, engine.filter_features(pixels), segmented]


@pytest.mark.parametrize("step", ["crop of 64", "encode_query", "encode_memory", "filter_features", "read", "decode"])
def test_a_full_memory_is_one_sentence(static: Engine, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    call = Graphs.call

    def full(self: Graphs, name: str, *arguments: Any) -> Any:
        if name == step:
            raise FULL
        return call(self, name, *arguments)

    monkeypatch.setattr(Graphs, "call", full)
    with pytest.raises(DeviceFullError, match=r"the memory of cpu is full; choose another device .*DMB_MAX_FRAMES"):
        run(static)


@pytest.mark.parametrize("step", ["crop of 64", "encode_query", "encode_memory", "filter_features", "read", "decode"])
def test_a_graph_that_answers_otherwise_is_given_up(
    model: DMBNet, static: Engine, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    call = Graphs.call

    def wrong(self: Graphs, name: str, *arguments: Any) -> Any:
        answers = call(self, name, *arguments)
        return tuple(1.1 * answer for answer in answers) if name == step else answers

    monkeypatch.setattr(Graphs, "call", wrong)
    with pytest.warns(RuntimeWarning, match=f"plain way \\('{step}' differs by 0.1"):
        answers = run(static)
    assert static.graphs is None
    for answer, expected in zip(answers, run(Engine(model, precision="float32")), strict=True):
        assert np.abs(np.asarray(answer) - np.asarray(expected)).max() < 0.05


def test_crops_and_masks_are_compared_with_the_plain_ones(
    static: Engine, monkeypatch: pytest.MonkeyPatch, model: DMBNet
) -> None:
    monkeypatch.setattr(
        "tracker.engine.engine.resample", lambda frame, columns, rows, size: torch.zeros(1, 3, size, size)
    )
    with pytest.warns(RuntimeWarning, match=r"plain way \(a normalized crop differs by \d"):
        answers = run(static)
    for answer, expected in zip(answers, run(Engine(model, precision="float32")), strict=True):
        assert np.array_equal(np.asarray(answer), np.asarray(expected))
    other, plain = Engine(model, precision="float32", graphs=True), np.zeros((64, 64), np.float32)
    monkeypatch.undo()
    monkeypatch.setattr(Engine, "_segment", lambda *arguments: plain)
    with pytest.warns(RuntimeWarning, match=r"plain way \(probabilities of a mask differ by 0"):
        answers = run(other)
    assert other.graphs is None and answers[-1] is plain


def test_every_step_is_compared_once(static: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = run(static)
        monkeypatch.setattr(Engine, "_segment", lambda *arguments: pytest.fail("in the plain way"))
        monkeypatch.setattr(Crop, "extract", lambda *arguments: pytest.fail("cropped on the host"))
        second = run(static)
    for answer, expected in zip(first, second, strict=True):
        assert np.array_equal(np.asarray(answer), np.asarray(expected))


def follow(engine: Engine, frames: int) -> list[NDArray]:
    """All masks, and what was decoded in all frames but the first."""
    clip, answers = list(render("cat", SCRIPTS["cat"], frames, (160, 120))), list[NDArray]()
    dmb = DMB(engine, CONFIG)
    dmb.initialize(clip[0].image, clip[0].mask)
    decoded = engine.segment
    engine.segment = lambda *arguments: answers.append(decoded(*arguments)) or answers[-1]  # type: ignore
    answers += [dmb.track(frame.image).mask for frame in clip[1:]]
    del engine.segment
    return answers


def test_a_video_is_tracked_the_same_with_graphs_and_without(model: DMBNet, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = FRAMES_STEP + 2  # the memory outgrows its first length
    engine, direct = (Engine(model, precision="float32", graphs=True) for _ in range(2))
    through, graphs = follow(engine, frames), engine.graphs
    with monkeypatch.context() as patch:
        patch.setattr(Graphs, "call", lambda self, name, function, *inputs: function(*inputs))
        expected = follow(direct, frames)
    assert len(through) >= 2 * (frames - 1) and direct.graphs == 0
    assert all(np.array_equal(a, b) for a, b in zip(through, expected, strict=True))
    follow(engine, 2)
    assert engine.graphs == graphs, "a second video needs no others"


def test_frames_are_cropped_on_the_device(model: DMBNet, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = [frame.image for frame in render("cat", SCRIPTS["cat"], 3, (160, 120))]
    uploads, dmb = list[tuple[int, ...]](), DMB(Engine(model, precision="float32", graphs=True), CONFIG)
    dmb.initialize(clip[0], (50.0, 40.0, 30.0, 30.0))
    upload = dmb.engine._upload
    monkeypatch.setattr(dmb.engine, "_upload", lambda array: uploads.append(array.shape) or upload(array))
    monkeypatch.setattr(Crop, "extract", lambda self, image: pytest.fail("cropped on the host"))
    for image in clip[1:]:
        dmb.track(image)
    assert uploads.count(clip[0].shape) == 2, "each frame is uploaded once"


def test_speed_is_broken_down_with_graphs_too(model: DMBNet) -> None:
    clip = Clip.of(render("cat", SCRIPTS["cat"], 5, (160, 120)), "cat")
    dmb = DMB(Engine(model, precision="float32", graphs=True), CONFIG)
    stages = breakdown(dmb, clip, first=2, from_box=False)
    stages_met = ("crop", "query encoder", "memory read", "decoder", "memory write")
    assert all(min(stages.frames[name]) > 0 for name in stages_met)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_on_a_gpu_the_answers_are_those_of_the_cpu(model: DMBNet, precision: Any) -> None:
    from copy import deepcopy

    on_gpu = Engine(deepcopy(model).cuda(), precision=precision)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing falls back
        answers = [run(on_gpu) for _ in range(2)][-1]
    assert on_gpu.graphs == 6
    tolerance = 0.02 if precision == "float32" else 0.1
    for answer, expected in zip(answers, run(Engine(model, precision="float32", graphs=True)), strict=True):
        got = answer.cpu().float().numpy() if isinstance(answer, Tensor) else answer
        assert np.abs(got - np.asarray(expected)).mean() < tolerance
