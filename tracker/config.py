"""Every parameter of the tracker, one commented line each.

Why frozen dataclasses: a configuration is a value. It can be printed beside a result, compared, and changed with
``dataclasses.replace`` without any other tracker noticing. "Release" below is the authors' released code, whose
values stand here where the paper prints none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

ModelName = Literal["full", "compact"]  # the project's models: the paper's network, and a smaller one for CPUs
MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)
GateRule = Literal["paper", "relative", "off"]
Encoding = Literal["add", "concat", "none"]
MapKind = Literal["distance", "response"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class CropConfig:
    """The search region, and the crop that is segmented.

    Where masks are wanted both are one crop at the target's last place, encoded once; only where the filter finds the
    target far from its middle is another one cut. Where only boxes are wanted a wider region is searched, and a
    closer, smaller crop is segmented at the filter's peak.
    """

    factor: float = 4.5  # side of the square search region, in units of sqrt(w*h) of the target (release, filter crop)
    size: int = 256  # side of the resampled search region, pixels; a multiple of 16 (release)
    segment_factor: float = 3.4  # side of the crop for masks (release: 4.0, and a search region beside it)
    segment_size: int = 384  # side of the resampled crop for masks, likewise (paper, release; see docs/LAB_BOOK.md)
    box_factor: float = 3.0  # side of the segmented crop where only boxes are wanted: fine borders are not needed ...
    box_size: int = 256  # ... and fewer pixels are faster
    recenter: bool = True  # another crop is segmented at the filter's peak (release); else what was searched, always
    recenter_beyond: float = 0.35  # for masks: where the peak is further than this from its middle, in sqrt(w*h)
    search_around_after: int = 3  # lost frames after which, where masks are wanted, the regions around are searched,
    # with recenter; 0: never. That is how the search grows: a region of two to three times the side at the same
    # resolution, in up to nine pieces. Boxes lose more targets by it than they find again (docs/LAB_BOOK.md)
    search_around_step: float = 0.6  # how far those are from the search region, in its sides
    max_size_change: float = 1.05  # the size may grow by this factor per frame, or shrink by its inverse (release)
    max_size_change_mask: float = 1.1  # the same when initialized from a mask (release)
    min_target: float = 4.0  # smallest target side that is tracked, image pixels


@dataclass(frozen=True)
class AppearanceConfig:
    """The Appearance Memory Network's bank (Section III-B)."""

    sampling_interval: int = 5  # every n-th frame is kept; 0 keeps the first frame only (Section IV-A, Fig. 14)
    last_frame: bool = True  # the latest accepted frame is always in memory (Table VIII, "Last Add.")
    max_frames: int = 10  # most frames held at once, first and last included; bounds time and memory per frame


@dataclass(frozen=True)
class PositionConfig:
    """How the spatial map guides the decoder (Section III-D; "Pos. Encod." of Table VIII).

    None means: as the weights were trained. Those of the project add distances, as the paper does.
    """

    encoding: Encoding | None = None  # "add", "concat" (needs weights trained so), or left out
    spatial_map: MapKind | None = None  # distance to the target's center, or the filter's response (needs such weights)


@dataclass(frozen=True)
class FilterConfig:
    """The Spatial Memory Network: a correlation filter learned online (eq. 6)."""

    enabled: bool = True  # off: the appearance memory alone looks where the target was last, and nothing is judged
    projection_channels: int = 64  # channels after the learned 1x1 projection (release)
    kernel: int = 4  # side of the filter, cells (release)
    filter_regularization: float = 0.1  # lambda of eq. 6 (release)
    projection_regularization: float = 1e-4  # weight of the projection's own norm (release)
    initial_gn_iterations: int = 6  # Gauss-Newton steps at initialization (release)
    initial_cg_iterations: int = 10  # conjugate-gradient steps inside each of them (release)
    update_cg_iterations: int = 5  # conjugate-gradient steps of an online update (release)
    update_interval: int = 10  # frames between online updates (release)
    label_sigma: float = 0.25  # standard deviation of the Gaussian label, in units of sqrt(w*h) (release)
    sample_capacity: int = 250  # samples held; the one with the smallest weight is replaced (release)
    learning_rate: float = 0.0075  # weight of a new sample (release)
    hard_negative_learning_rate: float = 0.02  # weight of a sample that holds a distractor (release)
    initial_sample_weight: float = 0.25  # share of the total weight that the first frame's samples keep at least
    distractor_ratio: float = 0.3  # a second peak above this share of the first is a distractor (release)
    distractor_distance: float = 2.2  # ... if it lies outside a box of so many target sizes around the first (release)
    upsampling: int = 16  # Fourier upsampling of the scores (release)


@dataclass(frozen=True)
class GateConfig:
    """Which frames may change the memories (Section III-E, eqs. 9-11)."""

    rule: GateRule = "paper"
    queue_length: int = 25  # L of eq. 10 (release)
    max_uncertainty: float = 10.0  # the threshold of eq. 11; under "relative" nothing is remembered above it
    lost_above: float = 4.0  # paper: a peak with 1/peak above this has lost the target: nothing is learned from it
    found_below: float = 3.0  # relative: below it the peak enters the mean and the sample the filter (release)
    trusted_frames: int = 4  # relative: the first tracked frames count as certain, the mean being empty (release)


