"""Runs the network on crops: devices, precision and array conversions end here.

The tracker above deals in numpy arrays and image coordinates, the network below in tensors. One engine can serve
any number of trackers; it holds no state of a sequence. With graphs one thread at a time may use it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.config import Precision
from tracker.engine.graphs import CudaRecorder, Function, Graphs, Recorder
from tracker.engine.heap import give_back
from tracker.engine.resampling import resample
from tracker.errors import DeviceError, DeviceFullError
from tracker.geometry.crop import Crop
from tracker.network import DMBNet, QueryFeatures, Window
from tracker.network.fused import fuse
from tracker.network.model import mask_logit
from tracker.network.reader import pad_memory, read_memory

WINDOW_THRESHOLD = 0.25  # coarse probability above which a cell is worth refining
WINDOW_MARGIN = 3  # cells of stride 8 around them; the refinement's receptive field
FRAMES_STEP = 5  # with graphs: remembered frames are padded to this number, or its double, and so on
# how far answers of graphs may be from those of the plain way
MOST_CROP = 0.035  # of a crop's pixel, normalized: two gray levels; OpenCV rounds, and 0.98 was measured
MOST_STEP = 0.02  # of a step of the network, relative root mean square
MOST_MASK = 0.02  # probability, mean


_opencv_threads = 1  # before a fork


def stop_opencv_threads() -> None:
    """End OpenCV's threads before a fork: its child would wait forever for them, or for their end."""
    global _opencv_threads
    _opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)


def start_opencv_threads() -> None:
    """Let the parent have its threads again."""
    cv2.setNumThreads(_opencv_threads)


def one_torch_thread() -> None:
    """What a forked child does first: the threads that OpenMP waits for have stayed with its parent."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=stop_opencv_threads, after_in_parent=start_opencv_threads, after_in_child=one_torch_thread
    )


def resolve_device(name: str) -> torch.device:
    """Turn "auto", "cpu" or "cuda[:n]" into a device.

    Raises:
        DeviceError: unknown name, or no such CUDA device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise DeviceError(f"unknown device '{name}'; use auto, cpu, cuda or cuda:<number>")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise DeviceError(f"device '{name}' is not available (CUDA devices found: {found}); use auto or cpu")
    return torch.device(name)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; emulated, it is many times slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in checks if hasattr(torch.cpu, name))


def gpu_has_bfloat16(device: torch.device) -> bool:
    """Whether the GPU multiplies bfloat16 in hardware; PyTorch's own answer counts emulation, which is slow."""
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Choose the arithmetic: half precision on a GPU, bfloat16 on a CPU that has it, else float32."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if gpu_has_bfloat16(device) else torch.float16
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def is_full(error: BaseException) -> bool:
    """Whether an error says that a device's memory is full: PyTorch's own, or one of CUDA, cuBLAS or cuDNN."""
    words = ("out of memory", "STATUS_ALLOC_FAILED")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, torch.OutOfMemoryError)


