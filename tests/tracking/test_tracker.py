"""The tracker on a generated video: it follows, it never answers nothing, it repeats exactly.

The network's weights are random here, so the decoder is replaced by one that sees color; encoders, both memories,
the gate and all geometry are the real ones.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tracking.scenes import CONFIG, PATH, POLYGON, ColorEngine, follow, scene
from tracker import DMB
from tracker.checkpoints.weights import WeightsError
from tracker.config import (
    AppearanceConfig,
    BoxFitConfig,
    GateConfig,
    PositionConfig,
)
from tracker.data.images import ImageError
from tracker.geometry.region import RegionError, polygon_area, polygon_from_box
from tracker.memory.quality import QualityGate
from tracker.metrics.masks import overlap
from tracker.network import DMBNet, QueryFeatures
from tracker.settings import Settings
from tracker.tracking import localization
from tracker.tracking.shape import Shape
from tracker.tracking.tracker import StateError


@pytest.mark.parametrize("kind", ["mask", "box", "polygon"])
def test_follows_a_moving_target(engine: ColorEngine, kind: str) -> None:
    region: object = None
    if kind == "box":
        region = (58.0, 50.0, 45.0, 40.0)
    elif kind == "polygon":
        region = POLYGON
    results = follow(DMB(engine, CONFIG), region)
    for place, result in zip(PATH[1:], results[1:], strict=True):
        _, label = scene(*place)
        assert result.segmented and overlap(result.mask, label) > 0.8
        assert result.polygon.mean(0) == pytest.approx(place[:2], abs=3)
        assert np.hypot(result.center[0] - place[0], result.center[1] - place[1]) < 12
        assert 0.3 < result.confidence <= 1
    assert [result.frame_index for result in results] == list(range(8))


@pytest.mark.parametrize("masks", [True, False])
def test_every_frame_is_segmented_and_eq_11_decides_only_what_is_remembered(engine: ColorEngine, masks: bool) -> None:
    dmb = DMB(engine, replace(CONFIG, gate=GateConfig(rule="paper", lost_above=100.0)))
    stored = []
    image = scene(*PATH[0])[0]
    dmb.initialize(image, POLYGON, masks=masks)
    results = []
    for place in PATH[1:]:
        results.append(dmb.track(scene(*place)[0]))
        stored.append(len(dmb.spatial.samples.stored()[0]))
    assert all(result.segmented for result in results)
    decisions = [result.decision for result in results if result.decision is not None]
    assert not all(decision.remember for decision in decisions) and all(decision.found for decision in decisions)
    for result, decision in zip(results, decisions, strict=True):
        assert result.remembered == decision.remember
    assert np.array_equal(np.diff(stored), np.ones(len(stored) - 1)), "the filter learns from every one of them"


def test_a_lost_frame_moves_the_target_and_nothing_is_learned_from_it(
    engine: ColorEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uncertainties = iter([1.0, 6.0, 0.9, 0.9])  # found, lost, found
    judge = QualityGate.judge
    monkeypatch.setattr(QualityGate, "judge", lambda gate, peak: judge(gate, 1.0 / next(uncertainties)))
    dmb = DMB(engine, replace(CONFIG, gate=GateConfig(rule="paper")))
    image = scene(*PATH[0])[0]
    dmb.initialize(image, POLYGON, masks=False)
    dmb.track(image)

    def known() -> tuple[object, ...]:
        return dmb.size, dmb.angle, dmb.appearance.frames, len(dmb.spatial.samples.stored()[0])

    before, trusted = known(), dmb.trusted_shape
    lost = dmb.track(scene(PATH[0][0] + 6, *PATH[0][1:])[0])
    assert lost.segmented and lost.confidence < 0.25 and lost.decision is not None and not lost.decision.found
    assert known() == before and dmb.trusted_shape is trusted
    assert dmb.center[0] > PATH[0][0] + 2
    dmb.save(tmp_path / "state.safetensors")
    for follower in (DMB.load(tmp_path / "state.safetensors", engine), dmb):
        assert overlap(follower.track(image).mask, scene(*PATH[0])[1]) > 0.8
        assert len(follower.spatial.samples.stored()[0]) == before[3] + 1  # type: ignore[operator]


def test_the_aspect_ratio_stays_at_the_smallest_size(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    result = dmb.initialize(*scene(*PATH[0]))
    dmb.size = (4.2, 16.8)
    small = Shape(result.mask, result.polygon.mean(0) + 0.1 * (result.polygon - result.polygon.mean(0)))
    for _ in range(10):
        dmb._follow_size(small)
    assert dmb.size == pytest.approx((4.0, 16.0))


def test_a_second_crop_puts_the_target_in_the_middle(engine: ColorEngine) -> None:
    seen: list[tuple[float, np.ndarray]] = []
    segment = engine.segment

    def spy(features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: np.ndarray) -> np.ndarray:
        probability = segment(features, keys, values, spatial_map)
        rows, columns = np.nonzero(probability > 0.5)
        seen.append((float(np.hypot(rows.mean() - 63.5, columns.mean() - 63.5)), spatial_map))
        return probability

    engine.segment = spy  # type: ignore[method-assign]
    distances = []
    for recenter in (False, True):
        seen.clear()
        crop = replace(CONFIG.crop, recenter=recenter, recenter_beyond=0.0)
        for place, result in zip(PATH, follow(DMB(engine, replace(CONFIG, crop=crop))), strict=True):
            assert overlap(result.mask, scene(*place)[1]) > 0.8
        distances.append(np.mean([distance for distance, _ in seen]))
    assert distances[1] < 0.8 * distances[0]
    for _, spatial_map in seen:
        assert set(np.unravel_index(spatial_map.argmin(), spatial_map.shape)) <= {3, 4}


def test_for_boxes_the_second_crop_is_closer_and_its_map_keeps_the_unit(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    dmb.initialize(scene(*PATH[0])[0], POLYGON, masks=False)
    search, closer = dmb.localizer.region(dmb.center, dmb.size), dmb._segment_crop(dmb.center)
    assert search.side / closer.side == pytest.approx(CONFIG.crop.factor / CONFIG.crop.box_factor)
    target = np.sqrt(np.prod(dmb.size))
    for crop in (search, closer):
        spatial_map = dmb.maps.make(crop, dmb.center, dmb.size)
        edge = 0.5 * crop.side - 0.5 * crop.side / (crop.size // 16)  # of the outermost cell's center, image pixels
        assert spatial_map[0, 0] == pytest.approx(np.sqrt(2) * edge / (CONFIG.crop.factor * target), rel=1e-4)


@pytest.mark.parametrize("region", [(59.0, 57.0, 46.0, 28.0), cv2.boxPoints(((82, 71), (45, 28), 0))])
def test_answers_are_framed_as_the_first_region_was(engine: ColorEngine, region: object) -> None:
    """The given region is larger than the target and off to one side, and so are all answers."""
    dmb = DMB(engine, CONFIG)
    image = scene(80, 70, 0)[0]
    first = dmb.initialize(image, region, masks=False)
    moved = dmb.track(scene(86, 73, 0)[0])
    assert moved.segmented
    if isinstance(region, tuple):
        assert first.box == pytest.approx(region, abs=0.01)
        assert moved.box == pytest.approx((region[0] + 6, region[1] + 3, *region[2:]), abs=2.0)
    else:
        given = np.asarray(region, np.float64)
        assert polygon_area(moved.polygon) == pytest.approx(polygon_area(given), rel=0.12)
        for result, shift in ((first, (0.0, 0.0)), (moved, (6.0, 3.0))):
            assert result.polygon.mean(0) == pytest.approx(given.mean(0) + np.array(shift), abs=2.5)


def test_the_filter_alone_moves_the_given_region_and_looks_at_no_mask(engine: ColorEngine) -> None:
    engine.segment = None  # type: ignore[assignment,method-assign]
    dmb = DMB(engine, replace(CONFIG, mask=replace(CONFIG.mask, enabled=False)))
    results = follow(dmb, POLYGON, masks=False)
    assert results[0].polygon == pytest.approx(np.asarray(POLYGON, np.float64))
    for place, result in zip(PATH[1:], results[1:], strict=True):
        assert not result.segmented
        assert result.polygon.mean(0) == pytest.approx(place[:2], abs=12)
        assert result.polygon - result.polygon.mean(0) == pytest.approx(POLYGON - POLYGON.mean(0), abs=1e-4)


def test_repetitions_are_identical_to_the_bit(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    first, second = follow(dmb), follow(dmb)
    third = follow(DMB(engine, CONFIG))
    for one, two, three in zip(first, second, third, strict=True):
        assert one.polygon.tobytes() == two.polygon.tobytes() == three.polygon.tobytes()
        assert np.array_equal(one.mask, two.mask) and np.array_equal(one.mask, three.mask)
        assert one.confidence == two.confidence == three.confidence


@pytest.mark.parametrize(
    ("memory", "encoded"),
    [
        (AppearanceConfig(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (AppearanceConfig(last_frame=False), [0, 5, 10]),
        (AppearanceConfig(sampling_interval=0, last_frame=False), [0]),
        (AppearanceConfig(max_frames=1), [0]),
    ],
)
def test_a_frame_is_encoded_for_the_memory_only_where_it_will_be_read(
    engine: ColorEngine, memory: AppearanceConfig, encoded: list[int]
) -> None:
    encode, calls = engine.encode_memory, list[int]()
    dmb = DMB(engine, replace(CONFIG, appearance=memory))

    def spy(image: Tensor, mask: np.ndarray) -> tuple[Tensor, Tensor]:
        calls.append(max(dmb.frame_index, 0))
        return encode(image, mask)

    engine.encode_memory = spy  # type: ignore[method-assign]
    image, mask = scene(*PATH[0])
    dmb.initialize(image, mask)
    for _ in range(11):
        assert dmb.track(image).segmented
    assert calls == encoded
    engine.sees = False
    for _ in range(5):
        assert not dmb.track(image).segmented
    assert calls == encoded, "what was not segmented is not encoded"


def test_never_empty_never_infinite_on_black_and_resized_frames(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    follow(dmb)
    for shape in ((180, 240, 3), (90, 120, 3), (7, 5, 3), (180, 240)):
        result = dmb.track(np.zeros(shape, np.uint8))
        assert result.mask.shape == shape[:2]
        assert result.mask.any() and np.isfinite(result.polygon).all()
        assert result.box[2] >= 2 and result.box[3] >= 2


def test_the_size_follows_the_target_by_a_bounded_factor(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    image, mask = scene(100, 90)
    dmb.initialize(image, mask)
    sizes = [dmb.size[0]]
    for width in (46, 52, 52, 52, 52, 52):
        dmb.track(scene(100, 90, width=width)[0])
        sizes.append(dmb.size[0])
    steps = np.array(sizes[1:]) / np.array(sizes[:-1])
    assert (steps <= CONFIG.crop.max_size_change_mask + 1e-9).all()
    assert sizes[-1] / sizes[0] == pytest.approx(1.3, abs=0.08)
    assert dmb.size[0] / dmb.size[1] == pytest.approx(dmb.initial_size[0] / dmb.initial_size[1])


def test_the_gate_keeps_bad_frames_out_of_both_memories(engine: ColorEngine) -> None:
    strict = replace(CONFIG, gate=GateConfig(rule="relative", trusted_frames=0, found_below=1e-9))
    dmb = DMB(engine, strict)
    dmb.initialize(*scene(*PATH[0]))
    stored = len(dmb.spatial.samples.stored()[0])
    dmb.track(scene(*PATH[1])[0])  # nothing accepted yet: counts as certain
    assert len(dmb.spatial.samples.stored()[0]) == stored + 1
    second = dmb.track(scene(*PATH[2])[0])
    assert second.decision is not None and not second.decision.found
    assert len(dmb.spatial.samples.stored()[0]) == stored + 1


def test_without_a_filter_the_target_is_sought_where_it_was(engine: ColorEngine) -> None:
    dmb = DMB(engine, replace(CONFIG, filter=replace(CONFIG.filter, enabled=False)))
    results = follow(dmb)
    for before, now, place in zip(results, results[1:], PATH[1:], strict=False):
        assert now.decision is not None and now.decision.reason == "no filter"
        assert now.center == pytest.approx(before.polygon.mean(0), abs=1.0)
        assert overlap(now.mask, scene(*place)[1]) > 0.8
    assert len(dmb.spatial.filter) == 0, "no filter is learned"


def test_the_masks_center_corrects_the_position_only_if_it_may(
    engine: ColorEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = scene(*PATH[0])
    x, y = PATH[0][:2]
    monkeypatch.setattr(localization, "from_cells", lambda crop, cell, stride: (x + 6.0, y))
    for chosen, masks, away in (
        (None, False, 6.0),
        (None, True, 0.0),
        (True, False, 0.0),
        (True, True, 0.0),
        (False, False, 6.0),
        (False, True, 6.0),
    ):
        dmb = DMB(engine, Settings(correct_center=chosen).tracker_config(CONFIG))
        dmb.initialize(image, POLYGON, masks=masks)
        assert dmb.track(image).segmented
        assert dmb.center[0] == pytest.approx(x + away, abs=1.0)


def test_for_boxes_the_search_region_grows_less_than_the_target(engine: ColorEngine) -> None:
    """With a region of its own; one that is segmented itself keeps the target's size in it."""
    image, _ = scene(*PATH[0])
    for masks, recenter, expected in ((True, True, 1.5), (False, True, math.sqrt(1.5)), (False, False, 1.5)):
        dmb = DMB(engine, replace(CONFIG, crop=replace(CONFIG.crop, recenter=recenter)))
        dmb.initialize(image, POLYGON, masks=masks)
        first = dmb.localizer.region(dmb.center, dmb.size).side
        dmb.size = (1.5 * dmb.size[0], 1.5 * dmb.size[1])
        searched = dmb.localizer.locate(image, dmb.center, dmb._search_size()).crop
        assert searched.side == pytest.approx(expected * first, rel=1e-6), (masks, recenter)


