"""A tracker's state as a file: tracking goes on in another process exactly as it would have gone on in this one.

A safetensors file holds the tensors and, as JSON in its metadata, the rest; so a file from elsewhere can run no code.
What depends on the weights and the configuration alone (the network, spatial maps, windows) is not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from tracker.checkpoints.weights import WeightsError, checksum, halve, read_tensors, write_tensors
from tracker.config import TrackerConfig
from tracker.data.images import Levels
from tracker.engine.engine import Engine
from tracker.errors import UserError
from tracker.geometry.crop import Crop
from tracker.memory.snapshot import Snapshot
from tracker.network import DMBNet
from tracker.tracking.framing import Framing
from tracker.tracking.shape import Shape
from tracker.tracking.steadiness import SteadyBox
from tracker.tracking.tracker import DMB, StateError
from tracker.tracking.view import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "dmb-state-1"
NUMBERS = ("frame_index", "from_mask", "masks", "blind", "angle", "max_gap", "initial_area")  # attributes of DMB
POINTS = ("center", "size", "initial_size")  # likewise, two numbers each

Tracker = TypeVar("Tracker", bound=DMB)


class StateFileError(UserError):
    """The file cannot be written, or cannot be gone on with; the message names it, the reason and the remedy."""


@dataclass(frozen=True)
class _Content:
    """A verified file."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, name: str) -> Snapshot:
        prefix = f"{name}."
        tensors = {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}
        return Snapshot(tensors, self.facts[name])


def save_state(dmb: DMB, path: str | os.PathLike[str]) -> None:
    """Write everything that a tracker knows of its target; a file of that name is replaced in one go.

    Args:
        dmb: an initialized tracker, between two frames.
        path: where to; ".safetensors" is the usual suffix.

    Raises:
        StateError: `initialize` has not been called.
        StateFileError: it cannot be written there.
    """
    if dmb.frame_index < 0:
        raise StateError("there is no state to save before initialize; call initialize(image, region) first")
    parts = {
        "appearance": dmb.appearance.state(),
        "filter": dmb.spatial.state(),
        "gate": dmb.gate.state(),
        "target": _target(dmb),
    }
    tensors = {f"{part}.{name}": tensor.detach().cpu().contiguous().clone()
               for part, snapshot in parts.items() for name, tensor in snapshot.tensors.items()}  # fmt: skip
    facts: dict[str, Any] = {part: snapshot.facts for part, snapshot in parts.items()}
    facts |= {"network": _network(dmb.engine.model), "precision": str(dmb.engine.dtype), "config": asdict(dmb.config)}
    text = json.dumps(facts)
    metadata = {"format": FORMAT, "state": text, "state_checksum": _digest(text)}
    try:
        write_tensors(tensors, path, metadata)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StateFileError(
            f"state file '{path}' cannot be written ({reason}); name a file in a folder that you may write to"
        ) from error


def load_state(path: str | os.PathLike[str], model: DMBNet | Engine, tracker: type[Tracker]) -> Tracker:
    """Make a tracker that goes on where the one that was saved stood.

    Equal to the last bit where device, precision, number of threads and version of PyTorch are the same. Another
    device or precision may be chosen; then the numbers differ as they always do between these.

    Args:
        path: of a file that `save_state` wrote.
        model: the network with the same weights, or an engine around it.
        tracker: the class to make.

    Raises:
        StateFileError: no such file, a damaged or foreign one, other weights, or another version's.
    """
    content = _read(Path(path))
    engine = model if isinstance(model, Engine) else Engine(model)
    expected, found = content.facts.get("network"), _network(engine.model)
    if expected != found:
        was, now = (_name(network) for network in (expected, found))
        raise StateFileError(
            f"state file '{path}' was saved with other weights ({was}) than those loaded ({now}); "
            "load the weights that it was saved with"
        )
    try:
        dmb = tracker(engine, _config(content.facts["config"]))
        _restore(dmb, content)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise StateFileError(
            f"state file '{path}' does not fit this version of DMB ({type(error).__name__}: {error}); "
            "load it with the version that saved it"
        ) from error
    return dmb


def _target(dmb: DMB) -> Snapshot:
    """What the tracker itself knows, beside its memories."""
    facts: dict[str, Any] = {name: getattr(dmb, name) for name in NUMBERS}
    facts |= {name: list(getattr(dmb, name)) for name in POINTS}
    facts |= {"lost_frames": dmb.localizer.lost_frames, "shared": dmb.localizer.shared}
    facts |= {"framing": asdict(dmb.framing), "view": None}
    facts |= {"value_range": dmb.levels.limits, "masks_asked": dmb.masks_asked}
    tensors: dict[str, Tensor] = {}
    if dmb.steady is not None:
        tensors |= {f"steady.{name}": _tensor(value) for name, value in vars(dmb.steady).items()}
    for name, shape in (("shape", dmb.shape), ("trusted_shape", dmb.trusted_shape)):
        tensors |= {f"{name}.mask": _tensor(shape.mask), f"{name}.polygon": _tensor(shape.polygon)}
    if dmb.view is not None:
        view, crop = dmb.view, dmb.view.crop
        facts["view"] = {"expected": list(view.expected), "leaks": view.leaks,
                         "crop": {"center": list(crop.center), "side": crop.side, "size": crop.size}}  # fmt: skip
        tensors["view.probability"] = _tensor(view.probability)
    return Snapshot(tensors, facts)


