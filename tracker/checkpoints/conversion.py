"""Reads other projects' checkpoints and writes them as our safetensors; describes what a weights file holds.

Those checkpoints are pickles, and a pickle can run code. They are only ever read by torch's restricted unpickler
(`weights_only=True`), which builds tensors, numbers and containers and refuses everything else.
"""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracker.checkpoints.trunk import UNSTATED_STRIDE
from tracker.checkpoints.weights import (
    FORMAT,
    WeightsError,
    build_model,
    checksum,
    differences,
    halve,
    read_tensors,
    release_name,
    save_weights,
    shapes_of,
    write_tensors,
)
from tracker.network import DMBNet
from tracker.network.backbone import STRIDE_CONVENTIONS, StrideOn, Trunk

TRUNK_FORMAT = "dmb-trunk-1"
FOREIGN_STRIDE: StrideOn = "3x3"  # of torchvision's ResNet, and of all that was built from it
RELEASE_PARTS = ("Encoder_M", "Encoder_Q", "KV_M_r4", "KV_Q_r4", "Decoder")
# ImageNet's mean and standard deviation: buffers of the release and of STM; ours are constants of the network
RELEASE_UNUSED = tuple(f"{encoder}.{name}" for encoder in RELEASE_PARTS[:2] for name in ("mean", "std"))
TRUNK_STAGES = {"res2.": "layer1.", "res3.": "layer2.", "res4.": "layer3."}  # ours -> torchvision's
TRUNK_MARKS = {"conv1.weight", "layer1.0.conv1.weight"}  # names by which a ResNet is recognized
TRUNK_UNUSED = ("layer4.", "fc.")  # behind stride 16
STATISTICS = ("running_mean", "running_var", "num_batches_tracked", *RELEASE_UNUSED)
NAMES_SHOWN = 5


class Kind(StrEnum):
    """What a file holds."""

    DMB = "DMB weights"
    TRUNK = "ResNet-50 trunk (stem to layer3)"
    RELEASE = "checkpoint with the names of the DMB authors' release and of STM"
    RESNET = "torchvision ResNet-50"
    UNKNOWN = "unknown safetensors file"

    @property
    def foreign(self) -> bool:
        """Whether it must be converted before it can be used."""
        return self in (Kind.RELEASE, Kind.RESNET)


@dataclass(frozen=True)
class Description:
    """What `describe` finds in a file."""

    kind: Kind
    parts: dict[str, int]  # parameters below each top-level name; batch-norm statistics are not counted
    dtypes: tuple[str, ...]
    size: int  # bytes of the file
    metadata: dict[str, str]
    stride_on: str  # "1x1" or "3x3"; "?" where neither the metadata nor the kind tell
    verified: bool | None  # whether the stated checksum is that of the contents; None where none is stated
    complaint: str  # why it cannot be used, in one sentence; empty where it can


def convert(source: Path, target: Path) -> dict[str, str]:
    """Write a checkpoint of another project as our safetensors, atomically.

    A checkpoint with the names of the authors' release becomes DMB weights. So does STM's
    (github.com/seoungwugoh/STM, STM_weights.pth): its names and shapes are the same, its two encoders included. A
    full torchvision ResNet-50 becomes a trunk that a training starts from.

    Args:
        source: a file written by `torch.save`.
        target: the file to write; one that exists is replaced.

    Returns:
        The metadata as written.

    Raises:
        WeightsError: the source cannot be read, wants to run code, or holds another network.
        OSError: the target cannot be written.
    """
    if _is_safetensors(source):
        found = describe(source)
        remedy = "use it as it is" if not found.complaint else "name a file written by torch.save"
        raise WeightsError(f"'{source}' is a safetensors file already ({found.kind}); {remedy}")
    state, facts = _state_of(_read_checkpoint(source), source)
    kind = _recognize(state, source)
    if complaint := _foreign_complaint(kind, state, source):
        raise WeightsError(complaint)
    facts |= {"stage": "converted", "source": source.name, "origin": kind.value}
    _check_finite(halve(_used(kind, state)), source)
    if kind is Kind.RESNET:
        facts |= {"format": TRUNK_FORMAT, "architecture": "resnet50 up to layer3", "stride_on": FOREIGN_STRIDE}
        return write_tensors(halve(_used(kind, state)), target, facts)
    with torch.device("meta"):  # no memory and no time for numbers that are replaced at once
        model = DMBNet(stride_on=FOREIGN_STRIDE, coarse_prediction=False)
    model.load_state_dict({name: state[release_name(name)] for name in shapes_of(model)}, strict=False, assign=True)
    return save_weights(model, target, facts)


