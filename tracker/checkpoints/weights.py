"""Finds, verifies, loads and saves the trained weights.

Weights are safetensors files: they hold numbers only, so a downloaded file can run no code. Their metadata state
what the numbers alone cannot: the network's architecture, the ResNet stride convention, whether the coarse prediction
was trained, and a checksum.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tracker.config import MODEL_NAMES, ModelName
from tracker.errors import UserError
from tracker.files import replacing
from tracker.network.architecture import Architecture
from tracker.network.backbone import STRIDE_CONVENTIONS
from tracker.network.decoder import POSITIONS
from tracker.network.model import SPATIAL_MAPS, DMBNet

WEIGHTS_NAMES: dict[ModelName, str] = {"full": "dmb_r50.safetensors", "compact": "dmb_compact.safetensors"}
WEIGHTS_NAME = WEIGHTS_NAMES["full"]
FORMAT = "dmb-1"

# our module names -> the authors' release, prefix by prefix; below them the names are equal
RELEASE_PREFIXES = {
    "memory_encoder.": "Encoder_M.",
    "query_encoder.": "Encoder_Q.",
    "memory_key_value.key.": "KV_M_r4.Key.",
    "memory_key_value.value.": "KV_M_r4.Value.",
    "query_key_value.key.": "KV_Q_r4.Key.",
    "query_key_value.value.": "KV_Q_r4.Value.",
    "decoder.conv.": "Decoder.convFM.",
    "decoder.block.": "Decoder.ResMM.",
    "decoder.refine8.conv_skip.": "Decoder.RF3.convFS.",
    "decoder.refine8.block_skip.": "Decoder.RF3.ResFS.",
    "decoder.refine8.block.": "Decoder.RF3.ResMM.",
    "decoder.refine4.conv_skip.": "Decoder.RF2.convFS.",
    "decoder.refine4.block_skip.": "Decoder.RF2.ResFS.",
    "decoder.refine4.block.": "Decoder.RF2.ResMM.",
    "decoder.predict.": "Decoder.pred2.",
}


class WeightsError(UserError):
    """The weights are missing, damaged or of another network; the message names the file and the remedy."""


def release_name(name: str) -> str:
    """Translate one of our parameter names to the authors' release."""
    for ours, theirs in RELEASE_PREFIXES.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    raise KeyError(name)


def weights_directories() -> tuple[Path, Path]:
    """Where weights lie without being named: the checkout's folder, and inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    return package.parent / "weights", package / "_weights"


def find_weights(
    option: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    model: ModelName | None = None,
) -> Path:
    """Find the weights file: the option, then the environment's DMB_WEIGHTS, then the project's own.

    Args:
        option: a file.
        environ: DMB_WEIGHTS names a file, DMB_MODEL a model.
        model: the model that is wanted; default: the environment's DMB_MODEL, then what the file holds.

    Raises:
        WeightsError: there is none, the message lists the three places; or it is a file of another model.
    """
    model = model or asked_model(environ)
    path = _find(option, environ, model or "full")
    if model is not None and (option or environ.get("DMB_WEIGHTS")):
        try:
            found = architecture_of(read_metadata(path), path).model
        except WeightsError:
            return path  # whoever reads it says what is wrong with it
        if found != model:
            raise WeightsError(
                f"weights file '{path}' holds a {found} network, and the {model} model is asked for (--model or "
                "DMB_MODEL); leave one of the two out"
            )
    return path


def asked_model(environ: Mapping[str, str]) -> ModelName | None:
    """The model that the environment asks for; what is none is complained of where settings are read."""
    text = environ.get("DMB_MODEL", "").strip().lower()
    return next((name for name in MODEL_NAMES if name == text), None)


def _find(option: str | os.PathLike[str] | None, environ: Mapping[str, str], model: ModelName) -> Path:
    directories = weights_directories()
    named = os.fspath(option) if option else environ.get("DMB_WEIGHTS", "")
    if named:
        path = Path(os.path.expanduser(named))
        if os.path.isfile(path):  # which, unlike the path's own method, takes names that are too long for no file
            return path
        raise WeightsError(
            f"weights file '{path.absolute()}' (named by the weights option or DMB_WEIGHTS) does not exist; name an "
            "existing .safetensors file, by its absolute path in a trackers.ini"
        )
    name = WEIGHTS_NAMES[model]
    for directory in directories:
        if (directory / name).is_file():
            return directory / name
    if model != "full":
        raise WeightsError(
            f"the {model} model has no weights here: '{directories[0] / name}' does not exist; fetch that file from "
            "the repository, name another one with --weights or DMB_WEIGHTS, or use the full model"
        )
    raise WeightsError(
        f"no weights found: no weights option was given, DMB_WEIGHTS is not set, and '{directories[0] / name}' "
        "does not exist; restore that file from the repository or name another one"
    )


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def halve(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters and statistics as files hold them: half precision, but batch norms in float32.

    Some statistics are outside half precision's range. Counters (`num_batches_tracked`) are left out.
    """
    tensors = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        half = tensor.dim() > 1 or (name.endswith(".bias") and "bn" not in name and "downsample.1" not in name)
        tensors[name] = tensor.detach().cpu().to(torch.float16 if half else torch.float32).contiguous()
    return tensors


def write_tensors(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str]
) -> dict[str, str]:
    """Write a safetensors file atomically: an old file survives whatever happens.

    Args:
        tensors: what `halve` returned.
        path: where to.
        metadata: facts for the file; the checksum is added.

    Returns:
        The metadata as written.

    Raises:
        OSError: it cannot be written there.
    """
    facts = dict(metadata) | {"checksum": checksum(tensors)}
    with replacing(Path(path)) as draft:
        save_file(dict(tensors), draft, metadata=facts)
    return facts


