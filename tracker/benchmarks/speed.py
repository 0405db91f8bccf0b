"""How long a frame takes, stage by stage, beside a plain variant of the same tracker in the same process.

Both variants see every frame one right after the other, so that whatever else the machine does slows both.
"""

from __future__ import annotations

import functools
import re
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import tracker.network.model
import tracker.tracking.tracker
from tracker.config import TrackerConfig
from tracker.data.images import decode
from tracker.engine.engine import Engine
from tracker.geometry.crop import Crop
from tracker.network import DMBNet, QueryFeatures
from tracker.tracking.tracker import DMB

if TYPE_CHECKING:
    from tracker.data.sequences import LabelledFrame
    from vot_workspace.writer import Annotated

STAGES = (
    "image decode", "crop", "query encoder", "filter", "memory read", "decoder", "memory write", "box fit", "other",
)  # fmt: skip
BREAKDOWN_FRAMES = 20  # most frames that are timed stage by stage


class PlainEngine(Engine):
    """The network as it is written down: float32, usual memory layout, the mask refined everywhere."""

    def __init__(self, engine: Engine) -> None:
        model = deepcopy(engine.model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        super().__init__(model, precision="float32")

    def _prepare(self) -> DMBNet:
        return self.model

    @torch.inference_mode()
    def normalize(self, crops: NDArray[np.uint8]) -> Tensor:
        """As `Engine.normalize`, N x 3 x S x S in the usual layout."""
        return super().normalize(crops).contiguous(memory_format=torch.contiguous_format)

    @torch.inference_mode()
    def segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As `Engine.segment`, without looking where the target may be."""
        positions = torch.from_numpy(spatial_map).to(self.device)[None, None]
        return self._probability(self.model.segment(features, keys, values, positions))


def plain_config(config: TrackerConfig) -> TrackerConfig:
    """Every frame is segmented and remembered, as in the authors' release; crops and memory are as large as before."""
    appearance = replace(config.appearance, last_frame=True)
    return replace(config, gate=replace(config.gate, rule="off"), appearance=appearance)


@dataclass
class Clip:
    """A video with a known first region.

    Attributes:
        frames: JPEG files.
        mask: H x W, of the first frame.
        box: x, y, w, h around it.
        name: of the video.
    """

    frames: list[bytes]
    mask: NDArray[np.bool_]
    box: tuple[float, float, float, float]
    name: str

    @classmethod
    def of(cls, annotated: Iterable[Annotated | LabelledFrame], name: str) -> Clip:
        """Encode a sequence, of which the first mask is kept."""
        frames, mask = [], None
        for frame in annotated:
            mask = frame.mask if mask is None else mask
            encoded = cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))[1]
            frames.append(encoded.tobytes())
        if mask is None:
            raise ValueError("the clip has no frames")
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        return cls(frames, mask, (float(x), float(y), float(width), float(height)), name)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Decode a frame, H x W x 3 RGB."""
        return decode(self.frames[index])


@dataclass
class Stopwatch:
    """Sums time by stage; a stage that is entered within another one stops the other."""

    synchronize: Callable[[], None] = lambda: None
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _running: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside as `name`."""
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def _switch(self) -> None:
        self.synchronize()
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def on(self, owner: object, name: str, stage: str) -> Iterator[None]:
        """Time the calls of a function `name` of an object, class or module as `stage`."""
        own = name in vars(owner)
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **named)

        setattr(owner, name, timed)
        try:
            yield
        finally:
            if own:
                setattr(owner, name, function)
            else:
                delattr(owner, name)


@contextmanager
def staged(dmb: DMB, watch: Stopwatch) -> Iterator[None]:
    """Time the stages of a tracker while it tracks."""
    places: Sequence[tuple[object, str, str]] = (
        *((Crop, name, "crop") for name in ("extract", "mask_to_crop", "mask_to_image")),
        *((dmb.engine, name, "crop") for name in ("begin", "pixels", "normalize")),
        (dmb.engine, "encode_query", "query encoder"),
        (dmb.engine, "filter_features", "query encoder"),
        *((dmb.spatial, name, "filter") for name in ("initialize", "localize", "remember", "maybe_update")),
        (tracker.network.model, "read_memory", "memory read"),
        (dmb.engine, "_read", "memory read"),  # with graphs
        (dmb.engine, "segment", "decoder"),
        (dmb.engine, "encode_memory", "memory write"),
        (tracker.tracking.tracker, "fit_rotated_box", "box fit"),
    )
    with ExitStack() as stack:
        for owner, name, stage in places:
            stack.enter_context(watch.on(owner, name, stage))
        yield


