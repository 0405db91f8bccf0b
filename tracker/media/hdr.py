"""Video with a high dynamic range, as ordinary pictures: one rule for PQ and HLG.

The code values become light; reference white (ITU-R BT.2408: 203 cd/m2, which is 58% of PQ's code and 75% of HLG's) and
all that is brighter becomes white; below it the curve of sRGB holds, as pictures have it that networks are trained on.
The wider colors of BT.2020 stay as they are coded, so they come out a little pale.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67
NAMES = {PQ: "PQ", HLG: "HLG"}
WHITE = 203.0  # cd/m2, reference white of PQ
HLG_WHITE = 0.75  # its code in HLG


@cache
def table(transfer: int) -> NDArray[np.uint8]:
    """The 8 bit value, as sRGB has it, for every code of 16 bit of a transfer function, PQ or HLG."""
    code = np.arange(2**16) / (2**16 - 1)
    light = _pq(code) / WHITE if transfer == PQ else _hlg(code) / _hlg(np.array([HLG_WHITE]))
    light = np.clip(light, 0, 1)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * shown + 0.5).astype(np.uint8)


def _pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2 of PQ's codes 0 to 1 (SMPTE ST 2084, the EOTF)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = code ** (1 / m2)
    return 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the scene, 0 to 1, of HLG's codes 0 to 1 (ITU-R BT.2100, the inverse OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
