"""From a frame with a region back to those before it, for `dmb track --backwards`: what came before a later region.

An object is tracked backwards from its first region to the first frame, and from each later one half of the way to the
region before: every frame has the answer of the nearest region. Frames are kept on disk until then, without loss.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np

from tracker.data.images import read
from tracker.media.frames import Frame
from tracker.media.schedule import Plan, begin

if TYPE_CHECKING:
    from tracker.tracking.result import Result
    from tracker.tracking.tracker import DMB


class Spool:
    """Frames on disk, in a folder that is gone when the context ends."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dmb_frames_")
        self._frames: dict[int, Frame] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def add(self, frame: Frame) -> None:
        """Keep a frame.

        Raises:
            OSError: it cannot be written.
        """
        coded = cv2.imencode(".png", frame.image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        self._path(frame.index).write_bytes(coded.tobytes())
        self._frames[frame.index] = replace(frame, image=np.zeros((0, 0, 3), np.uint8))

    def read(self, index: int) -> Frame:
        """A frame that was kept."""
        return replace(self._frames[index], image=read(self._path(index)))

    def indices(self) -> list[int]:
        """Numbers of the frames that were kept, ascending."""
        return list(self._frames)

    def _path(self, index: int) -> Path:
        return Path(self._folder.name, f"{index}.png")


@dataclass(frozen=True)
class Kept:
    """An answer whose mask is kept small."""

    result: Result
    mask: bytes
    shape: tuple[int, int]

    @classmethod
    def of(cls, result: Result) -> Kept:
        """Pack an answer."""
        height, width = result.mask.shape
        return cls(
            replace(result, mask=np.zeros((0, 0), np.bool_)),
            zlib.compress(np.packbits(result.mask).tobytes()),
            (height, width),
        )

    def unpack(self) -> Result:
        """The answer."""
        bits = np.frombuffer(zlib.decompress(self.mask), np.uint8)
        mask = np.unpackbits(bits, count=self.shape[0] * self.shape[1]).reshape(self.shape).astype(np.bool_)
        return replace(self.result, mask=mask)


class Backwards:
    """The answers of regions to frames before them.

    Args:
        plan: what is given in which frame.
        create: makes a tracker.
        masks: see `DMB.initialize`.
        waiting: makes a context in which a sentence tells what is done.
    """

    def __init__(
        self,
        plan: Plan,
        create: Callable[[], DMB],
        *,
        masks: bool,
        waiting: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self.plan, self.create, self.masks, self.waiting = plan, create, masks, waiting
        self.spool = Spool()
        self._kept: dict[int, dict[int, Kept]] = {}

    def track(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Track backwards from all regions; takes frames up to the last one that has a region.

        Returns:
            All frames, from the first one on.

        Raises:
            RegionError, ImageError: unusable region or frame.
            OSError: frames cannot be kept.
        """
        last = max(self.plan)
        for frame in frames:
            self.spool.add(frame)
            if frame.index >= last:
                break
        kept = self.spool.indices()
        for number, end, until in self._spans():
            if end in kept:
                with self.waiting(f"tracking object {number} backwards from frame {end} ..."):
                    self._span(number, end, [index for index in reversed(kept) if until <= index < end])
        return chain(map(self.spool.read, kept), frames)

    def _spans(self) -> Iterator[tuple[int, int, int]]:
        """Object, frame of its region, and the frame that is the last to be answered from there, backwards."""
        given: dict[int, int] = {}
        for frame in sorted(self.plan):
            for number in self.plan[frame]:
                before = given.get(number)
                given[number] = frame
                yield number, frame, 0 if before is None else (before + frame) // 2 + 1

    def _span(self, number: int, end: int, indices: list[int]) -> None:
        """Track an object from its region in frame `end` through the frames `indices`."""
        if not indices:
            return
        tracker = self.create()
        begin(tracker, self.spool.read(end), self.plan[end][number], masks=self.masks)
        for index in indices:
            answer = tracker.track(self.spool.read(index).image)
            self._kept.setdefault(index, {})[number] = Kept.of(answer)

    def around(self, answer: Callable[[Frame], Mapping[int, Result]]) -> Callable[[Frame], dict[int, Result]]:
        """Put what was found from regions behind a frame in place of, or beside, the answers of those before it."""

        def both(frame: Frame) -> dict[int, Result]:
            behind = {number: kept.unpack() for number, kept in self._kept.pop(frame.index, {}).items()}
            return dict(sorted({**answer(frame), **behind}.items()))

        return both
