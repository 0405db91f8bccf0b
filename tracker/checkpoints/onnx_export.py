"""The network's three parts as ONNX files, for runtimes without PyTorch, each compared with PyTorch's answer.

What is exported is the trained network alone: query encoder, memory encoder, reader with decoder. The correlation
filter learns online and the rest is bookkeeping; `examples/onnx_segmentation.py` shows the least that makes a tracker.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from tracker.config import TrackerConfig
from tracker.errors import UserError
from tracker.network import DMBNet, QueryFeatures
from tracker.network.encoders import KEY_CHANNELS
from tracker.network.model import STRIDE

TOLERANCE = 1e-3  # largest difference to PyTorch, absolute below 1 and relative above
OPSET = 18
EXAMPLE_FRAMES = 2  # remembered frames while tracing; the files take any number
METADATA = "dmb."  # prefix of what the files say of themselves


class ExportError(UserError):
    """ONNX files cannot be made, or answer otherwise than PyTorch; the message says what to do."""


class QueryPart(nn.Module):
    """Image 1 x 3 x S x S, RGB 0..255, to query, value and features at strides 4, 8 and 16 (see `QueryFeatures`)."""

    def __init__(self, model: DMBNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.encode_query(self.model.normalize(image)))


class MemoryPart(nn.Module):
    """Image as above and mask 1 x 1 x S x S in 0..1 to rows of keys 1 x h*w x 128 and values 1 x h*w x 512."""

    def __init__(self, model: DMBNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode_memory(self.model.normalize(image), mask)


class DecoderPart(nn.Module):
    """The query's features, M remembered rows and the spatial map 1 x 1 x h x w to probabilities 1 x 1 x S x S."""

    def __init__(self, model: DMBNet) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, query: Tensor, value: Tensor, stride4: Tensor, stride8: Tensor,
        keys: Tensor, values: Tensor, spatial_map: Tensor,
    ) -> Tensor:  # fmt: skip
        features = QueryFeatures(query, value, stride4, stride8, stride8.new_zeros(0))
        return torch.sigmoid(self.model.segment(features, keys, values, spatial_map))


@dataclass(frozen=True)
class Part:
    """One file: its name, the module, and the names of inputs and outputs in order."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def parts_of(model: DMBNet) -> tuple[Part, Part, Part]:
    """Query encoder, memory encoder, and reader with decoder."""
    features = ("query", "value", "stride4", "stride8")
    return (
        Part("query_encoder", QueryPart(model), ("image",), (*features, "stride16")),
        Part("memory_encoder", MemoryPart(model), ("image", "mask"), ("keys", "values")),
        Part("decoder", DecoderPart(model), (*features, "keys", "values", "spatial_map"), ("probability",)),
    )


@torch.inference_mode()
def example_inputs(model: DMBNet, size: int, frames: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of every part by name: a random image and mask, what the encoders make of them, `frames` in memory."""
    generator = torch.Generator().manual_seed(seed)
    cells = size // STRIDE
    image = 255.0 * torch.rand(1, 3, size, size, generator=generator)
    features = model.encode_query(model.normalize(image))
    rows = frames * cells * cells
    return {
        "image": image,
        "mask": torch.rand(1, 1, size, size, generator=generator),
        **{name: part for name, part in features._asdict().items() if name != "stride16"},
        "keys": torch.randn(1, rows, KEY_CHANNELS, generator=generator),
        "values": torch.randn(1, rows, model.architecture.value_channels, generator=generator),
        "spatial_map": torch.rand(1, 1, cells, cells, generator=generator),
    }


def _import(name: str) -> ModuleType:
    """Import a package of the extra "onnx".

    Raises:
        ExportError: it is not installed.
    """
    try:
        return __import__(name)
    except ImportError as error:
        raise ExportError(f"{name} cannot be imported ({error}); pip install onnx onnxruntime") from None


