"""DMB: one target through one video. The path of a frame, top to bottom, is `DMB.track`."""

from __future__ import annotations

import copy
import math
import os
import warnings
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tracker.config import TrackerConfig, TrustConfig
from tracker.data.images import Levels, Range, check_image
from tracker.data.masks import covers_edges
from tracker.engine.engine import Engine
from tracker.engine.heap import give_back
from tracker.errors import UserError
from tracker.geometry.clicks import Clicks, parse_clicks
from tracker.geometry.crop import Crop, search_crop
from tracker.geometry.region import (
    Box,
    ParsedRegion,
    RegionError,
    box_from_mask,
    box_window,
    clean_mask,
    clip_box,
    edge_angle,
    largest_gap,
    parse_region,
    polygon_area,
    polygon_from_box,
)
from tracker.geometry.rotated_box import fit_rotated_box
from tracker.memory.appearance import AppearanceMemory
from tracker.memory.quality import Decision, QualityGate
from tracker.network import DMBNet, QueryFeatures
from tracker.tracking.belief import believes, leaks, near
from tracker.tracking.box2seg import pseudo_mask
from tracker.tracking.clicks import mask_of_clicks
from tracker.tracking.framing import Framing, compare
from tracker.tracking.localization import Localizer, Point, SearchResult
from tracker.tracking.result import Result, read_only
from tracker.tracking.shape import Shape, given_shape
from tracker.tracking.spatial_map import SpatialMaps
from tracker.tracking.steadiness import SteadyBox, between, center_of
from tracker.tracking.view import View

FAILED_CONFIDENCE = 0.2  # upper bound of the confidence where the answer is only the last shape, moved


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=5)


def _prompt(shape: tuple[int, int], region: object, points: object, labels: object) -> ParsedRegion | Clicks:
    """What the user gives in an image H x W: a region, or clicks in its place."""
    if points is None:
        return parse_region(region, shape)
    if region is not None:
        raise RegionError("there are a region and points; give one of them")
    return parse_clicks(points, labels, shape)


class StateError(UserError):
    """`track` or `correct` was called before `initialize`."""