@dataclass(frozen=True)
class Times:
    """Of one variant, in milliseconds: the initialization, and every measured frame (decoding not included)."""

    initialize: float
    frames: list[float]

    @property
    def median(self) -> float:
        """Of a frame."""
        return float(np.median(self.frames))

    def line(self) -> str:
        """The numbers as text."""
        low, high = np.percentile(self.frames, (10, 90))
        spread = f"10% to 90%: {low:.1f} to {high:.1f} ms"
        return f"track {self.median:.1f} ms per frame ({spread}), {1000 / self.median:.2f} fps; " + (
            f"initialize {self.initialize:.0f} ms"
        )


def measure(trackers: Mapping[str, DMB], clip: Clip, *, first: int, from_box: bool) -> dict[str, Times]:
    """Track a clip with several trackers in turn, frame by frame; frames before `first` are not measured."""
    region = clip.box if from_box else clip.mask
    devices = {dmb.engine.device for dmb in trackers.values() if dmb.engine.device.type == "cuda"}
    begun, spent = {}, {name: list[float]() for name in trackers}
    for index in range(len(clip.frames)):
        image = clip.image(index)
        for name, dmb in trackers.items():
            start = time.perf_counter()
            if index == 0:
                dmb.initialize(image, region)
            else:
                dmb.track(image)
            for device in devices:  # the answer is on the host, but what is remembered may still be on its way
                torch.cuda.synchronize(device)
            passed = 1000 * (time.perf_counter() - start)
            if index == 0:
                begun[name] = passed
            elif index >= first:
                spent[name].append(passed)
    return {name: Times(begun[name], spent[name]) for name in trackers}


@dataclass(frozen=True)
class Stages:
    """Milliseconds by stage: of the initialization, and of every frame that was measured."""

    initialize: dict[str, float]
    frames: dict[str, list[float]]

    def lines(self) -> list[str]:
        """A line for each stage."""
        total = sum(float(np.median(values)) for values in self.frames.values())
        lines = []
        for stage, values in self.frames.items():
            low, middle, high = np.percentile(values, (10, 50, 90))
            lines.append(
                f"  {stage:14s} {middle:8.1f} ms  {100 * middle / total:4.0f}%  ({low:.1f} to {high:.1f})"
                f"  {self.initialize[stage]:8.1f} ms"
            )
        return lines


def breakdown(dmb: DMB, clip: Clip, *, first: int, from_box: bool) -> Stages:
    """Time the initialization and the frames from `first` on by stage; with a GPU each stage waits until it is done.

    So their sum is more than a frame takes otherwise: there the host works ahead of the GPU.
    """
    device = dmb.engine.device
    synchronize = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)
    watch = Stopwatch(synchronize)
    last = min(len(clip.frames), first + BREAKDOWN_FRAMES)
    spent = []
    with staged(dmb, watch):
        for index in range(last):
            watch.seconds.clear()
            with watch.stage("image decode"):
                image = clip.image(index)
            with watch.stage("other"):
                if index:
                    dmb.track(image)
                else:
                    dmb.initialize(image, clip.box if from_box else clip.mask)
            spent.append({stage: 1000 * watch.seconds[stage] for stage in STAGES})
    frames = {stage: [values[stage] for values in spent[max(first, 1) :]] for stage in STAGES}
    return Stages(spent[0], frames)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Most memory that this process has held, in MB: of the host, and of the GPU where there is one.

    The host's is Linux's VmHWM where it is told: `getrusage` begins a new program at what held the process before.

    Of the GPU's, "gpu tensors" is what tensors needed at one moment; "gpu" is all that PyTorch held, with the graphs'
    memory and what it keeps for later. The driver's own few hundred MB come on top.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    try:
        told = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        told = None
    most = int(told[1]) if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"host": most * unit / 1e6}
    if device.type == "cuda":
        found["gpu tensors"] = torch.cuda.max_memory_allocated(device) / 1e6
        found["gpu"] = torch.cuda.max_memory_reserved(device) / 1e6
    return found
