"""Where the target is expected: the search region, and the Spatial Memory Network that reads it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tracker.config import TrackerConfig
from tracker.engine.engine import Engine
from tracker.geometry.crop import Crop, search_crop
from tracker.memory.spatial import FilterResponse, SpatialMemory
from tracker.network import QueryFeatures
from tracker.network.model import STRIDE
from tracker.tracking.augmentation import augment_initial

Point = tuple[float, float]

BATCH = 4  # crops encoded at once in the first frame: more take more memory, and no less time


def from_cells(crop: Crop, cell: Point, stride: float = STRIDE) -> Point:
    """Image pixel x, y of a cell of the crop's grid, whose cells have a side of `stride` crop pixels."""
    x, y = crop.to_image(np.array([[(cell[0] + 0.5) * stride - 0.5, (cell[1] + 0.5) * stride - 0.5]]))[0]
    return float(x), float(y)


def to_cells(crop: Crop, point: Point, stride: float = STRIDE) -> Point:
    """Cell x, y of the crop's grid at an image pixel."""
    x, y = (crop.to_crop(np.array([point]))[0] + 0.5) / stride - 0.5
    return float(x), float(y)


def in_cells(crop: Crop, size: Point, stride: float = STRIDE) -> Point:
    """Width and height in cells of the crop's grid."""
    return size[0] * crop.scale / stride, size[1] * crop.scale / stride


