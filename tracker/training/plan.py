"""What a training run does: its stages and rates, as a value that a TOML file holds.

A file names the fields of `TrainingConfig` at its top level and the fields of `Stage` in `[[stages]]`; what it
leaves out keeps the default. Nothing is guessed: an unknown name or a value of another type is an error.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from tracker.config import MODEL_NAMES, ModelName
from tracker.errors import UserError
from tracker.network.decoder import POSITIONS, Position
from tracker.network.model import SPATIAL_MAPS, SpatialMap
from tracker.training.degradation import Families
from tracker.training.frozen import PARTS

CHOICES: dict[str, tuple[str, ...]] = {
    "Position": POSITIONS,
    "SpatialMap": SPATIAL_MAPS,
    "ModelName": MODEL_NAMES,
}
START_ONLY = ("pca_keys", "quiet_mask_stems")  # fields that act before the first step, and never again
PLANS = Path(__file__).resolve().parent / "plans"


class PlanError(UserError):
    """The training plan is missing or wrong; the message names file, field and remedy."""


@dataclass(frozen=True)
class Stage:
    """A part of the training with samples of one shape."""

    steps: int
    size: int  # side of the search region, pixels
    frames: int  # frames per sample
    batch: int  # samples per step
    factor: tuple[float, float]  # side of the region in target sizes
    decay: bool = False  # the learning rate falls to `final_rate` by a cosine over this stage
    video_share: float | None = None  # share of samples from videos, where it differs from the run's
    encoders: bool = True  # whether the encoders train too; in the paper's video stage they are frozen (Section IV-A)


@dataclass(frozen=True)
class TrainingConfig:
    """What a run needs to be repeated."""

    stages: tuple[Stage, ...]
    rate: float = 3e-4  # learning rate of new layers
    encoder_rate: float = 3e-5  # of layers that come from ImageNet
    final_rate: float = 0.03  # share of the rates at the end of a decaying stage
    warmup: int = 100  # steps over which the rates rise
    weight_decay: float = 1e-4
    gradient_norm: float = 5.0  # gradients are clipped to this norm
    average: float = 0.0  # decay of the running average of the weights, which is what is saved; 0: none
    coarse_weight: float = 0.5  # weight of the stride-8 prediction's loss
    hardest_share: float = 1.0  # share of the pixels, the hardest ones, that half of the cross-entropy counts
    window: float = 0.6  # side of the refined window, share of the region's
    video_share: float = 0.35  # share of samples from videos
    composite_share: float = 0.65  # share of the stills that get another background
    distractor_share: float = 0.6  # share of the samples that get a pasted distractor or occluder
    twin_share: float = 0.0  # share of the stills' distractors that are the target once more
    part_share: float = 0.0  # share of the stills whose target is a part of the object
    pair_share: float = 0.0  # share of the other stills whose target is two objects together
    instance_share: float = 0.0  # share of the samples from no video whose target is one of a picture's objects
    small_share: float = 0.0  # shares of the samples that look like sequences that fail: see `degradation.Families`
    blur_share: float = 0.0
    compression_share: float = 0.0
    gray_share: float = 0.0
    light_share: float = 0.0
    occlusion_share: float = 0.0
    corrupt_memory_share: float = 0.0
    max_gap: int = 8  # most frames between two frames of a video sample
    query_trained: tuple[str, ...] = ("res4",)  # parts of the query encoder that train; its BatchNorms never do
    memory_trained: tuple[str, ...] = PARTS  # parts of the memory encoder that train; its BatchNorms never do
    pca_keys: bool = False  # from a trunk: the keys begin as a PCA of its features; no gain (docs/LAB_BOOK.md)
    quiet_mask_stems: bool = True  # from a trunk: the mask stems begin near zero
    map_from: int = 0  # before this step the decoder sees no spatial map
    architecture: ModelName = "full"  # size of the network; a compact one begins with channels and blocks of a full one
    teacher_weight: float = 0.0  # weight of the distance to the teacher's features; 0: there is no teacher
    position: Position = "add"  # how the spatial map enters the decoder
    spatial_map: SpatialMap = "distance"  # what it shows: the distance to the target's center, or a filter's response
    held_out: tuple[str, ...] = ()  # video sequences that are kept for validation
    seed: int = 0
    save_minutes: float = 5.0  # minutes between checkpoints

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def families(self) -> Families:
        """The shares of the samples that look like sequences that fail."""
        return Families(**{field.name: getattr(self, field.name) for field in fields(Families)})

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that `step` belongs to, and the step's number inside it."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        raise IndexError(step)

    def rate_at(self, step: int, begun: int = 0) -> float:
        """Share of the learning rates used at `step`, in a run whose optimizer was new at step `begun`."""
        stage, position = self.stage_at(step)
        share = min(1.0, (step - begun + 1) / max(1, self.warmup))
        if stage.decay:
            cosine = 0.5 * (1.0 + math.cos(math.pi * position / stage.steps))
            share *= self.final_rate + (1.0 - self.final_rate) * cosine
        return share


def lasting(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's fields that still act when it is continued."""
    return {name: value for name, value in values.items() if name not in START_ONLY}