def export(
    model: DMBNet, folder: Path, *, size: int, facts: Mapping[str, str], compare: bool = True
) -> dict[Path, float | None]:
    """Write one file for each part. They appear, or replace older ones, when all are written and compared.

    Args:
        model: the network, float32, on the CPU, in evaluation mode.
        folder: is made if need be.
        size: side S of the crop, pixels, a multiple of 16; fixed in the files. The number of remembered rows is not.
        facts: what the files shall say of themselves, beside size and factor: the crop's side in pixels, and in target
            sizes as the network's usual configuration has it.
        compare: whether to compare the files with PyTorch, see `verify`.

    Returns:
        The files, each with its largest difference to PyTorch; None where it was not compared.

    Raises:
        ExportError: a package is missing, or a file answers otherwise than PyTorch; older files stay then.
        OSError: the folder cannot be written.
    """
    for package in ("onnx", "onnxruntime") if compare else ("onnx",):
        _import(package)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = example_inputs(model, size, EXAMPLE_FRAMES)
    factor = TrackerConfig.of(model.architecture.model).crop.segment_factor
    facts = {"size": str(size), "factor": f"{factor:g}", **facts}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".exporting_") as temporary:
        drafts = {part.name: Path(temporary) / f"{part.name}.onnx" for part in parts_of(model)}
        for part in parts_of(model):
            _trace(part, tuple(inputs[name].clone() for name in part.inputs), drafts[part.name])
            _describe(drafts[part.name], facts)
        differences = verify(model, Path(temporary), size=size) if compare else {}
        for draft in drafts.values():
            os.replace(draft, folder / draft.name)
    return {folder / draft.name: differences.get(name) for name, draft in drafts.items()}


def _describe(path: Path, facts: Mapping[str, str]) -> None:
    """Check a file, and write facts into it."""
    onnx = _import("onnx")
    content = onnx.load(path)
    onnx.checker.check_model(content)
    for key, text in facts.items():
        entry = content.metadata_props.add()
        entry.key, entry.value = METADATA + key, text
    onnx.save(content, path)


def _trace(part: Part, inputs: tuple[Tensor, ...], path: Path) -> None:
    """Trace a part into a file.

    By the exporter that records operators: the newer one takes minutes for these networks, splits each file in two
    and needs one package more, for the same operators.
    """
    rows: dict[str, dict[int, str]] = {
        name: {1: "rows"} for name in ("keys", "values") if name in (*part.inputs, *part.outputs)
    }
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about the exporter's age, and shapes that are meant to be fixed
        torch.onnx.export(
            part.module.eval(),
            inputs,
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_axes=rows,
        )


@torch.inference_mode()
def verify(model: DMBNet, folder: Path, *, size: int, frames: Sequence[int] = (1, 3)) -> dict[str, float]:
    """Compare every file with PyTorch on inputs that were not used for tracing, for some numbers of remembered frames.

    Returns:
        The largest difference by part: absolute where PyTorch's value is below 1, else relative to it.

    Raises:
        ExportError: a difference is above `TOLERANCE`, or the package onnxruntime is missing.
    """
    runtime = _import("onnxruntime")
    differences: dict[str, float] = {}
    for part in parts_of(model):
        session = runtime.InferenceSession(str(folder / f"{part.name}.onnx"), providers=["CPUExecutionProvider"])
        largest = 0.0
        for count in frames if "keys" in part.inputs else frames[:1]:
            inputs = example_inputs(model, size, count, seed=count)
            answers = session.run(list(part.outputs), {name: inputs[name].numpy() for name in part.inputs})
            wanted = part.module(*(inputs[name] for name in part.inputs))
            for answer, want in zip(answers, (wanted,) if isinstance(wanted, Tensor) else wanted, strict=True):
                error = (torch.from_numpy(answer) - want).abs() / want.abs().clamp(min=1.0)
                largest = max(largest, float(error.max()))
        if not largest <= TOLERANCE:
            raise ExportError(
                f"'{part.name}.onnx' differs from PyTorch by {largest:.2g}, more than {TOLERANCE:g}; do not use it, "
                "and report the versions of torch, onnx and onnxruntime"
            )
        differences[part.name] = largest
    return differences
