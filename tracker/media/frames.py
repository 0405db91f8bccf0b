"""What every source of frames gives: pictures with a number and a time, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError

Warn = Callable[[str], None]  # takes one sentence


class SourceError(UserError):
    """A source cannot be read; the message names it, and says what to do."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        index: number in the source, from 0.
        seconds: time since the source's first frame.
        image: H x W x 3 RGB, as it is to be seen: upright, and not mirrored.
        aspect: width of a pixel where it is shown, divided by its height.
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]
    aspect: float = 1.0


@dataclass(frozen=True)
class Source:
    """An open source.

    Attributes:
        name: short, fit for the name of a folder.
        where: as the user named it, for messages.
        rate: nominal frames per second.
        length: number of frames, where it is known or can be estimated.
        frames: yields them once; raises SourceError.
        camera: it gives what it sees at the moment.
    """

    name: str
    where: str
    rate: float
    length: int | None
    frames: Callable[[], Iterator[Frame]]
    camera: bool = False


@dataclass(frozen=True)
class Selection:
    """The frames that are wanted: every `step`-th from `start`, before `stop` (None: to the end)."""

    start: int = 0
    stop: int | None = None
    step: int = 1

    def wants(self, index: int) -> bool:
        """Whether a frame is one of them."""
        late = self.stop is not None and index >= self.stop
        return index >= self.start and (index - self.start) % self.step == 0 and not late

    def count(self, length: int | None) -> int | None:
        """How many frames that are, of a source of `length` frames; None where that is unknown."""
        known = [number for number in (self.stop, length) if number is not None]
        return len(range(self.start, min(known), self.step)) if known else None

    def ends(self, last: int, length: int | None) -> bool:
        """Whether it ends with frame `last` though the source, of about `length` frames, may go on."""
        more = length is None or last + 1 < length
        return self.stop is not None and last + self.step >= self.stop and more

    def of(self, source: Source) -> Iterator[Frame]:
        """Yield the wanted frames, the first of them being frame `start`, all of one size.

        Raises:
            SourceError: there is no frame `start`, a frame has another size, or the source fails.
        """
        first, last = None, -1
        for frame in source.frames():
            last = frame.index
            if self.wants(frame.index):
                first = self._check_first(source, frame) if first is None else first
                _check_size(source, first, frame)
                yield frame
            # here and not above, so that no frame is waited for that nobody wants
            if self.stop is not None and frame.index + 1 >= self.stop:
                break
        if first is None and last < self.start:
            ends = f"ends after {last + 1} frames" if last >= 0 else "holds no frame that can be read"
            raise SourceError(f"'{source.where}' {ends}; there is no frame {self.start} to start from")
        if first is None:
            self._check_first(source, None)

    def _check_first(self, source: Source, frame: Frame | None) -> Frame:
        if frame is None or frame.index != self.start:
            raise SourceError(
                f"frame {self.start} of '{source.where}' cannot be read, and it is the one to start from; "
                "choose another one with --start"
            )
        return frame


def _check_size(source: Source, first: Frame, frame: Frame) -> None:
    if frame.image.shape != first.image.shape:
        (height, width), (was_height, was_width) = frame.image.shape[:2], first.image.shape[:2]
        raise SourceError(
            f"frame {frame.index} of '{source.where}' has {width} x {height} pixels, frame {first.index} has "
            f"{was_width} x {was_height}; give frames of one size"
        )