def _value(value: object, kind: str, place: str) -> object:
    """Check a TOML value against the annotation `kind`; lists become tuples."""
    allowed: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}
    kind = kind.removesuffix(" | None")
    if kind in allowed:
        if isinstance(value, allowed[kind]) and isinstance(value, bool) == (kind == "bool"):
            return float(value) if kind == "float" else value  # type: ignore[arg-type]
        raise PlanError(f"{place} is {value!r}; give a value of type {kind}")
    if kind in CHOICES:
        if value in CHOICES[kind]:
            return value
        raise PlanError(f"{place} is {value!r}; give one of: {', '.join(CHOICES[kind])}")
    if kind == "tuple[float, float]":
        if isinstance(value, list) and len(value) == 2 and all(type(part) in (int, float) for part in value):
            return float(value[0]), float(value[1])
        raise PlanError(f"{place} is {value!r}; give two numbers, [low, high]")
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise PlanError(f"{place} is {value!r}; give a list of names")


def _fill(kind: type, given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Check the names and types of one table; returns the fields' values."""
    known = {field.name: field for field in fields(kind)}
    for name in given:
        if name not in known:
            raise PlanError(f"{place} names '{name}', which is not a field of it; use some of: {', '.join(known)}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    if missing:
        raise PlanError(f"{place} lacks '{missing[0]}'; add it")
    return {name: _value(value, str(known[name].type), f"{place}: '{name}'") for name, value in given.items()}


def _check(stage: Stage, place: str) -> None:
    for name, smallest in (("steps", 1), ("frames", 2), ("batch", 1)):
        if getattr(stage, name) < smallest:
            raise PlanError(f"{place}: '{name}' is {getattr(stage, name)}; give at least {smallest}")
    if stage.size < 64 or stage.size % 16:
        raise PlanError(f"{place}: 'size' is {stage.size}; give a multiple of 16 from 64")
    if stage.video_share is not None and not 0.0 <= stage.video_share <= 1.0:
        raise PlanError(f"{place}: 'video_share' is {stage.video_share}; give a share from 0 to 1")
    if not 1.0 <= stage.factor[0] <= stage.factor[1]:
        raise PlanError(f"{place}: 'factor' is {list(stage.factor)}; give [low, high] with 1 <= low <= high")


def read_plan(plan: str | Path) -> TrainingConfig:
    """Read a plan: one of the project's own by its name ("first"), or a TOML file.

    Raises:
        PlanError: there is no such plan, or something in it is wrong.
    """
    path = PLANS / f"{plan}.toml"
    if not path.is_file():
        path = Path(plan)
    own = ", ".join(sorted(file.stem for file in PLANS.glob("*.toml")))
    try:
        with path.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise PlanError(f"no training plan '{plan}' ({error.strerror}); name a .toml file or one of: {own}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"training plan '{path}' is not a TOML file: {error}; compare it with {PLANS}") from None
    listed = table.pop("stages", None)
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise PlanError(f"training plan '{path}' has no [[stages]]; add at least one")
    stages = []
    for number, entry in enumerate(listed, 1):
        place = f"training plan '{path}', stage {number}"
        stages.append(Stage(**_fill(Stage, entry, place)))
        _check(stages[-1], place)
    values = _fill(TrainingConfig, {"stages": [], **table}, f"training plan '{path}'")
    config = TrainingConfig(**{**values, "stages": tuple(stages)})
    for field in ("query_trained", "memory_trained"):
        for name in getattr(config, field):
            if name not in PARTS:
                raise PlanError(f"training plan '{path}': '{field}' names '{name}'; use some of: {', '.join(PARTS)}")
    if not config.hardest_share:
        raise PlanError(f"training plan '{path}': 'hardest_share' is 0; give a share above it, up to 1")
    if not 0.0 <= config.teacher_weight < math.inf:
        raise PlanError(f"training plan '{path}': 'teacher_weight' is {config.teacher_weight}; give a number from 0")
    for name in ("average", *(field.name for field in fields(TrainingConfig) if field.name.endswith("_share"))):
        if not 0.0 <= getattr(config, name) <= 1.0 or config.average == 1.0:
            raise PlanError(f"training plan '{path}': '{name}' is {getattr(config, name)}; give a share from 0 to 1")
    return config
