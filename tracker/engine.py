"""Runs the network on crops: devices, precision and array conversions end here.

The tracker above deals in numpy arrays and image coordinates, the network below in tensors. One engine can serve
any number of trackers; it holds no state of a sequence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.network import DMBNet, QueryFeatures, Window

Precision = Literal["auto", "float32", "bfloat16", "float16"]

Answer = TypeVar("Answer")

WINDOW_THRESHOLD = 0.25  # coarse probability above which a cell is worth refining
WINDOW_MARGIN = 3  # cells of stride 8 around them; the refinement's receptive field


class DeviceError(ValueError):
    """The wanted device is not there; the message says what to choose instead."""


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


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Choose the arithmetic: half precision on a GPU, bfloat16 on a CPU that has it, else float32."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def is_full(error: BaseException) -> bool:
    """Whether an error says that a device's memory is full: PyTorch's own, or one of CUDA, cuBLAS or cuDNN."""
    words = ("out of memory", "STATUS_ALLOC_FAILED")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, torch.OutOfMemoryError)


class Engine:
    """The network on one device in one precision.

    Where a GPU's memory is full the answers go on: half of the remembered frames are read, then half of those; where
    one alone does not fit, or anything else, the network moves to the CPU and stays there. Each step is warned of
    (RuntimeWarning). Tensors that were made before may be on either device.

    Args:
        model: the network, in evaluation mode, on its device.
        precision: arithmetic of convolutions and attention.
    """

    def __init__(self, model: DMBNet, *, precision: Precision = "auto") -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.dtype = resolve_precision(precision, self.device)
        self._autocast = self.dtype != torch.float32
        self._can_move = self.device.type != "cpu"
        self._frames_read: int | None = None  # of the appearance memory, at most; None: all

    def _context(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self._autocast)

    def _run(self, step: Callable[[], Answer]) -> Answer:
        """Do a step that takes its tensors to `self.device`; where they do not fit, do it on the CPU."""
        try:
            return step()
        except RuntimeError as error:
            if not (self._can_move and is_full(error)):
                raise
        self._move_to_cpu()  # outside the handler, whose traceback would keep tensors alive
        return step()

    def _move_to_cpu(self) -> None:
        self._warn("the tracker goes on on the CPU, slower")
        self._can_move, self._frames_read = False, None
        self.device = torch.device("cpu")
        self.model.to(self.device)
        torch.cuda.empty_cache()  # of the parameters, for others on the GPU
        self.dtype = resolve_precision("auto", self.device)
        self._autocast = self.dtype != torch.float32

    def _warn(self, what: str) -> None:
        """Say what is done about the full memory, and give back to it what is unused."""
        remedy = "lower DMB_MAX_FRAMES or DMB_CROP_SIZE, or end other programs there"
        warnings.warn(f"the memory of {self.device} is full; {what}; {remedy}", RuntimeWarning, stacklevel=2)
        torch.cuda.empty_cache()  # nothing where there is no GPU

    @torch.inference_mode()
    def normalise(self, crops: NDArray[np.uint8]) -> Tensor:
        """Upload crops N x S x S x 3 (RGB) and normalise them to N x 3 x S x S."""

        def step() -> Tensor:
            tensor = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device, non_blocking=True)
            tensor = tensor.permute(0, 3, 1, 2).float()
            return self.model.normalise(tensor).contiguous(memory_format=torch.channels_last)

        return self._run(step)

    @torch.inference_mode()
    def encode_query(self, images: Tensor) -> QueryFeatures:
        """Run the query encoder on normalised crops N x 3 x S x S."""

        def step() -> QueryFeatures:
            with self._context():
                return self.model.encode_query(images.to(self.device))

        return self._run(step)

    @torch.inference_mode()
    def filter_features(self, images: Tensor, *, batch: int = 4) -> Tensor:
        """Stride-16 features N x 1024 x S/16 x S/16, float32, of many crops."""

        def step() -> Tensor:
            with self._context():
                parts = [self.model.query_encoder(part.to(self.device))[2].float() for part in images.split(batch)]
            return torch.cat(parts)

        return self._run(step)

    @torch.inference_mode()
    def encode_memory(self, image: Tensor, mask: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Run the memory encoder on one normalised crop 1 x 3 x S x S and its mask S x S.

        Returns:
            Key and value rows, 1 x (h*w) x 128 and 1 x (h*w) x 512.
        """

        def step() -> tuple[Tensor, Tensor]:
            with self._context():
                return self.model.encode_memory(
                    image.to(self.device), torch.from_numpy(mask).to(self.device)[None, None]
                )

        return self._run(step)

    @torch.inference_mode()
    def segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Predict the target's probability S x S on one crop.

        Refines only where the coarse prediction sees something; where it sees nothing, its answer stands.

        Args:
            features: query features of the crop.
            keys: 1 x M x 128, remembered.
            values: 1 x M x 512.
            spatial_map: S/16 x S/16.
        """
        cells = features.query.shape[-2] * features.query.shape[-1]
        while self._can_move:
            frames = min(keys.shape[1] // cells, self._frames_read or keys.shape[1])
            try:
                return self._segment(features, keys[:, : frames * cells], values[:, : frames * cells], spatial_map)
            except RuntimeError as error:
                if not is_full(error):
                    raise
                less = frames // 2
            if not less:
                self._move_to_cpu()
                break
            self._frames_read = less  # the first frame is among them
            self._warn(f"the tracker reads {less} of the remembered frames from now on")
        return self._segment(features, keys, values, spatial_map)

    def _segment(
        self, features: QueryFeatures, keys: Tensor, values: Tensor, spatial_map: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        # made elsewhere, perhaps, under autocast, which alone takes other types than the parameters'
        kind = None if self._autocast else torch.float32
        features = QueryFeatures(*(part.to(self.device, kind) for part in features))
        keys, values = keys.to(features.query), values.to(features.query)  # remembered elsewhere, perhaps
        with self._context():
            positions = torch.from_numpy(spatial_map).to(self.device)[None, None]
            if not self.model.coarse_prediction:
                return self._probability(self.model.segment(features, keys, values, positions))
            features8, coarse = self.model.decode_coarse(features, keys, values, positions)
            probability = self._probability(coarse)
            window = refinement_window(probability)
            if window is not None:
                rows, columns = window.slices(8)
                probability[rows, columns] = self._probability(self.model.refine(features, features8, window))
        return probability

    @staticmethod
    def _probability(logit: Tensor) -> NDArray[np.float32]:
        return torch.sigmoid(logit[0, 0].float()).cpu().numpy()


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
