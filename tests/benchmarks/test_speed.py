"""Times by stage: what is counted where. No test asks how long anything took."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tracker.engine.engine
import tracker.network.model
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker.benchmarks.speed import (
    STAGES,
    Clip,
    PlainEngine,
    Stopwatch,
    breakdown,
    measure,
    peak_memory,
    plain_config,
    staged,
)
from tracker.engine.engine import Engine
from tracker.network import DMBNet, Window
from tracker.tracking.tracker import DMB
from vot_workspace.demo import SCRIPTS, render
from vot_workspace.writer import Annotated


def colored() -> Iterator[Annotated]:
    """A red square that drifts over a dark ground: what the tiny network follows."""
    for index in range(6):
        mask = np.zeros((120, 160), np.bool_)
        mask[40:70, 50 + index : 80 + index] = True
        image = np.full((120, 160, 3), (20, 40, 30), np.uint8)
        image[mask] = (230, 30, 20)
        yield Annotated(image, mask)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.of(colored(), "square")


def test_the_clip_is_what_was_drawn() -> None:
    clip = Clip.of(render("cat", SCRIPTS["cat"], 6, (160, 120)), "cat")
    first = next(render("cat", SCRIPTS["cat"], 6, (160, 120)))
    assert len(clip.frames) == 6 and np.array_equal(clip.mask, first.mask)
    assert np.abs(clip.image(0).astype(float) - first.image).mean() < 6
    x, y, width, height = (int(value) for value in clip.box)
    assert clip.mask[y : y + height, x : x + width].sum() == clip.mask.sum()
    with pytest.raises(ValueError, match="no frames"):
        Clip.of(iter(()), "none")


def test_an_inner_stage_stops_the_outer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    watch = Stopwatch()
    with watch.stage("outer"), watch.stage("inner"):  # from 0 and 1, to 3 and 2
        pass
    assert watch.seconds == {"outer": 2.0, "inner": 1.0}


def test_functions_are_timed_for_a_while_only() -> None:
    class Counter:
        def count(self, step: int) -> int:
            return step + 1

    one, watch = Counter(), Stopwatch()
    with watch.on(one, "count", "counting"):
        assert one.count(step=1) == 2
    assert "counting" in watch.seconds and "count" not in vars(one) and one.count(2) == 3
    with watch.on(Counter, "count", "counting"):
        assert one.count(3) == 4
    assert Counter.count.__name__ == "count" and not hasattr(Counter.count, "__wrapped__")


def test_every_variant_sees_every_frame(clip: Clip) -> None:
    engine = tiny_engine()
    trackers = {"dmb": DMB(engine, CONFIG), "plain": DMB(PlainEngine(engine), plain_config(CONFIG))}
    times = measure(trackers, clip, first=2, from_box=False)
    for name, dmb in trackers.items():
        assert dmb.frame_index == 5 and len(times[name].frames) == 4 and min(times[name].frames) > 0
        assert times[name].line().endswith(f"initialize {times[name].initialize:.0f} ms")
    assert trackers["plain"].appearance.frames[-1] == 5, "the plain variant remembers every frame"


def test_all_stages_are_met(clip: Clip) -> None:
    dmb = DMB(tiny_engine(), plain_config(CONFIG))
    stages = breakdown(dmb, clip, first=1, from_box=True)
    assert tuple(stages.frames) == tuple(stages.initialize) == STAGES
    assert {len(values) for values in stages.frames.values()} == {5}
    never = ["memory read"]  # the tiny network reads its own way
    assert [name for name in STAGES if not min(stages.frames[name]) > 0] == never
    assert [name for name in STAGES if not stages.initialize[name] > 0] == never
    assert [line.split("  ")[1].strip() for line in stages.lines()] == list(STAGES)
    assert "segment" not in vars(dmb.engine), "nothing is timed afterward"
    watch, rows = Stopwatch(), torch.rand(1, 4, 3)
    with staged(dmb, watch):
        tracker.network.model.read_memory(torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2), rows, rows)
    assert watch.seconds["memory read"] > 0


def test_the_plain_variant_answers_the_same() -> None:
    torch.manual_seed(0)
    network = DMBNet().eval().to(memory_format=torch.channels_last)
    ours = Engine(network, precision="float32")
    plain = PlainEngine(ours)
    crop = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    answers = []
    for engine in (ours, plain):
        pixels = engine.normalize(crop)
        assert pixels.is_contiguous() == (engine is plain)
        query = engine.encode_query(pixels)
        keys, values = engine.encode_memory(pixels, np.ones((64, 64), np.float32))
        with torch.inference_mode():
            answers.append(engine.model.decode_coarse(query, keys, values, torch.zeros(1, 1, 4, 4))[0])
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-3, atol=1e-3)
    assert ours.model is network and plain.model is not network


def test_what_is_refined_in_a_window_is_what_the_plain_variant_refines_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Off the center, so that rows and columns, or a window and its place, are not mistaken for one another."""
    torch.manual_seed(0)
    ours = Engine(DMBNet().eval().to(memory_format=torch.channels_last), precision="float32")
    crop = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3)).astype(np.uint8)
    query, zeros = ours.encode_query(ours.normalize(crop)), np.zeros((8, 8), np.float32)
    keys, values = ours.encode_memory(ours.normalize(crop), np.ones((128, 128), np.float32))
    everywhere = PlainEngine(ours).segment(query, keys, values, zeros)
    monkeypatch.setattr(tracker.engine.engine, "refinement_window", lambda probability: None)
    coarse = ours.segment(query, keys, values, zeros)
    window = Window(2, 7, 9, 8)  # top, left, height, width in cells of 8 pixels
    monkeypatch.setattr(tracker.engine.engine, "refinement_window", lambda probability: window)
    found = ours.segment(query, keys, values, zeros)
    seen = np.zeros_like(found, np.bool_)
    seen[16:88, 56:120] = True
    inner = np.zeros_like(seen)
    inner[16 + 24 : 88 - 24, 56 + 24 : 120 - 24] = True  # further than the refinement sees from its edge
    assert np.abs(everywhere - coarse)[inner].max() > 0.01, "the refinement changes something"
    np.testing.assert_allclose(found[inner], everywhere[inner], atol=1e-3)
    np.testing.assert_array_equal(found[~seen], coarse[~seen])


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell it")
def test_memory_is_that_of_this_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`getrusage` of a program that was started by a larger one tells the larger one's."""
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=10**12))
    assert 50 < peak_memory(torch.device("cpu"))["host"] < 10**6