@pytest.mark.parametrize("masks", [True, False])
def test_upright_boxes_are_answered_where_they_are_asked_for(engine: ColorEngine, masks: bool) -> None:
    dmb = DMB(engine, replace(CONFIG, box_fit=BoxFitConfig(upright=True)))
    answers = [dmb.initialize(scene(*PATH[0])[0], POLYGON, masks=masks), dmb.track(scene(*PATH[1])[0])]
    for answer in answers:
        assert answer.polygon == pytest.approx(polygon_from_box(answer.box))


def test_without_positional_encoding_the_decoder_sees_zeros(engine: ColorEngine) -> None:
    seen = []
    segment = engine.segment
    engine.segment = lambda *arguments: seen.append(arguments[3]) or segment(*arguments)  # type: ignore
    follow(DMB(engine, replace(CONFIG, position=PositionConfig(encoding="none"))))
    assert len(seen) >= len(PATH) - 1 and not np.any(seen)


@pytest.mark.parametrize(
    ("position", "named"),
    [(PositionConfig(encoding="concat"), "DMB_POSITION"), (PositionConfig(spatial_map="response"), "DMB_SPATIAL_MAP")],
)
def test_a_map_that_the_weights_do_not_know_is_refused(
    engine: ColorEngine, position: PositionConfig, named: str
) -> None:
    with pytest.raises(WeightsError, match=f"{named} is .* trained with"):
        DMB(engine, replace(CONFIG, position=position))