@dataclass(frozen=True)
class TrustConfig:
    """When a mask is believed beside the filter's peak, and what it may change then.

    The defaults are for boxes: there the filter keeps its own place, and no mask can carry it away.
    """

    max_offset: float = 0.5  # a mask whose center is further from the peak than this, in sqrt(w*h), is another thing's
    min_overlap: float = 0.4  # so much its rotated box overlaps the last trusted one, moved to the peak and scaled
    max_area_change: float = 2.5  # its area differs by no larger factor from what the target's size lets expect
    look_back: float = 0.0  # after a jump further than this, in sqrt(w*h), where no mask is believed there, the place
    # before is seen; 0: never
    correct_center: bool = False  # a mask that is believed corrects the filter's position (Section III-E); without a
    # filter it always does
    frame_above: float = 0.7  # where Box2Seg's box overlaps the given one so much, answers are framed as that was ...
    blind_below: float = 0.5  # ... and where less than this, Box2Seg failed and no mask of this target is believed
    size_gain: float = 0.15  # how fast the target's size follows such masks: share of the way per frame, in its log
    search_gain: float = 0.5  # how the search region follows that size: by this power of its growth


# where masks are wanted, what the target looks like matters more than where exactly it is, however it deforms
MASK_TRUST = TrustConfig(
    max_offset=1.0,
    min_overlap=0.1,
    max_area_change=6.0,
    look_back=0.35,
    correct_center=True,
    size_gain=1.0,
    search_gain=1.0,
)


@dataclass(frozen=True)
class SteadyConfig:
    """How answered boxes follow the masks where only boxes are wanted (docs/LAB_BOOK.md)."""

    center_share: float = 0.5  # a box's center lies at this share of the way from the filter's peak to the mask's
    gain: float = 0.5  # its sides follow those of the mask's box by this share per frame ...
    first_share: float = 0.3  # ... which are drawn by this share, in their logs, to the first box's, scaled


@dataclass(frozen=True)
class BoxFitConfig:
    """From a mask to a rotated box."""

    round_below: float = 1.25  # a mask whose ellipse is less elongated than this keeps the last box's angle
    background_weight: float = 0.25  # weight of background inside the box in the overlap (release)
    min_coverage: float = 0.9  # share of the mask that must stay inside the box (release)
    upright: bool = False  # the rotated box answered is the upright one, for targets that do not turn


@dataclass(frozen=True)
class MaskConfig:
    """From probabilities to an answer."""

    enabled: bool = True  # off: the filter alone; its box moves and keeps its size
    threshold: float = 0.5  # a pixel belongs to the target above it (release)
    threshold_mask: float = 0.5  # the same when initialized from a mask (the release uses 0.2)
    min_component: float = 0.1  # components below this share of the main one are removed
    reach: float = 0.2  # nothing further outside the box around the filter's peak is the target; in sqrt(w*h)
    leak_ring: float = 0.15  # a mask that goes on in a ring of this width (in sqrt(w*h)) beyond its reach ...
    max_leak: float = 0.1  # ... by more than this share of it leaks: the size does not grow, nothing is remembered
    min_inside: float = 0.3  # a mask with less than this share of it in the box around the peak is another object's
    max_gap: float = 0.25  # ... and those further from it than this, in units of sqrt(w*h) of the target
    min_area: int = 30  # fewer crop pixels than this, at crop size 384, and segmentation has failed


@dataclass(frozen=True)
class Box2SegConfig:
    """From the first box to a pseudo mask (Section IV-A c)."""

    enabled: bool = True
    dilation: float = 0.05  # the box is widened by this share of its shorter side before it cuts the mask (release)
    min_dilation: int = 5  # ... and at least by this many crop pixels (release)
    min_area: float = 0.1  # a pseudo mask that fills less of the box than this is not believed; the box is kept


@dataclass(frozen=True)
class ClickConfig:
    """From clicks to a mask (docs/LAB_BOOK.md)."""

    sides: tuple[float, ...] = (0.07, 0.16, 0.33, 0.66)  # of the first boxes, in units of the image's shorter side
    sure: float = 0.8  # mean probability from which on a mask is taken, and no larger box is tried
    rounds: int = 2  # how often each is segmented, from the box of what was seen before
    beside: float = 0.33  # a pixel is not the target's whose distance to a click beside it is less than this share ...
    # ... of that to the nearest click on it


@dataclass(frozen=True)
class TrackerConfig:
    """The whole tracker."""

    crop: CropConfig = field(default_factory=CropConfig)
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    trust_mask: TrustConfig = MASK_TRUST  # the same where masks are wanted, not only boxes
    steady: SteadyConfig = field(default_factory=SteadyConfig)
    box_fit: BoxFitConfig = field(default_factory=BoxFitConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    box2seg: Box2SegConfig = field(default_factory=Box2SegConfig)
    click: ClickConfig = field(default_factory=ClickConfig)

    @classmethod
    def of(cls, model: ModelName) -> TrackerConfig:
        """The usual configuration of one of the project's models."""
        return cls(**MODEL_CONFIGS[model])  # type: ignore[arg-type]


# what each model has otherwise than the defaults above: a smaller crop for masks and a shorter memory, which takes in
# every fifth frame alone, for CPUs (docs/LAB_BOOK.md)
MODEL_CONFIGS: dict[ModelName, dict[str, object]] = {
    "full": {},
    "compact": {
        "crop": CropConfig(segment_factor=2.9, segment_size=256),
        "appearance": AppearanceConfig(max_frames=6, last_frame=False),
    },
}
