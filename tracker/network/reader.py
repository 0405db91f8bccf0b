"""The memory reader: one softmax attention from the query to every remembered position (eqs. 3-5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def to_rows(features: Tensor) -> Tensor:
    """Rearrange N x C x h x w into rows N x (h*w) x C, the layout that the reader multiplies."""
    return features.flatten(2).transpose(1, 2)


def pad_memory(keys: Tensor, values: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lengthen a memory to a fixed number of rows, for the reader of fixed shapes.

    Args:
        keys: N x M x 128.
        values: N x M x V.
        rows: at least M.

    Returns:
        Keys and values of `rows` rows, the last of them zero, and the bias 1 x 1 x rows with which `read_memory`
        overlooks these: 0 for rows that are there, minus infinity for the others.
    """
    missing = rows - keys.shape[1]
    bias = keys.new_zeros(1, 1, rows)
    if missing:
        keys, values = (functional.pad(tensor, (0, 0, 0, missing)) for tensor in (keys, values))
        bias[..., rows - missing :] = -math.inf
    return keys, values, bias


def read_memory(query: Tensor, query_value: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Read the appearance memory.

    Eq. 4 prints no scale; as in the authors' release the dot products are divided by sqrt(128). Its sum runs over all
    positions of all frames; the index t-1 in the printed denominator is a slip for k.

    PyTorch's `scaled_dot_product_attention` computes the same. Keys and values of unequal width are not what its fast
    kernels are for: in bfloat16 on a CPU it took twice as long (15 ms and 7 ms for five frames of 24 x 24 cells on two
    cores with AVX-512, 2026-11-27).

    Args:
        query: N x 128 x h x w.
        query_value: N x V x h x w.
        keys: N x M x 128, one row per remembered position (M = frames * h * w).
        values: N x M x V.
        bias: added to the scaled dot products, N x h*w x M or broadcast to it; see `pad_memory`.

    Returns:
        The read-out R_t of eq. 5: the retrieved value, then the query's own value, N x 2V x h x w.
    """
    products = torch.matmul(to_rows(query), keys.transpose(1, 2)) / math.sqrt(keys.shape[-1])
    if bias is not None:
        products = products + bias
    # half precision has too few digits for sums over thousands of positions
    weights = torch.softmax(products, dim=-1, dtype=torch.promote_types(products.dtype, torch.float32))
    retrieved = torch.matmul(weights.to(values.dtype), values)
    return torch.cat([retrieved.transpose(1, 2).reshape_as(query_value), query_value], dim=1)
