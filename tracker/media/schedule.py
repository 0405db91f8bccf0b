"""When objects start, and when they are corrected: `--at` and `--object` of the command line, and the run itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tracker.errors import UserError
from tracker.geometry.clicks import Clicks
from tracker.geometry.region import RegionError
from tracker.media.frames import Frame, Selection, SourceError
from tracker.media.targets import Given, Target

if TYPE_CHECKING:
    from tracker.tracking.result import Result
    from tracker.tracking.tracker import DMB

Plan = dict[int, dict[int, Target]]  # by frame of the source, then by object id


class ScheduleError(UserError):
    """`--at` or `--object` is where it says nothing, or names a frame that is not tracked; the message says which."""


@dataclass(frozen=True)
class Mark:
    """An option that says something of the regions behind it: from which frame they are, or of which object."""

    name: Literal["at", "object"]
    number: int

    def __str__(self) -> str:
        return f"--{self.name} {self.number}"


def placed(options: Sequence[Given | Mark], selection: Selection) -> list[Given]:
    """The regions, each with the frame and the object id that the marks before it name.

    A frame holds up to the next one, an object id for one region. What is for the first frame is as without `--at`.
    Clicks with nothing between them are one region.

    Args:
        options: in the order of the command line.
        selection: the frames that are tracked.

    Raises:
        ScheduleError: a mark without a region, an object without a frame, or a frame that is not tracked.
    """
    found: list[Given] = []
    at: Mark | None = None
    named: Mark | None = None
    waiting: Mark | None = None  # for its region
    before: Given | None = None
    for option in options:
        if isinstance(option, Given):
            if option.kind == "point" and waiting is None and before is not None and before.kind == "point":
                found[-1] = replace(found[-1], value=(*found[-1].value, *option.value))  # type: ignore[misc]
                continue
            before = option
            frame = None if at is None or (at.number == selection.start and named is None) else at.number
            found.append(replace(option, frame=frame, object_id=None if named is None else named.number))
            named = waiting = None
            continue
        if waiting is not None and (named is not None or option.name == "at"):
            raise _alone(waiting)
        if option.name == "at":
            at = option
            _check_frame(at.number, selection)
        elif at is None:
            raise ScheduleError(f"{option} says whose region follows after --at; put --at FRAME before it")
        else:
            named = option
        waiting = option
    if waiting is not None:
        raise _alone(waiting)
    return found


def _alone(mark: Mark) -> ScheduleError:
    return ScheduleError(f"{mark} has no region; put --box, --polygon, --mask or --point behind it")


def _check_frame(frame: int, selection: Selection) -> None:
    """Raise a ScheduleError for a frame that is not one of those tracked."""
    start, stop, step = selection.start, selection.stop, selection.step
    if frame < start:
        raise ScheduleError(f"--at is {frame} and --start {start}; name a frame that is tracked")
    if stop is not None and frame >= stop:
        raise ScheduleError(f"--at is {frame} and --stop {stop}; name a frame before it")
    if not selection.wants(frame):
        before = frame - (frame - start) % step
        raise ScheduleError(
            f"--at is {frame}, which --start {start} and --step {step} leave out; name {before} or {before + step}"
        )


def make_plan(targets: Sequence[Target], start: int) -> Plan:
    """What is given in which frame.

    Args:
        targets: all of them; those without a frame are for frame `start`.
        start: the first frame that is tracked.

    Raises:
        RegionError: an object has two regions in one frame.
    """
    plan: Plan = {}
    for target in targets:
        frame = start if target.frame is None else target.frame
        given = plan.setdefault(frame, {})
        if target.object_id in given:
            raise RegionError(
                f"{target.named}: object {target.object_id} has a region in frame {frame} already, "
                f"{given[target.object_id].named}; give one of them"
            )
        given[target.object_id] = target
    return plan


class Objects:
    """All objects of a run, each with a tracker, which starts when its first region comes.

    Args:
        plan: see `make_plan`.
        create: makes a tracker.
        where: the source, for messages.
        masks: see `DMB.initialize`.

    Attributes:
        numbers: ids of all objects, in the order in which they start.
        last: number of the last frame, -1 before the first one.
    """

    def __init__(self, plan: Mapping[int, Mapping[int, Target]], create: Callable[[], DMB], where: str, *, masks: bool):
        self.where, self.masks = where, masks
        self.numbers = numbers_of(plan)
        self._waiting = {frame: plan[frame] for frame in sorted(plan)}
        self._trackers = {number: create() for number in self.numbers}
        self._started: set[int] = set()
        self.last = -1

    def answer(self, frame: Frame) -> dict[int, Result]:
        """What is found in the next frame, by object id; objects that have not started are left out.

        Raises:
            SourceError: a frame before this one did not come, and a region was given for it.
        """
        self.last = frame.index
        given = self._waiting.pop(frame.index, {})
        for missed, targets in self._waiting.items():
            if missed < frame.index:
                named = next(iter(targets.values())).named
                raise SourceError(
                    f"frame {missed} of '{self.where}' cannot be read, and {named} is for it; name another frame"
                )
        found = {}
        for number in self.numbers:
            if number in given:
                found[number] = self._given(number, frame, given[number])
            elif number in self._started:
                found[number] = self._trackers[number].track(frame.image)
        return found

    def _given(self, number: int, frame: Frame, target: Target) -> Result:
        """Start an object, or correct one that has started."""
        again = number in self._started
        self._started.add(number)
        return begin(self._trackers[number], frame, target, masks=self.masks, again=again)

    def finish(self) -> None:
        """Be told that no more frames come.

        Raises:
            SourceError: a region was given for a later one.
        """
        for frame, targets in self._waiting.items():
            named = next(iter(targets.values())).named
            raise SourceError(f"the last frame of '{self.where}' is {self.last}; there is no frame {frame} for {named}")


def begin(tracker: DMB, frame: Frame, target: Target, *, masks: bool, again: bool = False) -> Result:
    """Start a tracker on a target, or correct it.

    Raises:
        RegionError: nothing is seen there; the message names the option.
    """
    given: dict[str, Any] = {"region": target.region}
    if isinstance(target.region, Clicks):
        given = {"points": target.region.points, "labels": target.region.labels}
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful regions notes have told
            if again:
                return tracker.correct(frame.image, **given)
            return tracker.initialize(frame.image, **given, masks=masks)
    except RegionError as error:
        raise RegionError(f"{target.named}: {error}") from error


def numbers_of(plan: Mapping[int, Mapping[int, Target]]) -> list[int]:
    """Ids of all objects, in the order in which they start."""
    return list(dict.fromkeys(number for frame in sorted(plan) for number in plan[frame]))