class DMB:
    """The tracker. One instance follows one target; `initialize` may be called any number of times.

    Args:
        model: the network, or an engine that already wraps it (shared between trackers).
        config: parameters; default: those that suit the network, see `TrackerConfig.of`.
        localizer: searches and learns where the target is; default: the correlation filter.

    Raises:
        WeightsError: the parameters ask for a spatial map that the network was not trained with.
    """

    def __init__(
        self, model: DMBNet | Engine, config: TrackerConfig | None = None, *, localizer: Localizer | None = None
    ) -> None:
        self.engine = model if isinstance(model, Engine) else Engine(model)
        self.config = config or TrackerConfig.of(self.engine.model.architecture.model)
        self.appearance = AppearanceMemory(self.config.appearance)
        self.localizer = localizer or Localizer(self.engine, self.config)
        self.spatial = self.localizer.memory
        self.gate = QualityGate(self.config.gate)
        self.maps = SpatialMaps(self.engine.model, self.config)
        self.frame_index = -1
        self.from_mask = False
        self.masks = True  # whether masks are wanted, or only boxes
        self.masks_asked = (
            True  # the same as the caller chose it: after a first mask, masks are wanted whatever that is
        )
        self.center: Point = (0.0, 0.0)  # of the target, image pixels
        self.size: Point = (0.0, 0.0)  # width and height, image pixels
        self.angle: float | None = None  # of the last rotated box, degrees
        self.max_gap = self.config.mask.max_gap  # between the target's parts; what a first mask shows is allowed
        self.framing = Framing()
        self.steady: SteadyBox | None = None  # the answered boxes where only boxes are wanted
        self.blind = False  # what was segmented in the first frame was not the given region: masks are not believed
        self.shape = Shape.empty()
        self.trusted_shape = Shape.empty()  # the last one that was believed; moves start from it, so none adds up
        self.initial_area = 1.0  # of the rotated box in the first frame, in units of `initial_size`'s product
        self.initial_size: Point = (0.0, 0.0)
        self.levels = Levels()  # of images with more than 8 bits
        self.view: View | None = None  # where the last mask was segmented; None in the first frame and for moved shapes

    @property
    def trust(self) -> TrustConfig:
        """When a mask is believed: more easily where masks are wanted than where only boxes are."""
        return self.config.trust_mask if self.masks else self.config.trust

    def initialize(
        self,
        image: object,
        region: object = None,
        *,
        points: object = None,
        labels: object = None,
        masks: bool = True,
        value_range: Range | None = None,
    ) -> Result:
        """Start on a target.

        Args:
            image: H x W x 3 RGB uint8, or H x W gray, or a Pillow image. Integers of more bits and floats become 8 bit
                by one range of values for the whole sequence, see `tracker.data.images.Levels`; a warning tells it.
            region: box (x, y, w, h), polygon (n x 2) or mask (H x W), see `parse_region`; or None, and points.
            points: clicks in place of a region: n x 2, x and y in pixels, see `tracker.tracking.clicks`.
            labels: n numbers: 1 for points on the target, 0 for points that are not on it; None: all are on it.
            masks: masks are wanted, at the full size of the closer crop. False where only boxes will be read, after a
                box or a polygon: then the crop is smaller.
            value_range: the values of such images that become black and white; None to take them from this image.

        Raises:
            ImageError: unusable image.
            RegionError: unusable region.
        """
        pixels = check_image(image)
        prompt = _prompt(pixels.shape[:2], region, points, labels)
        levels = Levels(value_range, _warn, option="value_range=(low, high)")
        image = levels(pixels)
        parsed = self._region(image, prompt)
        self.levels = levels
        if parsed.kind == "mask" and parsed.mask is not None and covers_edges(parsed.mask):
            sentence = "the mask covers the image's edges; is the target marked, and not the background?"
            warnings.warn(sentence, stacklevel=2)
        return self._start(image, parsed, masks=masks)

    def correct(self, image: object, region: object = None, *, points: object = None, labels: object = None) -> Result:
        """Start again on the same target in the next frame, where the user gives its region: in place of `track`.

        What was remembered of the target is forgotten, as it may be of something else. Frames count on, and what
        `initialize` was told of masks and of the range of values holds.

        Args:
            image: as in `initialize`.
            region: as in `initialize`: box (x, y, w, h), polygon (n x 2) or mask (H x W), in pixels; or None.
            points: as in `initialize`, in place of a region.
            labels: of the points, likewise.

        Returns:
            The answer to this frame, as `initialize` gives it, but for `frame_index`.

        Raises:
            ImageError: unusable image; the tracker is as before, and can go on.
            RegionError: unusable region; likewise.
            StateError: `initialize` has not been called.
        """
        if self.frame_index < 0:
            raise StateError("correct was called before initialize; call initialize(image, region) first")
        pixels = check_image(image)
        prompt = _prompt(pixels.shape[:2], region, points, labels)
        levels = copy.copy(self.levels)  # a first deep image fixes them, but not if this call is refused
        image = levels(pixels)
        parsed = self._region(image, prompt)
        self.levels = levels
        frame_index = self.frame_index + 1
        result = self._start(image, parsed, masks=self.masks_asked)
        self.frame_index = frame_index
        self.appearance.count_from(frame_index)
        return replace(result, frame_index=frame_index)

    def _region(self, image: NDArray[np.uint8], prompt: ParsedRegion | Clicks) -> ParsedRegion:
        """The region, or what clicks in its place give: a mask, which Box2Seg refines as it does a box."""
        if isinstance(prompt, ParsedRegion):
            return prompt
        mask = mask_of_clicks(self.engine, self.maps, image, prompt, self.config)
        return ParsedRegion("box", box_from_mask(mask), mask=mask)

    def _start(self, image: NDArray[np.uint8], parsed: ParsedRegion, *, masks: bool) -> Result:
        """Forget everything, and start on a target in an image H x W x 3, which becomes frame 0."""
        self.engine.begin(image)
        self.frame_index = -1  # until all has succeeded: half a start is no state to track from
        self.view = None
        self.masks_asked = masks
        self.from_mask = parsed.kind == "mask"
        self.masks = masks or self.from_mask
        x, y, width, height = parsed.box
        smallest = self.config.crop.min_target
        self.center = (x + (width - 1) / 2, y + (height - 1) / 2)
        self.size = self.initial_size = (max(width, smallest), max(height, smallest))
        self.angle = parsed.angle
        self.max_gap = self.config.mask.max_gap
        self.framing, self.blind = Framing(), False
        self.gate.reset()
        self.shape = given_shape(parsed, image.shape[:2], self.config.box_fit)
        self.initial_area = max(polygon_area(self.shape.polygon), 1.0)
        if self.from_mask:  # what the filter learns to find is what later masks will be compared with
            self.max_gap = max(self.max_gap, largest_gap(self.shape.mask) / math.sqrt(math.prod(self.size)))
            self.center = self._clamp(self.shape.center, image.shape[:2])
        shared = self.masks and self.config.mask.enabled
        self.localizer.start(image, self.center, self.size, shared=shared)
        if self.config.mask.enabled:
            crop = self._segment_crop(self.center)
            probability = self._remember_first(image, crop, parsed)
            if not self.from_mask:
                self._frame(parsed, self._shape_of(probability, crop, self.center, image.shape[:2]), image.shape[:2])
        self.trusted_shape = self.shape
        self.steady = None if self.masks else SteadyBox.of(self.shape.polygon, self._mask_box(self.shape))
        self.angle = edge_angle(self.shape.polygon) if self.angle is None else self.angle
        self.frame_index = 0
        give_back()
        return self._result(1.0, segmented=True, decision=None, peak=self.center)

    def track(self, image: object) -> Result:
        """Find the target in the next frame, an image as in `initialize`.

        Raises:
            ImageError: unusable image.
            StateError: `initialize` has not been called.
        """
        if self.frame_index < 0:
            raise StateError("track was called before initialize; call initialize(image, region) first")
        image = self.levels(check_image(image))
        self.engine.begin(image)
        self.frame_index += 1
        searched_size = self._search_size()
        located = self.localizer.locate(image, self.center, searched_size, around=self.masks)
        decision = self.gate.judge(located.score)
        expected = self._clamp(located.peak, image.shape[:2])
        looks = self.config.mask.enabled and not self.blind
        view = self._segment_where_believed(image, located, expected) if looks else None
        believed = view is not None and self._believes(view)

        self.center = expected = view.expected if view is not None and believed else expected
        if view is not None and view.shape is not None and believed:
            self._follow(view.shape, decision, image.shape[:2], may_grow=not view.leaks)
            self.shape = view.shape
            if self.steady is not None:
                scale = math.sqrt(math.prod(self.size) / math.prod(self.initial_size))
                box = self._mask_box(view.shape)
                self.steady = self.steady.follow(view.shape.polygon, box, scale, self.config.steady)
        else:
            self.shape = self.trusted_shape.moved_to(expected, image.shape[:2])
        if view is not None and view.shape is not None and believed and decision.found:
            self.trusted_shape, self.angle = view.shape, edge_angle(view.shape.polygon)
            self._remember(view, view.shape, decision)
        self.view = view if believed else None
        self.localizer.learn(located, self.center, searched_size, self.frame_index, found=decision.found)
        return self._result(self._confidence(decision, self.view), segmented=believed, decision=decision, peak=expected)

    def _search_size(self) -> Point:
        """Width and height of the target by which the search region is cut.

        Where only boxes are wanted they follow its size in part: a mask that is too large or too small would otherwise
        take the filter's region along. A region that is segmented itself follows it fully.
        """
        power = self.trust.search_gain if self.config.crop.recenter else 1.0
        scale = math.sqrt(math.prod(self.size) / math.prod(self.initial_size)) ** (power - 1.0)
        return self.size[0] * scale, self.size[1] * scale

    def _segment_where_believed(self, image: NDArray[np.uint8], located: SearchResult, expected: Point) -> View:
        """Segment the target at the peak; where that is far off and shows something else, also where it was before.

        The filter jumps when another object looks more like its samples than the deformed or hidden target does.
        """
        view = self._look(image, located, expected)
        jump = math.dist(expected, self.center) / math.sqrt(math.prod(self.size))
        if 0.0 < self.trust.look_back < jump and self.config.crop.recenter and not self._believes(view):
            before = self._look(image, located, self.center)
            return before if self._believes(before) else view
        return view

    def _look(self, image: NDArray[np.uint8], located: SearchResult, expected: Point) -> View:
        """Segment the target where it is expected: the search region itself if it may be, or another crop there."""
        away = math.dist(expected, located.crop.center) / math.sqrt(math.prod(self.size))
        recenter = self.config.crop.recenter and away > self.config.crop.recenter_beyond
        if located.query is not None and not recenter:
            return self._segment(image, located.crop, located.pixels, located.query, expected, located)
        crop = self._segment_crop(expected)
        pixels = self._pixels(image, crop)
        return self._segment(image, crop, pixels, self.engine.encode_query(pixels), expected, located)

    def _believes(self, view: View) -> bool:
        """Whether what a crop showed is the target, see `tracker.tracking.belief.believes`."""
        shape = view.shape
        if shape is None:
            return False
        ratio = self._relative_size(shape)
        return believes(shape, view.expected, self.trusted_shape, self.size, ratio, self.trust)

    def _follow(self, shape: Shape, decision: Decision, image_shape: tuple[int, ...], *, may_grow: bool) -> None:
        """Let a mask that is believed correct the center, where it may; and the size, where the filter is not lost."""
        if self.trust.correct_center or not self.config.filter.enabled:
            self.center = self._clamp(shape.center, image_shape)
        if decision.found:
            self._follow_size(shape, may_grow=may_grow)

    def _remember(self, view: View, shape: Shape, decision: Decision) -> None:
        """Let the appearance memory learn from a frame, where eq. 11 allows it and the mask does not leak."""
        if decision.remember and not view.leaks and self.appearance.wants(self.frame_index):
            remembered = np.where(near(shape.mask, view.crop), view.probability, np.float32(0.0))
            self.appearance.commit(*self.engine.encode_memory(view.pixels, remembered), self.frame_index)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that is known of the target, between two frames; see `tracker.tracking.state.save_state`.

        Raises:
            StateError: `initialize` has not been called.
            StateFileError: it cannot be written there.
        """
        from tracker.tracking.state import save_state

        save_state(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: DMBNet | Engine) -> Self:
        """Make a tracker that goes on where `save` was called; `model` has the same weights.

        Raises:
            StateFileError: no such file, a damaged or foreign one, or other weights.
        """
        from tracker.tracking.state import load_state

        return load_state(path, model, cls)

    def probability(self) -> NDArray[np.float32] | None:
        """The target's probability in every pixel of the last frame, H x W, zero outside its crop; made when asked for.

        `Result.mask` may lack parts that are probable here: it is cleaned. None in the first frame, and where the
        answer is the last shape, moved.
        """
        shape = self.shape.mask.shape
        return None if self.view is None else self.view.crop.mask_to_image(self.view.probability, (shape[0], shape[1]))

    def _segment_crop(self, center: Point) -> Crop:
        """What the decoder and the appearance memory see at a place."""
        config = self.config.crop
        if self.masks or not config.recenter:
            return self.localizer.region(center, self.size)
        return search_crop(center, self.size, config.box_factor, config.box_size)

    def _pixels(self, image: NDArray[np.uint8], crop: Crop) -> Tensor:
        """The crop's pixels, normalized, 1 x 3 x S x S."""
        return self.engine.pixels(image, crop)

    def _segment(
        self,
        image: NDArray[np.uint8],
        crop: Crop,
        pixels: Tensor,
        query: QueryFeatures,
        expected: Point,
        located: SearchResult,
    ) -> View:
        """Read the memory and decode the mask of one crop, the target being expected at `expected`."""
        keys, values = self.appearance.rows()
        probability = self.engine.segment(query, keys, values, self.maps.make(crop, expected, self.size, located))
        shape = self._shape_of(probability, crop, expected, image.shape[:2])
        # only where the first mask was not given: Box2Seg's may hold some of what is around the target
        leaking = not self.from_mask and leaks(probability, crop, expected, self.size, self.config.mask)
        return View(expected, crop, pixels, probability, shape, leaking)

    @staticmethod
    def _clamp(point: Point, shape: tuple[int, ...]) -> Point:
        return float(np.clip(point[0], 0, shape[1] - 1)), float(np.clip(point[1], 0, shape[0] - 1))

    def _remember_first(self, image: NDArray[np.uint8], crop: Crop, parsed: ParsedRegion) -> NDArray[np.float32]:
        """Fill the appearance memory with the first frame; returns its mask on the crop, S x S."""
        pixels = self._pixels(image, crop)
        mask = crop.mask_to_crop(parsed.to_mask(image.shape[:2]))
        if not self.from_mask and self.config.box2seg.enabled:
            query, spatial_map = self.engine.encode_query(pixels), self.maps.make(crop, self.center, self.size)
            mask = pseudo_mask(self.engine, pixels, query, mask, spatial_map, self.config.box2seg)
        self.appearance.reset(*self.engine.encode_memory(pixels, mask))
        return mask

    def _frame(self, parsed: ParsedRegion, seen: Shape | None, image_shape: tuple[int, int]) -> None:
        """Take the mask that Box2Seg made of the first region, and frame later ones as that was.

        Where the two hardly overlap Box2Seg has seen something else: the region itself is the first shape then.
        """
        if seen is None:
            self.blind = not self.masks
            return
        alike, framing = compare(seen, self.shape, parsed, image_shape)
        self.blind = not self.masks and alike < self.trust.blind_below
        good = alike >= self.trust.frame_above
        if good:
            self.framing = framing
        polygon = self.framing.polygon(seen.polygon)
        self.initial_area = max(polygon_area(polygon), 1.0)
        if self.masks or good:
            self.shape = Shape(seen.mask, polygon)

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
        return Shape(mask, self.framing.polygon(polygon))

    def _relative_size(self, shape: Shape) -> float:
        """How large a shape is beside what the target's size lets expect, as a factor of its sides."""
        area = max(polygon_area(shape.polygon), 1.0) / self.initial_area
        return math.sqrt(area * math.prod(self.initial_size) / math.prod(self.size))

    def _follow_size(self, shape: Shape, *, may_grow: bool = True) -> None:
        """Scale the target's size with its rotated box, by a bounded factor per frame; the aspect ratio stays."""
        config = self.config.crop
        limit = config.max_size_change_mask if self.from_mask else config.max_size_change
        factor = self._relative_size(shape) ** self.trust.size_gain
        factor = min(max(factor, 1 / limit), limit if may_grow else 1.0)
        factor = max(factor, config.min_target / min(self.size))
        self.size = (self.size[0] * factor, self.size[1] * factor)

    @staticmethod
    def _confidence(decision: Decision, view: View | None) -> float:
        """Certainty of the localization times that of the mask."""
        located = min(1.0, 1.0 / max(decision.uncertainty, 1e-6))
        if view is None or view.shape is None:
            return FAILED_CONFIDENCE * located
        return located * view.certainty

    def _mask_box(self, shape: Shape) -> Box:
        """The upright box x, y, w, h of a shape's mask, framed as the first region was."""
        return self.framing.box(box_from_mask(shape.mask))

    def _boxes(self, peak: Point) -> tuple[NDArray[np.float64], Box]:
        """The rotated and the upright box that are answered with the shape at hand."""
        shape, box = self.shape, self._mask_box(self.shape)
        polygon = shape.polygon
        if self.steady is not None:
            share = self.config.steady.center_share if self.frame_index else 1.0
            centers = (between(peak, seen, share) for seen in (shape.center, center_of(box)))
            polygon, box = self.steady.polygon_at(next(centers)), self.steady.box_at(next(centers))
        box = clip_box(box, (shape.mask.shape[1], shape.mask.shape[0]))
        return polygon_from_box(box) if self.config.box_fit.upright else polygon, box

    def _result(self, confidence: float, *, segmented: bool, decision: Decision | None, peak: Point) -> Result:
        shape = self.shape
        polygon, box = self._boxes(peak)
        return Result(
            mask=read_only(shape.mask),
            polygon=read_only(polygon),
            box=box,
            confidence=confidence,
            frame_index=self.frame_index,
            segmented=segmented,
            decision=decision,
            center=peak,
            remembered=self.frame_index in self.appearance.frames,
        )