def describe(path: Path) -> Description:
    """Say what a file holds: DMB weights, a trunk, or a checkpoint that `convert` reads.

    Raises:
        WeightsError: it cannot be read, or is neither a safetensors file nor such a checkpoint.
    """
    if not _is_safetensors(path):
        state, facts = _state_of(_read_checkpoint(path), path)
        kind = _recognize(state, path)
        return _description(kind, state, path, facts, FOREIGN_STRIDE, _foreign_complaint(kind, state, path))
    tensors, metadata = read_tensors(path)
    named = {FORMAT: Kind.DMB, TRUNK_FORMAT: Kind.TRUNK}
    unnamed = Kind.TRUNK if "format" not in metadata and tensors.keys() >= TRUNK_MARKS else Kind.UNKNOWN
    kind = named.get(metadata.get("format", ""), unnamed)
    stride_on = metadata.get("stride_on", UNSTATED_STRIDE if kind is Kind.TRUNK else "?")
    return _description(kind, tensors, path, metadata, stride_on, _own_complaint(kind, tensors, metadata, path))


def _head(path: Path) -> bytes:
    """The first nine bytes of a file that is not empty."""
    if path.is_dir():
        raise WeightsError(f"'{path}' is a folder; name a file in it")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read ({error.strerror}); name an existing file") from error
    if not head:
        raise WeightsError(f"'{path}' is empty; fetch it again")
    return head


def _is_safetensors(path: Path) -> bool:
    """Whether a file is one: by its header, eight bytes of length and then JSON, or else by its name."""
    return _head(path)[8:] == b"{" or path.suffix == ".safetensors"