def test_weights_of_the_response_see_the_filters_scores_where_the_peak_is() -> None:
    torch.manual_seed(0)
    engine = ColorEngine(DMBNet(spatial_map="response").eval().requires_grad_(False), precision="float32")
    seen: list[np.ndarray] = []
    segment = engine.segment
    engine.segment = lambda *arguments: seen.append(arguments[3]) or segment(*arguments)  # type: ignore
    dmb = DMB(engine, CONFIG)
    dmb.initialize(scene(*PATH[0])[0], POLYGON)
    for place in PATH[1:]:
        located = dmb.localizer.locate(scene(*place)[0], dmb.center, dmb.size)
        assert located.where is not None
        seen.clear()
        dmb.track(scene(*place)[0])
        # the crop is centered at the peak, so that the response is highest in the middle of its grid
        row, column = np.unravel_index(seen[0].argmax(), seen[0].shape)
        assert {int(row), int(column)} <= {3, 4}
        assert 0.5 * located.where.peak < seen[0].max() <= located.where.peak + 1e-5


def test_order_and_images_are_checked(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    image, mask = scene(*PATH[0])
    with pytest.raises(StateError, match="initialize"):
        dmb.track(image)
    with pytest.raises(RegionError, match="outside the image"):
        dmb.initialize(image, (500, 500, 10, 10))
    for bad, sentence in (
        ("picture.jpg", "numpy array"),
        (np.zeros((10, 10, 4), np.uint8), "4 channels"),
        (np.zeros((0, 10, 3), np.uint8), "shape"),
    ):
        with pytest.raises(ImageError, match=sentence):
            dmb.initialize(bad, mask)  # type: ignore[arg-type]


def test_a_failed_initialization_leaves_the_old_target_alone(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    follow(dmb)
    with pytest.raises(RegionError):
        dmb.initialize(scene(*PATH[0])[0], (0, 0, 0, 0))
    assert dmb.track(scene(120, 95, 34)[0]).segmented
