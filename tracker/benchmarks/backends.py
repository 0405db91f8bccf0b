"""How long the network's two large parts take in the engine's way and in other programs, on the CPU.

The engine's way (`tracker.network.fused`) needs no compiler and no further package. Whether one of them would be faster
depends on the machine, so it is measured on it: PyTorch as it is written, with autocast, with `torch.compile`; the ONNX
files of `tracker.onnx_export` in ONNX Runtime and OpenVINO. All refine the mask everywhere, and read as many frames;
those of PyTorch also compute the coarse mask, which the ONNX files lack (one small convolution).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracker.network import DMBNet, QueryFeatures
from tracker.network.fused import fuse
from tracker.onnx_export import ExportError, example_inputs, export, parts_of

PARTS = ("query_encoder", "decoder")  # as the ONNX files are called; most of a frame
OURS = "dmb"
WARM_UPS = 3  # runs that do not count, in which programs choose what they do

Run = Callable[[], Sequence[Any]]  # one pass; what it answers, as tensors or arrays in the order of the part's outputs


class UnavailableError(RuntimeError):
    """A back end is not there or does not take the network; the message says why."""


@dataclass(frozen=True)
class Setup:
    """What every back end is given.

    Attributes:
        model: float32, on the CPU, in evaluation mode.
        dtype: the arithmetic it may use; one that cannot, uses float32.
        inputs: float32, by the names of the ONNX files.
        files: folder of the ONNX files; empty where they could not be written.
    """

    model: DMBNet
    dtype: torch.dtype
    inputs: Mapping[str, Tensor]
    files: Path

    def file(self, part: str) -> str:
        """The part's ONNX file.

        Raises:
            UnavailableError: it was not written.
        """
        path = self.files / f"{part}.onnx"
        if not path.is_file():
            raise UnavailableError("needs the packages onnx and onnxruntime")
        return str(path)

    def arrays(self, part: str) -> dict[str, np.ndarray[Any, Any]]:
        """What the part's ONNX file takes."""
        names = next(found.inputs for found in parts_of(self.model) if found.name == part)
        return {name: np.ascontiguousarray(self.inputs[name].numpy()) for name in names}


@dataclass(frozen=True)
class Row:
    """One back end on one part.

    Attributes:
        name: of the back end.
        milliseconds: of each pass; none where it is unavailable.
        difference: of its answers to those of plain float32, root mean square relative to theirs.
        reason: why it is unavailable.
    """

    name: str
    milliseconds: tuple[float, ...] = ()
    difference: float = float("nan")
    reason: str = ""

    def line(self) -> str:
        """The numbers as text."""
        if not self.milliseconds:
            return f"  {self.name:14s} not measured: {self.reason}"
        low, middle, high = np.percentile(self.milliseconds, (10, 50, 90))
        spread = f"10% to 90%: {low:.1f} to {high:.1f}"
        return f"  {self.name:14s} {middle:8.1f} ms ({spread}), differs by {self.difference:.4f}"


def _of_network(network: DMBNet, setup: Setup, part: str, dtype: torch.dtype, layout: torch.memory_format) -> Run:
    """A pass of a part through PyTorch, on inputs of the layout that the network is in."""
    given = {
        name: tensor.to(dtype, memory_format=layout) if tensor.ndim == 4 else tensor.to(dtype)
        for name, tensor in setup.inputs.items()
    }
    image = setup.inputs["image"].contiguous(memory_format=layout)
    none = image.new_zeros(0)
    features = QueryFeatures(given["query"], given["value"], given["stride4"], given["stride8"], none)

    def encode() -> Sequence[Tensor]:
        return tuple(network.encode_query(network.normalise(image).to(dtype)))

    def decode() -> Sequence[Tensor]:
        logit = network.segment(features, given["keys"], given["values"], given["spatial_map"])
        return (torch.sigmoid(logit),)

    return encode if part == PARTS[0] else decode


