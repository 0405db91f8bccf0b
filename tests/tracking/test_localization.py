"""Cells, crops and image pixels fit together, and the filter's response is found again on any crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tracking.scenes import CONFIG, ColorEngine, scene
from tracker import DMB
from tracker.config import FilterConfig, PositionConfig, TrackerConfig
from tracker.engine.engine import Engine
from tracker.geometry.crop import Crop, search_crop
from tracker.memory.spatial import FilterResponse, score_offset
from tracker.network import DMBNet
from tracker.tracking.localization import Localizer, SearchResult, from_cells, in_cells, to_cells
from tracker.tracking.spatial_map import SpatialMaps

SEARCH = search_crop((100.0, 80.0), (40.0, 30.0), 4.5, 256)
CLOSER = search_crop((110.0, 70.0), (40.0, 30.0), 3.0, 128)


def located(column: int, row: int, upsampling: int = 16) -> SearchResult:
    """A response that is a Gaussian bump around one entry of the score map."""
    offset = score_offset(FilterConfig.kernel)
    axis = torch.arange(256, dtype=torch.float32)
    scores = torch.exp(-0.5 * ((axis[None] - column) ** 2 + (axis[:, None] - row) ** 2) / 20.0**2)
    position = (column / upsampling - offset, row / upsampling - offset)
    where = FilterResponse(position, 1.0, scores, 0.0, None, False, upsampling, offset)
    nothing = torch.empty(0)
    return SearchResult(SEARCH, nothing, None, torch.empty(1, 0, 16, 16), where, from_cells(SEARCH, position))


def test_cells_and_pixels_are_inverse() -> None:
    for crop in (SEARCH, CLOSER):
        for cell in ((0.0, 0.0), (3.7, 6.1), (-2.0, 20.0)):
            assert to_cells(crop, from_cells(crop, cell)) == pytest.approx(cell, abs=1e-6)
        middle = (crop.size // 16 - 1) / 2
        assert from_cells(crop, (middle, middle)) == pytest.approx(crop.center, abs=1e-6)
        one, next_one = from_cells(crop, (2.0, 2.0)), from_cells(crop, (3.0, 2.0))
        assert in_cells(crop, (next_one[0] - one[0], 0.0))[0] == pytest.approx(1.0)


@pytest.mark.parametrize(("column", "row"), [(120, 120), (140, 100)])
def test_the_response_lies_on_the_same_image_pixels_in_another_crop(column: int, row: int) -> None:
    seen = located(column, row)
    response = seen.response(CLOSER)
    assert response.shape == (8, 8)
    found = np.unravel_index(response.argmax(), response.shape)
    assert to_cells(CLOSER, seen.peak) == pytest.approx((float(found[1]), float(found[0])), abs=0.51)
    # the centroid of a Gaussian is its center, to a fraction of a cell, where the crop shows all of it
    weight = np.where(response > 0.05, response, 0.0)
    cells = np.arange(8)
    centroid = tuple(float((weight.sum(axis) * cells).sum() / weight.sum()) for axis in (0, 1))
    assert centroid == pytest.approx(to_cells(CLOSER, seen.peak), abs=0.35)


def test_there_is_no_response_without_a_filter() -> None:
    nothing = torch.empty(0)
    without = SearchResult(SEARCH, nothing, None, None, None, (0.0, 0.0))
    with pytest.raises(ValueError, match="without a filter"):
        without.response(CLOSER)


def test_maps_are_of_the_kind_that_the_weights_want() -> None:
    with torch.device("meta"):
        distance, response = DMBNet(), DMBNet(spatial_map="response")
    center, size = (104.0, 73.0), (40.0, 30.0)
    cell = to_cells(CLOSER, center)

    far = SpatialMaps(distance, TrackerConfig()).make(CLOSER, center, size)
    assert far[0, 0] == pytest.approx(np.hypot(*cell) / (4.5 * in_cells(CLOSER, (np.sqrt(1200.0), 0.0))[0]), rel=1e-4)

    label = SpatialMaps(response, TrackerConfig()).make(CLOSER, center, size)
    sigma = 0.25 * in_cells(CLOSER, (np.sqrt(1200.0), 0.0))[0]
    assert label[0, 0] == pytest.approx(np.exp(-0.5 * np.hypot(*cell) ** 2 / sigma**2), abs=1e-4)
    seen = located(120, 120)
    assert np.array_equal(
        SpatialMaps(response, TrackerConfig()).make(CLOSER, center, size, seen), seen.response(CLOSER)
    )

    none = TrackerConfig(position=PositionConfig(encoding="none"))
    assert not SpatialMaps(response, none).make(CLOSER, center, size, seen).any()


class Red:
    """In place of engine and filter: the peak is the share of red in the middle half of the region."""

    def __init__(self, localizer: Localizer) -> None:
        self.searched = 0
        localizer.engine = self  # type: ignore[assignment]
        localizer.memory = self  # type: ignore[assignment]

    def pixels(self, image: np.ndarray, crop: Crop) -> torch.Tensor:
        return torch.from_numpy(crop.extract(image)[None]).float()

    def filter_features(self, pixels: torch.Tensor) -> torch.Tensor:
        quarter = pixels.shape[1] // 4
        share = (pixels[:, quarter:-quarter, quarter:-quarter, 0] > 200).float().mean((1, 2))
        return share.reshape(1, 1, 1, 1).expand(1, 1, 16, 16)

    def localize(self, features: torch.Tensor) -> FilterResponse:
        self.searched += 1
        middle = (7.5, 7.5)
        return FilterResponse(
            middle, min(1.0, 8.0 * float(features.mean())), torch.zeros(1, 1), 0.0, None, False, 16, 0.5
        )


@pytest.mark.parametrize(("patience", "around", "found"), [(3, True, True), (0, True, False), (3, False, False)])
def test_a_target_that_comes_back_elsewhere_is_found_after_some_lost_frames(
    patience: int, around: bool, found: bool
) -> None:
    config = TrackerConfig()
    localizer = Localizer(
        Engine(DMBNet(), precision="float32"), replace(config, crop=replace(config.crop, search_around_after=patience))
    )
    red = Red(localizer)
    center, size = (100.0, 100.0), (30.0, 30.0)
    image = np.zeros((240, 320, 3), np.uint8)
    assert localizer.lost_frames == 0
    for index in range(4):  # nothing anywhere
        red.searched = 0
        located = localizer.locate(image, center, size, around=around)
        assert located.peak == pytest.approx(center, abs=1.0) and localizer.lost_frames == index + 1
        # its neighbors to the left and above have their centers inside the image too
        assert red.searched == (9 if patience and around and index >= patience else 1)
    image[85:115, 175:205] = (255, 0, 0)  # 90 pixels to the right: in the neighbor's middle, at the border of its own
    located = localizer.locate(image, center, size, around=around)
    assert (located.peak[0] == pytest.approx(100 + 0.6 * 4.5 * 30, abs=1.0)) == found
    assert (localizer.lost_frames == 0) == found
    assert located.score is not None and (1.0 / max(located.score, 1e-9) < 4.0) == found


def test_a_target_that_is_seen_is_sought_nowhere_else() -> None:
    localizer = Localizer(Engine(DMBNet(), precision="float32"), TrackerConfig())
    red = Red(localizer)
    image = np.zeros((240, 320, 3), np.uint8)
    image[85:115, 85:115] = (255, 0, 0)
    for _ in range(5):
        red.searched = 0
        localizer.locate(image, (100.0, 100.0), (30.0, 30.0))
        assert red.searched == 1 and localizer.lost_frames == 0


@pytest.mark.parametrize("side", [128, 192])
def test_a_region_of_any_resolution_finds_the_target_where_it_is(side: int) -> None:
    """The region for masks may have more pixels than the filter's grid is made for: 12 x 12 cells become 8 x 8."""
    torch.manual_seed(0)
    crop = replace(TrackerConfig().crop, size=128, segment_size=side, segment_factor=4.5)
    localizer = Localizer(Engine(DMBNet().eval(), precision="float32"), replace(TrackerConfig(), crop=crop))
    image, _ = scene(100, 90)
    localizer.start(image, (100.0, 90.0), (40.0, 24.0), shared=True)
    for x, y in ((100, 90), (108, 84)):
        located = localizer.locate(scene(x, y)[0], (100.0, 90.0), (40.0, 24.0), around=False)
        assert located.crop.size == side and located.query is not None
        assert located.features is not None and located.features.shape[-2:] == (8, 8)
        assert located.peak == pytest.approx((x, y), abs=4.0)  # random weights go most of the way


def test_for_masks_a_frame_is_encoded_once_unless_the_target_is_far_from_the_middle(engine: ColorEngine) -> None:
    dmb = DMB(engine, CONFIG)
    dmb.initialize(*scene(100, 90))
    encode, filtered, sizes = engine.encode_query, engine.filter_features, list[int]()
    engine.encode_query = lambda pixels: sizes.append(pixels.shape[-1]) or encode(pixels)  # type: ignore
    engine.filter_features = lambda pixels: sizes.append(0) or filtered(pixels)  # type: ignore
    for x, passes in ((103, 1), (128, 2)):
        sizes.clear()
        assert dmb.track(scene(x, 90)[0]).segmented
        assert sizes == [CONFIG.crop.segment_size] * passes