@torch.inference_mode()
def _restore(dmb: DMB, content: _Content) -> None:
    device = dmb.engine.device
    appearance = content.part("appearance")
    rows = {name: tensor.to(device) for name, tensor in appearance.tensors.items()}
    if content.facts["precision"] != str(dmb.engine.dtype):
        rows = {name: tensor.to(dmb.engine.dtype) for name, tensor in rows.items()}
    dmb.appearance.restore(Snapshot(rows, appearance.facts))
    samples = content.part("filter")
    on_device = {name: tensor.to(device) for name, tensor in samples.tensors.items()}
    dmb.spatial.restore(Snapshot(on_device, samples.facts))
    dmb.gate.restore(content.part("gate"))
    target = content.part("target")
    dmb.localizer.lost_frames, dmb.localizer.shared = target.facts["lost_frames"], target.facts["shared"]
    limits = target.facts.get("value_range")
    dmb.levels = Levels(None if limits is None else _point(limits))
    for name in NUMBERS:
        setattr(dmb, name, target.facts[name])
    dmb.masks_asked = target.facts.get("masks_asked", dmb.masks)  # states were once saved without it
    framing = target.facts["framing"]
    shift, box_scale, box_shift = (_point(framing[name]) for name in ("shift", "box_scale", "box_shift"))
    dmb.framing = Framing(framing["scale"], shift, box_scale, box_shift)
    for name in POINTS:
        setattr(dmb, name, _point(target.facts[name]))
    dmb.shape, dmb.trusted_shape = (
        Shape(*(_array(target, f"{name}.{part}") for part in ("mask", "polygon")))
        for name in ("shape", "trusted_shape")
    )
    if "steady.edges" in target.tensors:
        dmb.steady = SteadyBox(*(_array(target, f"steady.{field.name}") for field in fields(SteadyBox)))
    view = target.facts["view"]
    if view is not None:
        crop = Crop(_point(view["crop"]["center"]), view["crop"]["side"], view["crop"]["size"])
        # the pixels have been remembered already, or never will be
        pixels, probability = torch.empty(0, device=device), _array(target, "view.probability")
        dmb.view = View(_point(view["expected"]), crop, pixels, probability, dmb.shape, view["leaks"])


def _read(path: Path) -> _Content:
    """Read and verify a file."""
    foreign = f"state file '{path}' is damaged, or not a state of DMB"
    remedy = "name a file that DMB.save wrote"
    if not os.path.exists(path):
        raise StateFileError(f"state file '{path}' does not exist; {remedy}")
    try:
        tensors, metadata = read_tensors(path)
    except WeightsError as error:
        raise StateFileError(f"{foreign} ({error.__cause__}); {remedy}") from error
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        raise StateFileError(f"{foreign} (format '{found}', expected '{FORMAT}'); {remedy}")
    text = metadata.get("state", "")
    if metadata.get("state_checksum") != _digest(text) or metadata.get("checksum") != checksum(tensors):
        raise StateFileError(f"state file '{path}' is damaged (its checksum differs); save the state again")
    return _Content(tensors, json.loads(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _network(model: DMBNet) -> dict[str, Any]:
    """What tells one network from another, the same on every device."""
    conventions = ("stride_on", "coarse_prediction", "position", "spatial_map")
    found = model.checksum or checksum(halve(model.state_dict()))
    return {name: getattr(model, name) for name in conventions} | {"checksum": found}


def _name(network: object) -> str:
    """A network in few words."""
    if not isinstance(network, dict):
        return "unknown"
    others = [str(value) for name, value in network.items() if name != "checksum"]
    return ", ".join([f"checksum {str(network.get('checksum'))[:12]}", *others])


def _config(document: Mapping[str, Any]) -> TrackerConfig:
    """The configuration of a file: a part that did not exist yet has its default, the others state all parameters."""
    default, parts = TrackerConfig(), {}
    unknown = document.keys() - {field.name for field in fields(default)}
    if unknown:
        raise ValueError(f"the part '{min(unknown)}' of its configuration is not known")
    for field in fields(default):
        if field.name not in document:
            continue
        kind, values = type(getattr(default, field.name)), document[field.name]
        differing = values.keys() ^ {parameter.name for parameter in fields(kind)}
        if differing:
            raise ValueError(f"the parameter {field.name}.{sorted(differing)[0]} is not known to both")
        # JSON has lists only, and a parameter of several values is a tuple
        parts[field.name] = kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    return replace(default, **parts)


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.copy())


def _array(snapshot: Snapshot, name: str) -> NDArray[Any]:
    return snapshot.tensors[name].cpu().numpy()


def _point(numbers: list[float]) -> tuple[float, float]:
    x, y = numbers
    return x, y