def _plain(setup: Setup, part: str) -> Run:
    network: DMBNet = deepcopy(setup.model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return _of_network(network, setup, part, torch.float32, torch.contiguous_format)


def _ours(setup: Setup, part: str) -> Run:
    return _of_network(fuse(setup.model, setup.dtype), setup, part, setup.dtype, torch.channels_last)


def _autocast(setup: Setup, part: str, change: Callable[[Run], Run] = lambda run: run) -> Run:
    network: DMBNet = deepcopy(setup.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = change(_of_network(network, setup, part, torch.float32, torch.channels_last))

    def cast() -> Sequence[Tensor]:
        with torch.autocast("cpu", setup.dtype, enabled=setup.dtype != torch.float32):
            return run()

    return cast


def _compiled(setup: Setup, part: str) -> Run:
    """By inductor, with weights as constants, so that it may fold and lay them out."""
    import torch._inductor.config as inductor

    run = _autocast(setup, part, torch.compile)
    with inductor.patch(freezing=True):  # type: ignore[no-untyped-call]
        run()
    return run


def _onnx_runtime(setup: Setup, part: str) -> Run:
    """In float32: its CPU provider has no faster arithmetic for these operators."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # its threads would disturb who comes next
    session = onnxruntime.InferenceSession(setup.file(part), options, providers=["CPUExecutionProvider"])
    arrays = setup.arrays(part)
    return lambda: session.run(None, arrays)


def _openvino(setup: Setup, part: str) -> Run:
    import openvino

    precision = {torch.bfloat16: "bf16", torch.float16: "f16"}.get(setup.dtype, "f32")
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(setup.file(part), "CPU", options)
    arrays = setup.arrays(part)
    return lambda: list(compiled(arrays).values())


# the first one is what the others are compared with
BACK_ENDS: dict[str, Callable[[Setup, str], Run]] = {
    "plain": _plain,
    "autocast": _autocast,
    OURS: _ours,
    "torch.compile": _compiled,
    "onnxruntime": _onnx_runtime,
    "openvino": _openvino,
}


@contextmanager
def prepared(model: DMBNet, dtype: torch.dtype, *, size: int, frames: int) -> Iterator[Setup]:
    """Random inputs, and the ONNX files while the context lasts.

    Args:
        model: float32, on the CPU, in evaluation mode.
        dtype: see `Setup`.
        size: side of the crop, pixels, a multiple of 16.
        frames: remembered frames that the decoder reads.
    """
    with tempfile.TemporaryDirectory(prefix="dmb_backends_") as folder:
        with suppress(ExportError):  # a package is missing; `Setup.file` tells, back end by back end
            export(model, Path(folder), size=size, facts={}, compare=False)
        yield Setup(model, dtype, example_inputs(model, size, frames), Path(folder))


def _difference(answers: Sequence[Any], wanted: Sequence[Any]) -> float:
    """Root mean square difference of all outputs, relative to what is wanted."""
    pairs = [(torch.as_tensor(a).float(), torch.as_tensor(b).float()) for a, b in zip(answers, wanted, strict=True)]
    off = sum(float((a - b).square().mean() / b.square().mean()) for a, b in pairs if b.numel())
    return float(np.sqrt(off / len(pairs)))


def _first(make: Callable[[Setup, str], Run], setup: Setup, part: str) -> tuple[Run, Sequence[Any]]:
    """A back end after its warm-up, and its answers.

    Raises:
        UnavailableError: it does not work here.
    """
    try:
        run = make(setup, part)
        for _ in range(WARM_UPS):
            answers = run()
    except ImportError as error:
        reason = f"the package {error.name} is not installed" if error.name else str(error)
        raise UnavailableError(reason) from error
    except UnavailableError:
        raise
    except Exception as error:  # compilers and runtimes have their own kinds
        raise UnavailableError((str(error).strip() or type(error).__name__).splitlines()[0]) from error
    return run, answers


@torch.inference_mode()
def measure(setup: Setup, part: str, repetitions: int) -> list[Row]:
    """Time all back ends in turn, pass by pass, so that whatever else the machine does slows all of them."""
    runs, reasons, differences = dict[str, Run](), dict[str, str](), dict[str, float]()
    first, wanted = next(iter(BACK_ENDS)), None
    for name, make in BACK_ENDS.items():
        try:
            runs[name], answers = _first(make, setup, part)
        except UnavailableError as error:
            reasons[name] = str(error)
            continue
        wanted = answers if name == first else wanted
        differences[name] = float("nan") if wanted is None else _difference(answers, wanted)
    spent = {name: list[float]() for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            spent[name].append(1000 * (time.perf_counter() - start))
    return [
        Row(name, tuple(spent[name]), differences[name]) if name in runs else Row(name, reason=reasons[name])
        for name in BACK_ENDS
    ]
