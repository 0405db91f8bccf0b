"""A checkpoint in the layout of the authors' release, written out name by name, with random values.

The names do not come from the tracker's own table, so that the table is tested too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

State = dict[str, NDArray]
Shapes = dict[str, tuple[int, ...]]


def layout() -> Shapes:
    """Every name of the file, without `module.`, and its shape."""
    shapes: Shapes = {}
    for encoder in ("Encoder_M", "Encoder_Q"):
        shapes[f"{encoder}.mean"] = shapes[f"{encoder}.std"] = (1, 3, 1, 1)
        shapes[f"{encoder}.conv1.weight"] = (64, 3, 7, 7)
        shapes |= _norm(f"{encoder}.bn1", 64)
        inputs = 64
        for stage, blocks, width in (("res2", 3, 64), ("res3", 4, 128), ("res4", 6, 256)):
            for block in range(blocks):
                name = f"{encoder}.{stage}.{block}"
                shapes[f"{name}.conv1.weight"] = (width, inputs, 1, 1)
                shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
                shapes[f"{name}.conv3.weight"] = (4 * width, width, 1, 1)
                shapes |= _norm(f"{name}.bn1", width) | _norm(f"{name}.bn2", width) | _norm(f"{name}.bn3", 4 * width)
                if block == 0:
                    shapes[f"{name}.downsample.0.weight"] = (4 * width, inputs, 1, 1)
                    shapes |= _norm(f"{name}.downsample.1", 4 * width)
                inputs = 4 * width
    shapes["Encoder_M.conv1_m.weight"] = shapes["Encoder_M.conv1_o.weight"] = (64, 1, 7, 7)
    for head in ("KV_M_r4", "KV_Q_r4"):
        shapes |= _convolution(f"{head}.Key", 1024, 128) | _convolution(f"{head}.Value", 1024, 512)
    shapes |= _convolution("Decoder.convFM", 1024, 256) | _residual("Decoder.ResMM")
    for refinement, skip in (("Decoder.RF3", 512), ("Decoder.RF2", 256)):
        shapes |= _convolution(f"{refinement}.convFS", skip, 256)
        shapes |= _residual(f"{refinement}.ResFS") | _residual(f"{refinement}.ResMM")
    return shapes | _convolution("Decoder.pred2", 256, 2)


def _convolution(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}


def _residual(name: str) -> Shapes:
    return _convolution(f"{name}.conv1", 256, 256) | _convolution(f"{name}.conv2", 256, 256)


def _norm(name: str, channels: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    shapes: Shapes = {f"{name}.{part}": (channels,) for part in parts}
    return shapes | {f"{name}.num_batches_tracked": ()}


def random_state(seed: int) -> State:
    """Values for every name: activations keep their size from layer to layer.

    Convolutions are rounded to half precision, in which converted weights are stored: storing them loses nothing.
    """
    rng = np.random.default_rng(seed)
    state: State = {}
    for name, shape in layout().items():
        part = name.rsplit(".", 1)[1]
        if part == "num_batches_tracked":
            state[name] = np.array(1000, np.int64)
        elif part in ("mean", "std"):  # there, and unused: values that would be noticed
            state[name] = np.full(shape, 7.0, np.float32)
        elif part == "running_mean":
            state[name] = rng.normal(0.0, 0.2, shape).astype(np.float32)
        elif part == "running_var":
            state[name] = rng.uniform(0.2, 2.0, shape).astype(np.float32)
        elif ".bn" in name or "downsample.1" in name:
            low, high = (0.2, 0.6) if ".bn3" in name else (0.6, 1.4)
            values = rng.normal(0.0, 0.2, shape) if part == "bias" else rng.uniform(low, high, shape)
            state[name] = values.astype(np.float32)
        else:
            spread = 0.1 if part == "bias" else float(np.prod(shape[1:])) ** -0.5
            spread *= 0.25 if "pred2" in name else 1.0  # the mask is to be neither 0 nor 1
            state[name] = (spread * rng.standard_normal(shape, np.float32)).astype(np.float16).astype(np.float32)
    return state


def save(state: State, path: Path) -> None:
    """Write the file as the release's training does, every name prefixed by the parallel wrapper's `module.`."""
    tensors = {f"module.{name}": torch.from_numpy(values) for name, values in state.items()}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}
    content = {"epoch": 39, "state_dict": tensors, "loss": 0.25, "minloss": 0.2, "optimizer": optimizer, "max_skip": 5}
    torch.save(content, path)