def save_weights(
    model: DMBNet, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write a model in half precision, atomically.

    Args:
        model: the network.
        path: where to.
        metadata: further facts for the file (training stage, steps, ...).

    Returns:
        The metadata as written.

    Raises:
        OSError: it cannot be written there.
    """
    facts = dict(metadata or {}) | {
        "format": FORMAT,
        "architecture": model.architecture.text,
        "stride_on": model.stride_on,
        "coarse_prediction": "yes" if model.coarse_prediction else "no",
        "position": model.position,
        "spatial_map": model.spatial_map,
    }
    return write_tensors(halve(model.state_dict()), path, facts)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of any safetensors file.

    Raises:
        WeightsError: the file is unreadable.
    """
    try:
        with safe_open(str(path), framework="pt") as archive:
            metadata = dict(archive.metadata() or {})
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    return tensors, metadata


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of any safetensors file, and none of its tensors.

    Raises:
        WeightsError: the file is unreadable.
    """
    try:
        with safe_open(str(path), framework="pt") as archive:
            return dict(archive.metadata() or {})
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"weights file '{path}' is not a readable safetensors file ({error}); restore it from the repository"
    )


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a weights file, verify its checksum and that all numbers are finite.

    Raises:
        WeightsError: the file is unreadable, no DMB weights file, damaged, or of a training that diverged.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        found = shown(metadata.get("format", "none"))
        raise WeightsError(
            f"weights file '{path}' is not a DMB weights file (format {found}, expected '{FORMAT}'); "
            "use one written by DMB's training or by `dmb weights convert`"
        )
    if metadata.get("checksum") != checksum(tensors):
        raise WeightsError(f"weights file '{path}' is damaged (its checksum differs); restore it from the repository")
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"weights file '{path}' holds numbers in {shown(name)[1:-1]} that are infinite or not a number; use "
                "another one, for instance of an earlier step of that training"
            )
    return tensors, metadata


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything that a file of this model holds."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def shown(text: object) -> str:
    """A file's own words in a message: quoted, short, and without what would steer a terminal."""
    return repr(str(text)[:80])


def differences(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> list[str]:
    """The first missing, unexpected and mis-shaped names, up to three of each; empty where nothing differs."""
    complaints = [f"missing {name}" for name in expected if name not in tensors][:3]
    complaints += [f"unexpected {shown(name)[1:-1]}" for name in tensors if name not in expected][:3]
    complaints += [
        f"{name} is {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ][:3]
    return complaints


def fill_model(model: DMBNet, tensors: Mapping[str, Tensor], path: Path, *, assign: bool = False) -> None:
    """Copy tensors into a model, or with `assign` make them its own.

    Raises:
        WeightsError: names or shapes differ; the message lists the first of them.
    """
    complaints = differences(shapes_of(model), tensors)
    if complaints:
        raise WeightsError(
            f"weights file '{path}' belongs to another network than one of {model.architecture.text} "
            f"({', '.join(complaints)}); use one written by this version of DMB"
        )
    model.load_state_dict(dict(tensors), strict=False, assign=assign)


def architecture_of(metadata: Mapping[str, str], path: Path) -> Architecture:
    """The architecture that a weights file states; older files state none, and hold the paper's.

    Raises:
        WeightsError: this version knows none of that description.
    """
    text = metadata.get("architecture")
    if text is None:
        return Architecture()
    try:
        return Architecture.parse(text)
    except ValueError:
        raise WeightsError(
            f"weights file '{path}' states the architecture {shown(text)}, which this version of DMB does not know; "
            "use a newer one"
        ) from None


def build_model(metadata: Mapping[str, str], path: Path) -> DMBNet:
    """Make the network that a weights file's metadata describe, with untrained numbers.

    Raises:
        WeightsError: they describe none.
    """
    stride_on = metadata.get("stride_on")
    if stride_on not in STRIDE_CONVENTIONS:
        raise WeightsError(
            f"weights file '{path}' states the stride convention {shown(stride_on)}, expected one of "
            f"{', '.join(STRIDE_CONVENTIONS)}; convert it again"
        )
    # what older files do not state is what they were trained with
    position, spatial_map = metadata.get("position", "add"), metadata.get("spatial_map", "distance")
    if position not in POSITIONS or spatial_map not in SPATIAL_MAPS:
        raise WeightsError(
            f"weights file '{path}' wants its spatial map to be {shown(spatial_map)} and to enter by "
            f"{shown(position)}, which this version of DMB does not know; use a newer one"
        )
    return DMBNet(
        stride_on=stride_on,
        coarse_prediction=metadata.get("coarse_prediction") == "yes",
        position=position,
        spatial_map=spatial_map,
        architecture=architecture_of(metadata, path),
    )


def load_weights(
    option: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    *,
    model: ModelName | None = None,
) -> DMBNet:
    """Load the network, ready for inference.

    Args:
        option: a weights file; default: the environment's DMB_WEIGHTS, then the project's own file.
        device: where the network goes ("cpu", "cuda", "cuda:1").
        model: "full" or "compact": the project's own file of that model; default: the environment's DMB_MODEL, then
            "full". Of a named file it only says what it must be.

    Raises:
        WeightsError: missing, damaged or incompatible file.
    """
    path = find_weights(option, model=model)
    tensors, metadata = read_weights(path)
    with torch.device("meta"):  # without numbers, which would be random
        network = build_model(metadata, path)
    fill_model(network, {name: tensor.float() for name, tensor in tensors.items()}, path, assign=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked = torch.tensor(0)  # which no file holds
    network.requires_grad_(False).eval()
    network.checksum = metadata["checksum"]
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