class Engine:
    """The network on one device in one precision.

    What runs is a copy for inference, see `tracker.network.fused`; it is made at the first use. A network that was
    read from a weights file is let go of then, so that its parameters are held once.

    The plain way: only the remembered frames are read, and the mask is refined only where the coarse prediction sees
    something. With graphs, which are for GPUs, shapes are static: the memory is padded, the mask refined everywhere,
    so that every step is one CUDA graph (`tracker.engine.graphs`); crops are made on the GPU
    (`tracker.engine.resampling`) of a frame that is uploaded once. Each step is done in both ways at its first
    call. Where the answers differ, or a graph cannot be recorded, graphs are given up with a warning (RuntimeWarning).

    Where a GPU's memory is full, every method raises `DeviceFullError`.

    Args:
        model: the network, in evaluation mode, on its device. What becomes of its parameters after the first use is
            not seen, and `model` of the engine may be the copy.
        precision: arithmetic of convolutions and attention.
        graphs: run through graphs. On a CPU a stand-in takes their place (for tests).
    """

    def __init__(self, model: DMBNet, *, precision: Precision = "auto", graphs: bool = False) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.dtype = resolve_precision(precision, self.device)
        self._network: DMBNet | None = None
        self._graphs = self._new_graphs(graphs)
        self._compared: set[str] = set()  # steps that were done in both ways
        self._frame: tuple[NDArray[np.uint8], Tensor] | None = None  # the last one begun, and where it was uploaded

    def _new_graphs(self, static: bool) -> Graphs | None:
        return None if not static else Graphs(CudaRecorder() if self.device.type == "cuda" else Recorder)

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        """Copies of a tracker share its engine, which knows of no sequence."""
        memo[id(self.model)] = self.model
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: without what is made anew at the first use."""
        kept = self._network if self._network is self.model else None
        return vars(self) | {"_network": kept, "_frame": None, "_graphs": self._graphs is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._graphs = self._new_graphs(state["_graphs"])

    @property
    def network(self) -> DMBNet:
        """The copy of the network that runs: its tensors are of `self.dtype`, on `self.device`."""
        if self._network is None:
            self._network = self._prepare()
            if self.model.checksum is not None:
                self.model = self._network
            give_back()
        return self._network

    def _prepare(self) -> DMBNet:
        return fuse(self.model, self.dtype)

    @property
    def graphs(self) -> int | None:
        """How many graphs stand ready; None where shapes are not static, 0 where graphs do not work."""
        return None if self._graphs is None else len(self._graphs)

    def _call(self, name: str, function: Function, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Call a function of tensors on `self.device`, as a graph where there are graphs; see `Graphs.call`."""
        if self._graphs is None:
            return function(*inputs)
        answers = self._graphs.call(name, function, *inputs)
        if self._first(name):
            plain = function(*inputs)
            error = max(_difference(*pair) for pair in zip(answers, plain, strict=True))
            if not error <= MOST_STEP:
                self._give_up(f"'{name}' differs by {error:.3f}")
                return plain
        return answers

    def _first(self, name: str) -> bool:
        """Whether a step is done for the first time, so that it is to be done in both ways."""
        if name in self._compared or not self._graphs:
            return False
        self._compared.add(name)
        return True

    def _give_up(self, difference: str) -> None:
        self._graphs = self._frame = None
        text = f"CUDA graphs give other answers than the plain way ({difference}); the tracker goes on without them"
        warnings.warn(text, RuntimeWarning, stacklevel=4)

    @contextmanager
    def _memory(self) -> Iterator[None]:
        """Say what to do where the device's memory is full inside; raises DeviceFullError."""
        try:
            yield
        except RuntimeError as error:
            if not is_full(error):
                raise
            raise DeviceFullError(self.device) from error

    def _upload(self, array: NDArray) -> Tensor:
        """Copy an array to the device; from pinned memory the host need not wait until it is there."""
        tensor = torch.from_numpy(np.require(array, requirements=("C", "W")))
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def begin(self, image: NDArray[np.uint8]) -> None:
        """Say which frame H x W x 3 the next crops are cut from, so that it is uploaded once; never needed.

        Raises:
            DeviceError: this process was forked from one that uses the GPU.
        """
        if self.device.type == "cuda" and torch.cuda._is_in_bad_fork():  # type: ignore[attr-defined]
            raise DeviceError(
                "this process was forked from one that uses the GPU, which CUDA does not allow; start processes with "
                "multiprocessing.get_context('spawn'), or track on the CPU (DMB_DEVICE=cpu)"
            )
        with self._memory():
            self._frame = None if self._graphs is None else (image, self._upload(image))

    @torch.inference_mode()
    def pixels(self, image: NDArray[np.uint8], crop: Crop) -> Tensor:
        """Cut a crop out of an image H x W x 3 (RGB) and normalize it, 1 x 3 x S x S.

        With graphs on the device, see `tracker.engine.resampling`; otherwise by `Crop.extract`.
        """
        with self._memory():
            if self._graphs is not None:
                answer = self._resampled(image, crop)
                if not self._first("crop"):
                    return answer
                error = float((answer - self.normalize(crop.extract(image)[None])).abs().max())
                if error <= MOST_CROP:
                    return answer
                self._give_up(f"a normalized crop differs by {error:.3f}")
            return self.normalize(crop.extract(image)[None])

    def _resampled(self, image: NDArray[np.uint8], crop: Crop) -> Tensor:
        def cut(frame: Tensor, columns: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
            normalized = self.model.normalize(resample(frame, columns, rows, crop.size))
            return (normalized.contiguous(memory_format=torch.channels_last),)

        begun = self._frame
        frame = begun[1] if begun is not None and begun[0] is image else self._upload(image)
        columns, rows = self._upload(np.array(crop.sampling(image.shape), np.float32))
        return self._call(f"crop of {crop.size}", cut, frame, columns, rows)[0]

    @torch.inference_mode()
    def normalize(self, crops: NDArray[np.uint8]) -> Tensor:
        """Upload crops N x S x S x 3 (RGB) and normalize them to N x 3 x S x S."""
        with self._memory():
            tensor = self._upload(crops).permute(0, 3, 1, 2).float()
            return self.model.normalize(tensor).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode_query(self, images: Tensor) -> QueryFeatures:
        """Run the query encoder on normalized crops N x 3 x S x S."""
        with self._memory():
            network, inputs = self.network, images.to(self.device, self.dtype)
            return QueryFeatures(*self._call("encode_query", network.encode_query, inputs))

    @torch.inference_mode()
    def filter_features(self, images: Tensor) -> Tensor:
        """Stride-16 features N x 1024 x S/16 x S/16, float32, of N crops in one pass."""

        def encode(part: Tensor) -> tuple[Tensor, ...]:
            return (self.network.query_encoder(part)[2].float(),)

        with self._memory():
            (features,) = self._call("filter_features", encode, images.to(self.device, self.dtype))
            return features

    @torch.inference_mode()
    def encode_memory(self, image: Tensor, mask: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Run the memory encoder on one normalized crop 1 x 3 x S x S and its mask S x S.

        Returns:
            Key and value rows, 1 x (h*w) x 128 and 1 x (h*w) x 512.
        """
        with self._memory():
            inputs = image.to(self.device, self.dtype), self._upload(mask)[None, None].to(self.dtype)
            key, value = self._call("encode_memory", self.network.encode_memory, *inputs)
            return key, value

    @torch.inference_mode()
    def segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Predict the target's probability S x S on one crop.

        Without graphs the mask is refined only where the coarse prediction sees something; where it sees nothing, its
        answer stands.

        Args:
            features: query features of the crop.
            keys: 1 x M x 128, remembered.
            values: 1 x M x 512.
            spatial_map: S/16 x S/16.
        """
        with self._memory():
            # of another type where a state was saved in another precision
            features = QueryFeatures(*(part.to(self.device, self.dtype) for part in features))
            keys, values = keys.to(features.query), values.to(features.query)
            positions = self._upload(spatial_map)[None, None].to(self.dtype)
            if self._graphs is not None:
                answer = self._decode(features, self._read(features, keys, values), positions)
                if not self._first("segment"):
                    return answer
                error = float(np.abs(answer - self._segment(features, keys, values, positions)).mean())
                if error <= MOST_MASK:
                    return answer
                self._give_up(f"probabilities of a mask differ by {error:.3f}")
            return self._segment(features, keys, values, positions)

    def _segment(self, features: QueryFeatures, keys: Tensor, values: Tensor, positions: Tensor) -> NDArray[np.float32]:
        """The probability in the plain way."""
        network = self.network
        if not network.coarse_prediction:
            return self._probability(network.segment(features, keys, values, positions))
        features8, coarse = network.decode_coarse(features, keys, values, positions)
        probability = self._probability(coarse)
        window = refinement_window(probability)
        if window is not None:
            rows, columns = window.slices(8)
            probability[rows, columns] = self._probability(network.refine(features, features8, window))
        return probability

    def _read(self, features: QueryFeatures, keys: Tensor, values: Tensor) -> Tensor:
        """The read-out of a memory that is padded to one of few lengths; on the GPU one graph for each of them."""

        def read(*inputs: Tensor) -> tuple[Tensor, ...]:
            return (read_memory(*inputs),)

        rows = FRAMES_STEP * features.query.shape[-2] * features.query.shape[-1]
        while rows < keys.shape[1]:
            rows *= 2
        return self._call("read", read, features.query, features.value, *pad_memory(keys, values, rows))[0]

    def _decode(self, features: QueryFeatures, readout: Tensor, positions: Tensor) -> NDArray[np.float32]:
        """The probability, refined everywhere; here the host waits for the device."""
        decoder = self.network.decoder

        def decode(readout: Tensor, stride4: Tensor, stride8: Tensor, positions: Tensor) -> tuple[Tensor, ...]:
            logits = decoder.refine(stride4, decoder.features(readout, stride8, positions))
            return (torch.sigmoid(mask_logit(logits).float()),)

        inputs = readout, features.stride4, features.stride8, positions
        return self._call("decode", decode, *inputs)[0][0, 0].cpu().numpy()

    @staticmethod
    def _probability(logit: Tensor) -> NDArray[np.float32]:
        return torch.sigmoid(logit[0, 0].float()).cpu().numpy()


def _difference(answer: Tensor, expected: Tensor) -> float:
    """Relative root mean square of the difference."""
    return float((answer - expected).float().norm() / (expected.float().norm() + 1e-6))


def refinement_window(probability: NDArray[np.float32]) -> Window | None:
    """The window of stride-8 cells around everything that the coarse prediction S x S deems possible."""
    possible = probability > WINDOW_THRESHOLD
    rows, columns = np.flatnonzero(possible.any(1)), np.flatnonzero(possible.any(0))
    if not len(rows):
        return None
    cells = probability.shape[0] // 8
    top, left = (max(0, int(positions[0]) // 8 - WINDOW_MARGIN) for positions in (rows, columns))
    bottom, right = (min(cells, int(positions[-1]) // 8 + 1 + WINDOW_MARGIN) for positions in (rows, columns))
    return Window(top, left, bottom - top, right - left)
