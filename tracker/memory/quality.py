"""The quality gate: which frames may change the memories (Section III-E, eqs. 9-11).

A frame in which the target is hidden or confused with another teaches both memories the wrong thing. The peak
of the spatial map says how sure the filter is; the gate turns it into decisions, by one of three rules
(`GateConfig.rule`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from tracker.config import GateConfig
from tracker.memory.snapshot import Snapshot


@dataclass(frozen=True)
class Decision:
    """What may be done with one frame.

    Attributes:
        uncertainty: U >= 0; infinite where the peak is not positive or not finite.
        found: the filter has found the target: it learns from the frame, and the target's size may follow the mask.
        remember: the frame may enter the appearance memory.
        reason: why it may or may not, in a few words.
        average: what the uncertainty was compared with: U_avg of eq. 10, or under "relative" the mean accepted peak.
            Infinite while there is nothing to compare with, NaN where nothing is compared.
    """

    uncertainty: float
    found: bool
    remember: bool
    reason: str
    average: float = math.nan


class QualityGate:
    """Judges frames one by one, by the peak of the windowed scores.

    A peak that is not positive or not finite is infinitely uncertain under every rule. No rule decides what is
    segmented: every frame is.

    "paper": eqs. 9-11 as printed. U = 1 / peak. A frame is preserved iff U is below U_avg and not above
    `max_uncertainty`. Section III-E filters the samples of the appearance memory so, and no others: were the filter's
    samples filtered too, both memories would starve, since U rises as the target changes and is never below its
    average again. The filter learns wherever U is at most `lost_above`. What the paper leaves open is read so:

    - The queue holds the uncertainty of every judged frame, preserved or not: were it only preserved ones,
      each below the mean before it, the mean would sink until nothing passes. Frames above `max_uncertainty`
      are "removed directly" and do not enter; one of them would outweigh all others.
    - U_avg is taken over the frames before this one. Eq. 10 defines it for a full queue U_0 (the earliest) to
      U_{L-1}: the sum leaves U_0 out and is divided by L all the same, as printed. While fewer than L are
      queued, eq. 10 says nothing and U_avg is their plain mean.
    - With an empty queue, in the first tracked frame, only `max_uncertainty` decides.
    - U equal to U_avg, which eq. 11 leaves out, is not preserved.

    "relative": the authors' release. U = mean of the last `queue_length` accepted peaks / this peak, and 0 in
    the first `trusted_frames` frames or while no peak has been accepted. Below `found_below` the peak enters the
    mean and the filter learns; below `max_uncertainty` the frame may enter the appearance memory.

    "off": everything is accepted; U = 1 / peak is only reported.

    Args:
        config: rule and limits.
    """

    def __init__(self, config: GateConfig) -> None:
        self.config = config
        self._queue: deque[float] = deque(maxlen=config.queue_length)
        self._judged = 0

    def reset(self) -> None:
        """Forget all frames."""
        self._queue.clear()
        self._judged = 0

    def state(self) -> Snapshot:
        """What was seen so far."""
        return Snapshot({}, {"queue": list(self._queue), "judged": self._judged})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on as another gate of the same configuration would."""
        self._queue = deque(snapshot.facts["queue"], maxlen=self.config.queue_length)
        self._judged = snapshot.facts["judged"]

    def judge(self, peak: float | None) -> Decision:
        """Judge the next frame by the peak of its windowed scores; None where there is no filter to be asked."""
        self._judged += 1
        if peak is None:
            return Decision(0.0, found=True, remember=True, reason="no filter")
        valid = math.isfinite(peak) and peak > 0.0
        uncertainty = 1.0 / peak if valid else math.inf
        if self.config.rule == "paper":
            return self._judge_paper(uncertainty)
        if self.config.rule == "relative":
            return self._judge_relative(peak, valid)
        return Decision(uncertainty, found=True, remember=True, reason="gate off")

    def _judge_paper(self, uncertainty: float) -> Decision:
        config, queue = self.config, self._queue
        if len(queue) == config.queue_length:
            average = (sum(queue) - queue[0]) / config.queue_length
        else:
            average = sum(queue) / len(queue) if queue else math.inf
        if uncertainty > config.max_uncertainty:
            preserved, reason = False, "uncertainty above the limit"
        elif uncertainty < average:
            compared = "below the average" if queue else "within the limit; nothing to compare it with yet"
            preserved, reason = True, f"uncertainty {compared}"
        else:
            preserved, reason = False, "uncertainty not below the average"
        if uncertainty <= config.max_uncertainty:
            queue.append(uncertainty)
        found = uncertainty <= config.lost_above
        return Decision(uncertainty, found=found, remember=preserved, reason=reason, average=average)

    def _judge_relative(self, peak: float, valid: bool) -> Decision:
        config, queue = self.config, self._queue
        average = sum(queue) / len(queue) if queue else math.inf
        if not valid:
            uncertainty = math.inf
        elif self._judged <= config.trusted_frames or not queue:
            uncertainty = 0.0
        else:
            uncertainty = average / peak
        found = uncertainty < config.found_below
        if found:
            queue.append(peak)
            reason = "certain" if uncertainty > 0.0 else "taken for certain: too early to compare"
        elif uncertainty < config.max_uncertainty:
            reason = "too uncertain for the filter's memory"
        else:
            reason = "lost: too uncertain to be remembered"
        remember = uncertainty < config.max_uncertainty
        return Decision(uncertainty, found=found, remember=remember, reason=reason, average=average)
