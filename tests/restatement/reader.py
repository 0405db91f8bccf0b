"""Equations 3 to 5, position by position."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KEY_CHANNELS = 128


# Eq. 4. Slips of the print: the denominator's key has the index t-1 for k, and its sum (as in eq. 3) starts at k = 1,
# which would forget the first frame; no scale is printed, the release divides by the root of the key's 128 channels.
def affinity(query: Array, keys: Sequence[Array]) -> Array:
    """A_t^{i,j,k}: frames x positions j, for one query position.

    Args:
        query: Ck, the query at position i.
        keys: of frames 0 to t-1, each Ck x h x w.
    """
    height, width = keys[0].shape[1:]
    similarity = np.zeros((len(keys), height * width))
    for k, key in enumerate(keys):
        for row in range(height):
            for column in range(width):
                dot = sum(float(q) * float(other) for q, other in zip(query, key[:, row, column], strict=True))
                similarity[k, row * width + column] = math.exp(dot / math.sqrt(KEY_CHANNELS))
    return similarity / sum(float(value) for value in similarity.flat)


# Eq. 3. The slip k = 1 again: frames 0 to t-1 are read.
def retrieve(query: Array, keys: Sequence[Array], values: Sequence[Array]) -> Array:
    """V_A,t: Cv x h x w, from the query Ck x h x w and the keys and values of frames 0 to t-1."""
    height, width = query.shape[1:]
    retrieved = np.zeros((len(values[0]), height, width))
    memory_width = keys[0].shape[2]
    for row in range(height):
        for column in range(width):
            weights = affinity(query[:, row, column], keys)
            for k, value in enumerate(values):
                for j, weight in enumerate(weights[k]):
                    retrieved[:, row, column] += weight * value[:, j // memory_width, j % memory_width]
    return retrieved


# Eq. 5.
def read(query: Array, query_value: Array, keys: Sequence[Array], values: Sequence[Array]) -> Array:
    """R_t = concat[V_A,t, V_Q,t]: the retrieved value first."""
    return np.concatenate([retrieve(query, keys, values), query_value])
