"""The quality gate: which frames may change the memories (Section III-E, eqs. 9-11).

A frame in which the target is hidden or confused with another teaches both memories the wrong thing. The peak
of the spatial map says how sure the filter is; the gate turns it into decisions, by one of three rules
(`GateConfig.rule`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from tracker.config import GateConfig
from tracker.memory.snapshot import Snapshot


@dataclass(frozen=True)
class Decision:
    """What may be done with one frame.

    Attributes:
        uncertainty: U >= 0; infinite where the peak is not positive or not finite.
        segment: run the decoder and answer its mask.
        trust: the mask may stand for the target's shape in later frames that are not segmented.
        remember_appearance: the frame may enter the appearance memory.
        remember_filter: the frame may enter the filter's sample memory.
        follow_size: the target's size may follow the mask.
        correct_centre: the mask's centre may become the target's position; whether the mask's area changed by less than
            `max_area_change` is for the tracker to see.
        reason: why, in a few words.
        average: what the uncertainty was compared with: U_avg of eq. 10, or under "relative" the mean accepted peak.
            Infinite while there is nothing to compare with, NaN where nothing is compared.
    """

    uncertainty: float
    segment: bool
    remember_appearance: bool
    remember_filter: bool
    follow_size: bool
    correct_centre: bool
    reason: str
    average: float = math.nan
    trust: bool = True


class QualityGate:
    """Judges frames one by one, by the peak of the windowed scores.

    A peak that is not positive or not finite is infinitely uncertain under every rule.

    "paper": eqs. 9-11 as printed. U = 1 / peak. A frame is preserved, that is segmented and remembered, iff U
    is below U_avg and not above `max_uncertainty`; "removed directly" is read as not segmented, not
    remembered, with the last exception below. What the paper leaves open is read so:

    - The queue holds the uncertainty of every judged frame, preserved or not: were it only preserved ones,
      each below the mean before it, the mean would sink until nothing passes. Frames above `max_uncertainty`
      are "removed directly" and do not enter; one of them would outweigh all others.
    - U_avg is taken over the frames before this one. Eq. 10 defines it for a full queue U_0 (the earliest) to
      U_{L-1}: the sum leaves U_0 out and is divided by L all the same, as printed. While fewer than L are
      queued, eq. 10 says nothing and U_avg is their plain mean.
    - With an empty queue, in the first tracked frame, only `max_uncertainty` decides.
    - U equal to U_avg, which eq. 11 leaves out, is not preserved.
    - Not the paper's: a frame above `lost_above` that is not preserved is segmented all the same (`segment_lost`).
      There the filter's peak is noise, and what the appearance memory sees is all that is known of where the target
      is. Neither memory learns from such a frame, and size and shape stay. So more is segmented above `lost_above`
      than between U_avg and it.

    "relative": the authors' release. U = mean of the last `queue_length` accepted peaks / this peak, and 0 in
    the first `trusted_frames` frames or while no peak has been accepted. Below `remember_below` the peak
    enters the mean and the frame the filter's memory; below `resize_below` the size may follow the mask;
    below `max_uncertainty` the frame is segmented, may correct the centre and enters the appearance memory.

    "off": everything is accepted; U = 1 / peak is only reported.

    Where every frame must show a mask, each is segmented, however uncertain: `reset(every_frame=True)`. The release
    does so whenever it starts from a mask. The mask may then also correct the centre. Under "relative" it enters the
    appearance memory too; under "paper" eq. 11 still bars it, but the size follows it up to `lost_above`: a target that
    grows looks less and less like the filter's samples, and with a size that waits for certainty it would never be
    certain again. Beyond that the mask is of something else, and its size is of no use when the target is back.

    Args:
        config: rule and limits.
    """

    def __init__(self, config: GateConfig) -> None:
        self.config = config
        self._queue: deque[float] = deque(maxlen=config.queue_length)
        self._judged = 0
        self._every_frame = False

    def reset(self, *, every_frame: bool = False) -> None:
        """Forget all frames; `every_frame` asks to segment all that come, however uncertain."""
        self._queue.clear()
        self._judged = 0
        self._every_frame = every_frame

    def state(self) -> Snapshot:
        """What was seen so far."""
        return Snapshot({}, {"queue": list(self._queue), "judged": self._judged, "every_frame": self._every_frame})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on as another gate of the same configuration would."""
        self._queue = deque(snapshot.facts["queue"], maxlen=self.config.queue_length)
        self._judged, self._every_frame = snapshot.facts["judged"], snapshot.facts["every_frame"]

    def accept(self, reason: str) -> Decision:
        """The decision where nothing can be judged: everything is allowed, with no uncertainty."""
        return Decision(0.0, True, True, True, True, self.config.correct_centre, reason)

    def judge(self, peak: float) -> Decision:
        """Judge the next frame by the peak of its windowed scores."""
        self._judged += 1
        valid = math.isfinite(peak) and peak > 0.0
        if self.config.rule == "paper":
            return self._judge_paper(1.0 / peak if valid else math.inf)
        if self.config.rule == "relative":
            return self._judge_relative(peak, valid)
        return replace(self.accept("gate off"), uncertainty=1.0 / peak if valid else math.inf)

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
        shown = preserved or self._every_frame
        segment = shown or (config.segment_lost and uncertainty > config.lost_above)
        if segment and not shown:
            reason += "; the target is lost and looked for"
        correct = segment and config.correct_centre
        resize = preserved or (self._every_frame and uncertainty <= config.lost_above)
        return Decision(uncertainty, segment, preserved, preserved, resize, correct, reason, average, shown)

    def _judge_relative(self, peak: float, valid: bool) -> Decision:
        config, queue = self.config, self._queue
        average = sum(queue) / len(queue) if queue else math.inf
        if not valid:
            uncertainty = math.inf
        elif self._judged <= config.trusted_frames or not queue:
            uncertainty = 0.0
        else:
            uncertainty = average / peak
        if uncertainty < config.remember_below:
            queue.append(peak)
            reason = "certain" if uncertainty > 0.0 else "taken for certain: too early to compare"
        elif uncertainty < config.max_uncertainty:
            reason = "too uncertain for the filter's memory"
        else:
            reason = "lost: too uncertain to segment"
        segment = uncertainty < config.max_uncertainty or self._every_frame
        return Decision(
            uncertainty=uncertainty,
            segment=segment,
            remember_appearance=segment,
            remember_filter=uncertainty < config.remember_below,
            follow_size=uncertainty < config.resize_below,
            correct_centre=segment and config.correct_centre,
            reason=reason,
            average=average,
        )
