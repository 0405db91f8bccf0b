"""Equations 9 to 11, and the release's rule, over the whole history at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Verdict(NamedTuple):
    """What one frame may do."""

    uncertainty: float
    remember: bool
    found: bool
    average: float = math.nan  # what U was compared with, where an equation says


# Eq. 9. A slip of the print: the maximum is taken over V_S,t, the label; the peak is that of the map R_S,t.
def uncertainty(peak: float) -> float:
    """U_t; no peak at all is infinitely uncertain."""
    return 1.0 / peak if 0.0 < peak < math.inf else math.inf


# Eq. 10. Slips of the print: the sum over k = 1 .. L-1 has L-1 terms and is divided by L; U_0, the earliest of the
# queue, is left out. Only a full queue is defined; a shorter one is read as its plain mean, an empty one as no bound.
def average(queue: Sequence[float], length: int) -> float:
    """U_avg,t of the queue before frame t, the earliest first."""
    if not queue:
        return math.inf
    if len(queue) < length:
        return sum(queue) / len(queue)
    total = 0.0
    for k in range(1, length):
        total += queue[k]
    return total / length


# Eq. 11. Gaps of the print: U = U_avg is in no case (removed here); where U is below U_avg and above the limit, two
# cases hold (the limit wins: "removed directly").
def decide(value: float, mean: float, limit: float) -> bool:
    """D_t: whether the frame is preserved."""
    if value > limit:
        return False
    return value < mean


def paper(peaks: Sequence[float], length: int, limit: float, lost_above: float = 4.0) -> list[Verdict]:
    """Eqs. 9-11 for all frames; frames above the limit do not enter the queue, all others do.

    They filter the samples of the appearance memory (Section III-E). That the filter learns up to `lost_above` is
    not the paper's.
    """
    values = [uncertainty(peak) for peak in peaks]
    verdicts = []
    for t, value in enumerate(values):
        queue = [earlier for earlier in values[:t] if earlier <= limit][-length:]
        mean = average(queue, length)
        verdicts.append(Verdict(value, decide(value, mean, limit), value <= lost_above, mean))
    return verdicts


def relative(peaks: Sequence[float], length: int = 25) -> list[Verdict]:
    """The release: U = mean of up to 25 accepted peaks / this peak, zero on the first four frames."""
    accepted: list[float] = []
    verdicts = []
    for t, peak in enumerate(peaks):
        if not 0.0 < peak < math.inf:
            value = math.inf
        elif t < 4 or not accepted:
            value = 0.0
        else:
            recent = accepted[-length:]
            value = sum(recent) / len(recent) / peak
        verdicts.append(Verdict(value, value < 10.0, value < 3.0))
        if value < 3.0:
            accepted.append(peak)
    return verdicts