@dataclass(frozen=True)
class SearchResult:
    """What one search region showed.

    Attributes:
        crop: the search region.
        pixels: its pixels, normalized, 1 x 3 x S x S.
        query: its query features, where the region itself may be segmented; otherwise None.
        features: what the filter saw, 1 x 1024 x g x g; None without a filter.
        where: what the filter answered; None without a filter.
        peak: x, y where the filter expects the target, image pixels; without a filter where the target was.
    """

    crop: Crop
    pixels: Tensor
    query: QueryFeatures | None
    features: Tensor | None
    where: FilterResponse | None
    peak: Point

    @property
    def score(self) -> float | None:
        """The height of the filter's peak; None without a filter."""
        return None if self.where is None else self.where.peak

    def response(self, crop: Crop) -> NDArray[np.float32]:
        """The filter's response on the grid S/16 x S/16 of a crop; zero outside the search region.

        Raises:
            ValueError: there was no filter.
        """
        if self.features is None or self.where is None:
            raise ValueError("there is no response without a filter")
        cells, stride = np.arange(crop.size // STRIDE), self.crop.size / self.features.shape[-1]
        corner = to_cells(self.crop, from_cells(crop, (0.0, 0.0)), stride)
        step = self.crop.scale / crop.scale * STRIDE / stride
        return self.where.sample(corner[0] + step * cells, corner[1] + step * cells)


class Localizer:
    """Searches for the target around where it was, and learns from where it is found.

    Args:
        engine: the network.
        config: the tracker's parameters.
    """

    def __init__(self, engine: Engine, config: TrackerConfig) -> None:
        self.engine, self.config = engine, config
        self.cells = config.crop.size // STRIDE  # of the filter's grid, a side
        self.memory = SpatialMemory(config.filter)
        self.lost_frames = 0  # in a row
        self.shared = False  # the search region is the crop that is segmented

    def region(self, center: Point, size: Point) -> Crop:
        """The search region around a target of `size` (width, height) at `center`, image pixels."""
        config = self.config.crop
        if self.shared:
            return search_crop(center, size, config.segment_factor, config.segment_size)
        return search_crop(center, size, config.factor, config.size)

    def start(self, image: NDArray[np.uint8], center: Point, size: Point, *, shared: bool = False) -> None:
        """Forget everything and learn a filter from the first frame.

        Args:
            image: H x W x 3.
            center: x, y of the target.
            size: its width and height.
            shared: the search region is the crop that is segmented for masks, so that it is encoded only once.
        """
        self.lost_frames, self.shared = 0, shared
        if not self.config.filter.enabled:
            return
        crop = self.region(center, size)
        crops, centers = augment_initial(image, crop)
        parts = self.engine.normalize(crops).split(BATCH)
        features = torch.cat([self._on_grid(self.engine.filter_features(part)) for part in parts])
        stride = self._stride(crop)
        self.memory.initialize(features, (np.asarray(centers) + 0.5) / stride - 0.5, in_cells(crop, size, stride))

    def _on_grid(self, features: Tensor) -> Tensor:
        """Features N x C x h x h on the filter's grid N x C x g x g: as many cells a side for every search region.

        So kernel and label keep their size on the target, more or less, whatever resolution the mask needs.
        """
        if features.shape[-1] == self.cells:
            return features
        return functional.interpolate(features, size=(self.cells, self.cells), mode="bilinear", antialias=True)

    def _stride(self, crop: Crop) -> float:
        """Crop pixels from one cell of the filter's grid to the next."""
        return crop.size / self.cells

    def locate(self, image: NDArray[np.uint8], center: Point, size: Point, *, around: bool = True) -> SearchResult:
        """Find the target of `size` that was last at `center`; the gate judges what is found.

        After some lost frames the regions `around` are searched too, where another crop may be segmented (`recenter`):
        a target that was hidden, or outside the picture, comes back elsewhere.
        """
        crop = self.region(center, size)
        pixels = self.engine.pixels(image, crop)
        recenter = self.config.crop.recenter
        query = None if recenter and not self.shared else self.engine.encode_query(pixels)
        if not self.config.filter.enabled:
            return SearchResult(crop, pixels, query, None, None, center)
        seen = self.engine.filter_features(pixels) if query is None else query.stride16.float()
        features = self._on_grid(seen)
        where = self.memory.localize(features)
        patience = self.config.crop.search_around_after if around else 0
        if recenter and patience and self.lost_frames >= patience and self._lost(where):
            for other in self._regions_around(crop, size, image.shape[:2]):
                other_pixels = self.engine.pixels(image, other)
                other_features = self._on_grid(self.engine.filter_features(other_pixels))
                found = self.memory.localize(other_features)
                if found.peak > where.peak and not self._lost(found):
                    crop, pixels, query, features, where = other, other_pixels, None, other_features, found
        self.lost_frames = self.lost_frames + 1 if self._lost(where) else 0
        # a peak that is none says nothing of the place
        peak = from_cells(crop, where.position, self._stride(crop)) if where.peak > 0.0 else center
        return SearchResult(crop, pixels, query, features, where, peak)

    def _lost(self, where: FilterResponse) -> bool:
        return not where.peak * self.config.gate.lost_above >= 1.0  # a peak that is not a number is lost too

    def _regions_around(self, crop: Crop, size: Point, image_shape: tuple[int, ...]) -> list[Crop]:
        """The up to eight neighbors of a search region whose centers are inside the image."""
        step = self.config.crop.search_around_step * crop.side
        steps = (-step, 0.0, step)
        centers = [(crop.center[0] + dx, crop.center[1] + dy) for dx in steps for dy in steps if dx or dy]
        height, width = image_shape
        return [self.region((x, y), size) for x, y in centers if 0 <= x < width and 0 <= y < height]

    def learn(self, located: SearchResult, center: Point, size: Point, frame_index: int, *, found: bool) -> None:
        """Let the filter learn from a frame.

        Args:
            located: what its search region showed.
            center: x, y of the target.
            size: its width and height.
            frame_index: of the frame.
            found: the target was found, so that the frame is remembered; otherwise the filter at most learns from the
                frames that it has.
        """
        if located.features is None or located.where is None:
            return
        hard_negative = located.where.hard_negative
        if found:
            crop, stride = located.crop, self._stride(located.crop)
            cells, cell_size = to_cells(crop, center, stride), in_cells(crop, size, stride)
            self.memory.remember(located.features, cells, cell_size, hard_negative=hard_negative)
        self.memory.maybe_update(frame_index, hard_negative)
