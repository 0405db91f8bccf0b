"""DMB: one target through one video. The path of a frame, top to bottom, is `DMB.track`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tracker.box2seg import pseudo_mask
from tracker.config import TrackerConfig
from tracker.engine import Engine
from tracker.errors import UserError
from tracker.geometry.crop import Crop, search_crop
from tracker.geometry.region import (
    ParsedRegion,
    box_from_mask,
    box_window,
    clean_mask,
    edge_angle,
    largest_gap,
    parse_region,
    polygon_from_box,
)
from tracker.geometry.rotated_box import fit_rotated_box
from tracker.image import check_image
from tracker.localisation import Localiser, Located, Point
from tracker.memory.appearance import AppearanceMemory
from tracker.memory.quality import Decision
from tracker.network import DMBNet, QueryFeatures
from tracker.positions import SpatialMaps
from tracker.shape import Shape, polygon_area
from tracker.view import View

SOFT_BORDER = 9  # crop pixels; side of the square by which the answered mask is widened before it is remembered
FAILED_CONFIDENCE = 0.2  # upper bound of the confidence where the answer is only the last shape, moved


class StateError(UserError):
    """`track` was called before `initialize`."""


@dataclass(frozen=True)
class Result:
    """The answer to one frame.

    Attributes:
        mask: H x W bool, the target; never empty.
        polygon: 4 x 2, the rotated box around it: x, y of pixel centres, clockwise from top-left.
        box: x, y, w, h of the axis-aligned box of the mask.
        confidence: 0 (lost) to 1 (certain).
        frame_index: 0 for the first frame.
        segmented: the mask was segmented in this frame; otherwise it is the last one, moved.
        decision: what the quality gate decided; None in the first frame.
        centre: x, y where the target was expected: the filter's peak, or where it was if a far peak was not believed.
        remembered: this frame went into the appearance memory.
    """

    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64]
    box: tuple[float, float, float, float]
    confidence: float
    frame_index: int
    segmented: bool
    decision: Decision | None
    centre: Point
    remembered: bool


class DMB:
    """The tracker. One instance follows one target; `initialize` may be called any number of times.

    Args:
        model: the network, or an engine that already wraps it (shared between trackers).
        config: parameters; default: those that suit the network, see `TrackerConfig.of`.

    Raises:
        WeightsError: the parameters ask for a spatial map that the network was not trained with.
    """

    def __init__(self, model: DMBNet | Engine, config: TrackerConfig | None = None) -> None:
        self.engine = model if isinstance(model, Engine) else Engine(model)
        self.config = config or TrackerConfig.of(self.engine.model.architecture.model)
        self.appearance = AppearanceMemory(self.config.appearance)
        self.localiser = Localiser(self.engine, self.config)
        self.maps = SpatialMaps(self.engine.model, self.config)
        self.frame_index = -1
        self.from_mask = False
        self.masks = True  # whether masks are wanted, or only boxes
        self.centre: Point = (0.0, 0.0)  # of the target, image pixels
        self.size: Point = (0.0, 0.0)  # width and height, image pixels
        self.angle: float | None = None  # of the last rotated box, degrees
        self.max_gap = self.config.mask.max_gap  # between the target's parts; what a first mask shows is allowed
        self.shape = Shape.empty()
        self.segmented_shape = Shape.empty()  # the last one segmented and trusted; moves start from it, so none adds up
        self.initial_area = 1.0  # of the rotated box in the first frame, in units of `initial_size`'s product
        self.initial_size: Point = (0.0, 0.0)
        self.view: View | None = None  # where the last mask was segmented; None in the first frame and for moved shapes

    def initialize(self, image: NDArray[np.uint8], region: object, *, masks: bool = True) -> Result:
        """Start on a target.

        Args:
            image: H x W x 3 RGB uint8 (or H x W grey).
            region: box (x, y, w, h), polygon (n x 2) or mask (H x W), see `parse_region`.
            masks: masks are wanted, so every frame is segmented, at the full size of the closer crop. False where only
                boxes will be read, after a box or a polygon: then the crop is smaller, and a frame that eq. 11 removes
                shows the last shape, moved, unless the filter has lost the target (`GateConfig.segment_lost`). On
                VOT2014 that loses fewer targets than to segment every frame.

        Raises:
            ImageError: unusable image.
            RegionError: unusable region.
        """
        image = check_image(image)
        self.engine.begin(image)
        parsed = parse_region(region, image.shape[:2])
        self.frame_index = -1  # until all has succeeded: half a start is no state to track from
        self.view = None
        self.from_mask = parsed.kind == "mask"
        self.masks = masks or self.from_mask
        x, y, width, height = parsed.box
        smallest = self.config.crop.min_target
        self.centre = (x + (width - 1) / 2, y + (height - 1) / 2)
        self.size = self.initial_size = (max(width, smallest), max(height, smallest))
        self.angle = parsed.angle
        self.max_gap = self.config.mask.max_gap
        crop = self._segment_crop(self.centre)
        probability = self._remember_first(image, crop, parsed)
        self.localiser.start(image, self.centre, self.size, every_frame=self.masks)
        self.shape = self._first_shape(image, parsed, crop, probability)
        self.segmented_shape = self.shape
        self.angle = edge_angle(self.shape.polygon) if self.angle is None else self.angle
        self.initial_area = max(polygon_area(self.shape.polygon), 1.0)
        self.frame_index = 0
        return self._result(1.0, segmented=True, decision=None, peak=self.centre)

    def track(self, image: NDArray[np.uint8]) -> Result:
        """Find the target in the next frame.

        Raises:
            ImageError: unusable image.
            StateError: `initialize` has not been called.
        """
        if self.frame_index < 0:
            raise StateError("track was called before initialize; call initialize(image, region) first")
        image = check_image(image)
        self.engine.begin(image)
        self.frame_index += 1
        located = self.localiser.locate(image, self.centre, self.size)
        decision = located.decision

        view = None
        if decision.segment and located.query is not None:
            view = self._segment(image, located.crop, located.pixels, located.query, located.peak, located)
        elif decision.segment:
            view = self._segment_closer(image, located)
        expected = located.peak if view is None else view.expected
        shape = None if view is None else view.shape
        self.centre = self._clamp(expected, image.shape[:2])
        if view is None or shape is None:
            self.shape = self.segmented_shape.moved_to(self.centre, image.shape[:2])
        else:
            if decision.correct_centre and self._plausible(shape):
                self.centre = shape.centre
            if decision.follow_size:
                self._follow_size(shape, may_grow=not view.leaks)
            self.shape = shape
            if decision.trust:
                self.segmented_shape, self.angle = shape, edge_angle(shape.polygon)
            if decision.remember_appearance and not view.leaks and self.appearance.wants(self.frame_index):
                remembered = np.where(self._near(shape.mask, view.crop), view.probability, np.float32(0.0))
                self.appearance.commit(*self.engine.encode_memory(view.pixels, remembered), self.frame_index)
        self.view = None if shape is None else view
        self.localiser.learn(located, self.centre, self.size, self.frame_index)
        return self._result(
            self._confidence(decision, view), segmented=shape is not None, decision=decision, peak=expected
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that is known of the target, between two frames; see `tracker.state.save_state`.

        Raises:
            StateError: `initialize` has not been called.
            StateFileError: it cannot be written there.
        """
        from tracker.state import save_state

        save_state(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: DMBNet | Engine) -> Self:
        """Make a tracker that goes on where `save` was called; `model` has the same weights.

        Raises:
            StateFileError: no such file, a damaged or foreign one, or other weights.
        """
        from tracker.state import load_state

        return load_state(path, model, cls)

    def probability(self) -> NDArray[np.float32] | None:
        """The target's probability in every pixel of the last frame, H x W, zero outside its crop; made when asked for.

        `Result.mask` may lack parts that are probable here: it is cleaned. None in the first frame, and where the
        answer is the last shape, moved.
        """
        shape = self.shape.mask.shape
        return None if self.view is None else self.view.crop.mask_to_image(self.view.probability, (shape[0], shape[1]))

    def _segment_crop(self, centre: Point) -> Crop:
        """What the decoder and the appearance memory see; with one crop a frame, the search region itself."""
        config = self.config.crop
        if not config.recentre:
            return self.localiser.region(centre, self.size)
        if self.masks:
            return search_crop(centre, self.size, config.segment_factor, config.segment_size)
        return search_crop(centre, self.size, config.box_factor, config.box_size)

    def _pixels(self, image: NDArray[np.uint8], crop: Crop) -> Tensor:
        """The crop's pixels, normalised, 1 x 3 x S x S."""
        return self.engine.pixels(image, crop)

    def _segment(
        self,
        image: NDArray[np.uint8],
        crop: Crop,
        pixels: Tensor,
        query: QueryFeatures,
        expected: Point,
        located: Located,
    ) -> View:
        """Read the memory and decode the mask of one crop, the target being expected at `expected`."""
        keys, values = self.appearance.rows()
        probability = self.engine.segment(query, keys, values, self.maps.make(crop, expected, self.size, located))
        shape = self._shape_of(probability, crop, expected, image.shape[:2])
        return View(expected, crop, pixels, probability, shape, self._leaks(probability, crop, expected))

    def _segment_closer(self, image: NDArray[np.uint8], located: Located) -> View:
        """Segment a closer crop at the filter's peak; one that is far away is weighed against where the target was.

        The filter jumps when another object looks more like its samples than the deformed or hidden target does. The
        appearance memory has the last word then: the surer mask is answered, and the one at hand if the filter itself
        is unsure.
        """
        config, peak, uncertainty = self.config.crop, located.peak, located.decision.uncertainty
        views = []
        jump = float(np.hypot(peak[0] - self.centre[0], peak[1] - self.centre[1]) / np.sqrt(np.prod(self.size)))
        for expected in (peak, self.centre) if jump > config.confirm_jump else (peak,):
            crop = self._segment_crop(expected)
            pixels = self._pixels(image, crop)
            views.append(self._segment(image, crop, pixels, self.engine.encode_query(pixels), expected, located))
        there, here = views[0], views[-1]
        stay = here.shape is not None and (uncertainty > config.confirm_below or here.certainty >= there.certainty)
        return here if stay else there

    @staticmethod
    def _clamp(point: Point, shape: tuple[int, ...]) -> Point:
        return float(np.clip(point[0], 0, shape[1] - 1)), float(np.clip(point[1], 0, shape[0] - 1))

    def _remember_first(
        self, image: NDArray[np.uint8], crop: Crop, parsed: ParsedRegion
    ) -> NDArray[np.float32]:
        """Fill the appearance memory with the first frame; returns its mask on the crop, S x S."""
        pixels = self._pixels(image, crop)
        mask = crop.mask_to_crop(parsed.to_mask(image.shape[:2]))
        if not self.from_mask and self.config.box2seg.enabled:
            query, spatial_map = self.engine.encode_query(pixels), self.maps.make(crop, self.centre, self.size)
            mask = pseudo_mask(self.engine, pixels, query, mask, spatial_map, self.config.box2seg)
        self.appearance.reset(*self.engine.encode_memory(pixels, mask))
        return mask

    def _first_shape(
        self, image: NDArray[np.uint8], parsed: ParsedRegion, crop: Crop, probability: NDArray[np.float32]
    ) -> Shape:
        given = Shape(parsed.to_mask(image.shape[:2]), polygon_from_box(parsed.box))
        if not self.from_mask:
            return self._shape_of(probability, crop, self.centre, image.shape[:2]) or given
        self.max_gap = max(self.max_gap, largest_gap(given.mask) / float(np.sqrt(np.prod(self.size))))
        polygon = fit_rotated_box(given.mask, self.config.box_fit)
        return given if polygon is None else Shape(given.mask, polygon)

    def _shape_of(
        self, probability: NDArray[np.float32], crop: Crop, expected: Point, image_shape: tuple[int, int]
    ) -> Shape | None:
        """Turn a probability S x S into the target's shape in the image, or None where there is too little."""
        config = self.config.mask
        threshold = config.threshold_mask if self.from_mask else config.threshold
        needed = config.min_area * (crop.size / 384) ** 2
        if not np.isfinite(probability).all() or (probability > threshold).sum() < needed:
            return None
        mask = crop.mask_to_image(probability, image_shape) > threshold
        if self.frame_index > 0:
            mask &= box_window(expected, self.size, config.reach, image_shape)
        mask = clean_mask(mask, expected, self.size, min_share=config.min_component, max_gap=self.max_gap)
        if self.frame_index > 0:
            inside = np.count_nonzero(mask & box_window(expected, self.size, 0.0, image_shape))
            if inside < config.min_inside * np.count_nonzero(mask):
                return None
        polygon = fit_rotated_box(mask, self.config.box_fit, self.angle)
        if polygon is None:
            return None
        return Shape(mask, polygon)

    def _leaks(self, probability: NDArray[np.float32], crop: Crop, expected: Point) -> bool:
        """Whether the mask goes on where `_shape_of` cuts it off: then it may be that of a larger thing.

        Only where the first mask was not given: Box2Seg's may hold some of what is around the target.
        """
        config = self.config.mask
        if self.from_mask:
            return False
        seen = probability > config.threshold
        x, y = crop.to_crop(np.array([expected]))[0]
        size = (self.size[0] * crop.scale, self.size[1] * crop.scale)
        allowed = box_window((x, y), size, config.reach, seen.shape)
        beside = box_window((x, y), size, config.reach + config.leak_ring, seen.shape) & ~allowed
        return bool(np.count_nonzero(seen & beside) > config.max_leak * np.count_nonzero(seen & allowed))

    @staticmethod
    def _near(mask: NDArray[np.bool_], crop: Crop) -> NDArray[np.bool_]:
        """Crop pixels S x S on the answered mask or a few pixels beside it: what was cleaned away is not remembered."""
        kernel = np.ones((SOFT_BORDER, SOFT_BORDER), np.uint8)
        return np.asarray(cv2.dilate(crop.mask_to_crop(mask), kernel) > 0.0)

    def _plausible(self, shape: Shape) -> bool:
        """Whether the mask's area changed by less than the limit since it was last segmented and trusted (release)."""
        before, now = max(float(self.segmented_shape.mask.sum()), 1.0), float(shape.mask.sum())
        return abs(now - before) < self.config.gate.max_area_change * before

    def _follow_size(self, shape: Shape, *, may_grow: bool = True) -> None:
        """Scale the target's size with its rotated box, by a bounded factor per frame; the aspect ratio stays."""
        config = self.config.crop
        wanted = np.sqrt(polygon_area(shape.polygon) / self.initial_area) * np.sqrt(np.prod(self.initial_size))
        limit = config.max_size_change_mask if self.from_mask else config.max_size_change
        factor = float(np.clip(wanted / np.sqrt(np.prod(self.size)), 1 / limit, limit if may_grow else 1.0))
        factor = max(factor, config.min_target / min(self.size))
        self.size = (self.size[0] * factor, self.size[1] * factor)

    @staticmethod
    def _confidence(decision: Decision, view: View | None) -> float:
        """Certainty of the localisation times that of the mask."""
        located = min(1.0, 1.0 / max(decision.uncertainty, 1e-6))
        if view is None or view.shape is None:
            return FAILED_CONFIDENCE * located
        return located * view.certainty

    def _result(self, confidence: float, *, segmented: bool, decision: Decision | None, peak: Point) -> Result:
        shape = self.shape
        return Result(
            mask=shape.mask,
            polygon=shape.polygon,
            box=box_from_mask(shape.mask),
            confidence=confidence,
            frame_index=self.frame_index,
            segmented=segmented,
            decision=decision,
            centre=peak,
            remembered=self.frame_index in self.appearance.frames,
        )
