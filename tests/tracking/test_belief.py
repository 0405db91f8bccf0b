"""Which masks are believed, and what becomes of the others, in the tracker on a generated video."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from torch import Tensor

from tests.tracking.scenes import CONFIG, PATH, ColorEngine, follow, scene
from tracker import DMB
from tracker.metrics.masks import overlap
from tracker.network import QueryFeatures
from tracker.tracking import localization
from tracker.tracking.tracker import FAILED_CONFIDENCE


@pytest.mark.parametrize(("width", "believed"), [(40, True), (17, False)])
def test_a_mask_is_believed_only_where_it_is_about_as_the_target_was(
    engine: ColorEngine, width: int, believed: bool
) -> None:
    """A target of which only a fragment is to be seen, from one frame to the next."""
    dmb = DMB(engine, CONFIG)
    first = dmb.initialize(scene(100, 90)[0], cv2.boxPoints(((100, 90), (40, 24), 20)), masks=False)
    result = dmb.track(scene(100, 90, width=width)[0])
    assert result.segmented == believed
    if not believed:
        assert result.confidence <= FAILED_CONFIDENCE
        sides = [np.linalg.norm(np.diff(one.polygon[:3], axis=0), axis=1) for one in (first, result)]
        assert sides[0] == pytest.approx(sides[1], abs=1e-6), "the last shape is answered, moved"
        assert dmb.appearance.frames == [0], "and the other one is not remembered"


def test_a_mask_beside_the_peak_is_not_believed(engine: ColorEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = scene(100, 90)
    for away, believed in ((8.0, True), (24.0, False)):
        dmb = DMB(engine, CONFIG)
        dmb.initialize(image, cv2.boxPoints(((100, 90), (40, 24), 20)), masks=False)
        monkeypatch.setattr(localization, "from_cells", lambda crop, cell, stride, away=away: (100.0 + away, 90.0))
        result = dmb.track(image)
        assert result.segmented == believed, away
        assert dmb.center[0] == pytest.approx(100 + away, abs=0.1), "the filter keeps its own place"


def test_a_target_that_crept_out_of_sight_comes_back_whole(
    engine: ColorEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    dmb = DMB(engine, CONFIG)
    first = dmb.initialize(*scene(*PATH[0]))
    image = scene(*PATH[0])[0]
    engine.sees = False
    peaks = iter([(80.4, 70.0), (80.8, 70.0), (81.2, 70.0), (2.0, 70.0), (80.0, 70.0)])
    monkeypatch.setattr(localization, "from_cells", lambda crop, cell, stride: next(peaks))
    results = [dmb.track(image) for _ in range(5)]
    assert not any(result.segmented for result in results)
    assert abs(np.flatnonzero(results[2].mask.any(0)).mean() - results[2].polygon[:, 0].mean()) < 1.5
    assert overlap(results[4].mask, first.mask) > 0.9


@pytest.mark.parametrize(("width", "masks", "stays"), [(6, True, True), (40, True, False), (6, False, False)])
def test_a_peak_that_jumps_to_something_else_does_not_take_the_mask_along(
    engine: ColorEngine, monkeypatch: pytest.MonkeyPatch, width: int, masks: bool, stays: bool
) -> None:
    """The filter jumps to another red object: a smaller one is not believed, one like the target is.

    Where only boxes are wanted the filter is followed whatever it finds.
    """
    image, mask = scene(60, 90)
    other, other_mask = scene(130, 90, width=width)
    image[other_mask] = other[other_mask]
    dmb = DMB(engine, CONFIG)
    dmb.initialize(image, cv2.boxPoints(((60, 90), (40, 24), 20)), masks=masks)
    monkeypatch.setattr(localization, "from_cells", lambda crop, cell, stride: (130.0, 90.0))
    result = dmb.track(image)
    assert result.segmented == (stays or width == 40)
    assert not result.segmented or overlap(result.mask, mask if stays else other_mask) > 0.8
    assert dmb.center[0] == pytest.approx(60 if stays else 130, abs=2)


@pytest.mark.parametrize(("width", "grows"), [(100, False), (46, True)])
def test_a_mask_that_leaks_into_a_larger_thing_neither_grows_nor_is_remembered(
    engine: ColorEngine, width: int, grows: bool
) -> None:
    dmb = DMB(engine, CONFIG)
    image, _ = scene(100, 90, 0, width)
    dmb.initialize(image, (80, 78, 40, 24))
    first = dmb.size[0]
    for _ in range(3):
        assert dmb.track(image).segmented
    assert (dmb.size[0] > 1.02 * first) == grows
    assert (max(dmb.appearance.frames) > 0) == grows


def test_an_object_beside_the_peak_is_neither_answered_nor_remembered(engine: ColorEngine) -> None:
    segment = engine.segment
    remembered: list[np.ndarray] = []

    def with_neighbor(features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: np.ndarray) -> np.ndarray:
        probability = segment(features, keys, values, spatial_map)
        probability[:30, :30] = 0.95
        return probability

    encode = engine.encode_memory

    def spy(image: Tensor, mask: np.ndarray) -> tuple[Tensor, Tensor]:
        remembered.append(mask)
        return encode(image, mask)

    engine.segment, engine.encode_memory = with_neighbor, spy  # type: ignore[method-assign]
    for place, result in zip(PATH, follow(DMB(engine, CONFIG)), strict=True):
        assert result.segmented and overlap(result.mask, scene(*place)[1]) > 0.8
    assert len(remembered) == len(PATH)
    assert all(mask[:25, :25].max() == 0 and mask.max() > 0.8 for mask in remembered)

    engine.sees = False
    dmb = DMB(engine, CONFIG)
    dmb.initialize(scene(*PATH[0])[0], scene(*PATH[0])[1])
    lost = dmb.track(scene(*PATH[1])[0])
    assert not lost.segmented
    assert overlap(lost.mask, scene(*PATH[1])[1]) > 0.3


def test_where_segmentation_fails_the_last_shape_moves_to_the_peak(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    seen = follow(dmb)[-1]
    engine.sees = False
    lost = dmb.track(scene(120, 95, 34)[0])
    assert not lost.segmented
    assert lost.confidence <= 0.2 < seen.confidence
    assert lost.polygon.mean(0) == pytest.approx(lost.center, abs=1e-6)
    assert np.allclose(lost.polygon - lost.polygon.mean(0), seen.polygon - seen.polygon.mean(0))
    assert lost.mask.sum() == pytest.approx(seen.mask.sum(), rel=0.02)
    frames = dmb.appearance.frames
    assert max(frames) == seen.frame_index  # what was not segmented is not remembered