def _read_checkpoint(path: Path) -> Any:
    """Read what `torch.save` wrote, without running any code that it may hold."""
    try:
        if tarfile.is_tarfile(path):
            raise WeightsError(f"'{path}' is an archive of files; unpack it and convert the checkpoint inside")
        if zipped := zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch.load does not compare checksums
            if damaged:
                raise WeightsError(f"'{path}' is damaged at its entry '{damaged}'; fetch it again")
        elif _head(path).startswith(b"PK\x03\x04"):
            raise WeightsError(f"'{path}' is truncated: the end of its zip archive is missing; fetch it again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of is in the reason below
            # mapped into memory where possible: of the optimizer's state, twice the network's size, nothing is read
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except WeightsError:
        raise
    except Exception as error:  # damaged bytes make the unpickler fail in any way
        raise WeightsError(f"'{path}' is not a checkpoint that can be read safely: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The reason inside torch's long messages, and the remedy."""
    text = str(error)
    if named := re.search(r"GLOBAL ([\w.]+)", text):
        return (
            f"loading it would call '{named[1]}', which is code, not numbers, and was not run; "
            "save its state_dict alone, if you trust it"
        )
    if "TorchScript" in text:
        return "it is a TorchScript program; save its state_dict instead"
    text = re.sub(r"^\[.*?\] \. ", "", text.rpartition("WeightsUnpickler error:")[2].strip())  # less "[... .cc:180]"
    first = text.splitlines()[0].split(". ")[0] if text else type(error).__name__
    if isinstance(error, KeyError | UnicodeDecodeError):  # an opcode that does not exist, as in any text
        first = "it is not a file of torch.save"
    return f"{first}; name a file written by torch.save, or fetch it again"


def _state_of(checkpoint: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Unpack the `state_dict` of a checkpoint, without the `module.` of DataParallel; with facts for the metadata."""
    wrapped = isinstance(checkpoint, Mapping) and isinstance(checkpoint.get("state_dict"), Mapping)
    state = checkpoint["state_dict"] if wrapped else checkpoint
    if not isinstance(state, Mapping):
        raise WeightsError(f"'{path}' holds a {type(state).__name__} and no state_dict; save the network's state_dict")
    wrong = [str(name) for name, value in state.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if wrong or not state:
        raise WeightsError(f"'{path}' holds no state_dict (it has {_first(wrong)}); save the network's state_dict")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    epoch = checkpoint.get("epoch") if wrapped else None
    return dict(state), {"epoch": str(epoch)} if isinstance(epoch, int) else {}


def _recognize(state: Iterable[str], path: Path) -> Kind:
    """Tell by its names what a state_dict belongs to."""
    names = set(state)
    if any(name.partition(".")[0] in RELEASE_PARTS for name in names):
        return Kind.RELEASE
    if not names >= TRUNK_MARKS:
        raise WeightsError(
            f"'{path}' holds neither DMB, STM nor a torchvision ResNet-50 (its names: {_first(state)}); "
            "name a checkpoint of one of them"
        )
    if not any(name.startswith("layer4.") for name in names):
        # a trunk that somebody cut has torchvision's names in either convention
        raise WeightsError(
            f"'{path}' is a ResNet without layer4: its names do not tell whether it is torchvision's, with its "
            "strides on the 3x3 convolutions; convert the full file of torchvision"
        )
    return Kind.RESNET


def _expected(kind: Kind) -> dict[str, tuple[int, ...]]:
    """Names, in the file's own words, and shapes of what is used of a file."""
    with torch.device("meta"):
        if kind is Kind.RELEASE:
            return {release_name(name): shape for name, shape in shapes_of(DMBNet()).items()}
        shapes = shapes_of(Trunk(stride_on=FOREIGN_STRIDE))
    return {TRUNK_STAGES.get(name[:5], name[:5]) + name[5:]: shape for name, shape in shapes.items()}


def _used(kind: Kind, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict without what is known to be in it and of no use."""
    unused = RELEASE_UNUSED if kind is Kind.RELEASE else TRUNK_UNUSED
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(unused) and not name.endswith("num_batches_tracked")
    }


def _foreign_complaint(kind: Kind, state: Mapping[str, Tensor], path: Path) -> str:
    """Why a checkpoint cannot be converted, or an empty string."""
    used = _used(kind, state)
    found = differences(_expected(kind), used)
    found += [f"{name} holds no plain numbers" for name, tensor in used.items() if not _plain(tensor)][:3]
    return f"'{path}' has other contents than a {kind} ({', '.join(found)}); name an unaltered one" if found else ""


def _own_complaint(kind: Kind, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> str:
    """Why a safetensors file cannot be used, or an empty string."""
    if kind is Kind.UNKNOWN:
        return f"'{path}' is neither DMB weights nor a trunk (its names: {_first(tensors)}); name another file"
    try:
        with torch.device("meta"):
            expected = shapes_of(build_model(metadata, path)) if kind is Kind.DMB else _expected(kind)
    except WeightsError as error:
        return str(error)
    if found := differences(expected, tensors):
        return f"'{path}' belongs to another network ({', '.join(found)}); convert or train it with this version of DMB"
    if metadata.get("stride_on", UNSTATED_STRIDE) not in STRIDE_CONVENTIONS:
        return f"'{path}' states the stride convention '{metadata['stride_on']}', which is none; convert it again"
    return ""


def _plain(tensor: Tensor) -> bool:
    """Neither whole numbers, nor sparse, nor without contents."""
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _description(
    kind: Kind, tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str], stride_on: str, complaint: str
) -> Description:
    parts: Counter[str] = Counter()
    for name, tensor in tensors.items():
        if not name.endswith(STATISTICS):
            parts[name.partition(".")[0]] += tensor.numel()
    dtypes = tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}))
    verified = metadata["checksum"] == checksum(tensors) if "checksum" in metadata else None
    if not complaint and (verified is False or (kind is Kind.DMB and not verified)):
        complaint = f"'{path}' is damaged: its contents do not have the checksum that it states; fetch it again"
    return Description(kind, dict(parts), dtypes, path.stat().st_size, metadata, stride_on, verified, complaint)


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"'{path}' holds numbers in {name} that are infinite, not a number or beyond half precision's 65504; "
                "convert another checkpoint of that training"
            )


def _first(names: Iterable[str]) -> str:
    shown = [*names]
    return ", ".join(shown[:NAMES_SHOWN]) + (", ..." if len(shown) > NAMES_SHOWN else "") or "none"
