"""How well the answers fit masks that are known to be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from tracker.data.masks import VOID, Ids, MaskError, MaskReader, Note, values_of
from tracker.media.frames import Frame, Selection, SourceError
from tracker.tracking.result import Result


class Truth:
    """Masks of the truth, one indexed or black and white PNG a frame, whose name is the frame's number.

    Where several objects are tracked, their ids are their numbers. One that is tracked alone is all that is not 0;
    where the masks hold several ids, its number is its id, too. Beside other ids, in whatever frame, 255 is void: such
    pixels count neither for nor against an answer.

    Args:
        folder: holds `00000.png`, or `0.png`, ...; frames without a file have no truth.
        selection: the frames that are tracked; masks of others are not read.
        note: takes a sentence about masks that can be read in more than one way; None: they are refused.

    Attributes:
        matched: frames so far that have a mask.

    Raises:
        SourceError: there is no such folder, no such file in it, or there are two of one frame.
    """

    def __init__(self, folder: Path, selection: Selection | None = None, note: Note | None = None) -> None:
        self.folder, self.matched = folder, 0
        found: dict[int, Path] = {}
        for path in sorted(folder.glob("*.png")):
            if path.stem.isdecimal():
                other = found.setdefault(int(path.stem), path)
                if other != path:
                    raise SourceError(
                        f"--truth is '{folder}', where '{other.name}' and '{path.name}' are both of frame "
                        f"{int(path.stem)}; keep one of them"
                    )
        if not found:
            raise SourceError(f"--truth is '{folder}', which holds no masks; name a folder with 00000.png, ...")
        self.numbers = min(found), max(found)
        self.files = {number: found[number] for number in sorted(found) if (selection or Selection()).wants(number)}
        self._meaning: tuple[bool, bool] | None = None
        self._reader = MaskReader(note)

    def check(self, first: Frame, numbers: Collection[int]) -> None:
        """Find out, before anything is written, whether the masks can be compared with.

        Args:
            first: the first frame that is tracked; it, or else the first one with a mask, is looked at.
            numbers: of the tracked objects.

        Raises:
            SourceError: a file cannot be read, has another size, or the masks are of other objects.
        """
        if self.files:
            self._ids(min(self.files), (first.image.shape[0], first.image.shape[1]))
        self._meaning = self._find_meaning(numbers)

    def overlaps(self, frame: int, answers: Mapping[int, Result]) -> dict[int, float]:
        """Intersection over union of every answer's mask with the truth, 0 to 1, by object id; of two empty ones 1.

        Empty for a frame without truth or answers.

        Raises:
            SourceError: as `check`.
        """
        if frame not in self.files or not answers:
            return {}
        height, width = next(iter(answers.values())).mask.shape
        ids = self._ids(frame, (height, width))
        self._meaning = self._meaning or self._find_meaning(answers)
        whole, void = self._meaning
        known = ids != VOID if void else np.ones(ids.shape, np.bool_)
        self.matched += 1
        found = {}
        for number, answer in answers.items():
            right, given = known & (ids > 0 if whole else ids == number), known & answer.mask
            union = int((right | given).sum())
            found[number] = int((right & given).sum()) / union if union else 1.0
        return found

    def unmatched(self) -> str:
        """What is told where no frame had a mask."""
        first, last = self.numbers
        return (
            f"no frame that was tracked has a mask in '{self.folder}', so there is no IoU; its files are of the frames "
            f"{first} to {last}, and frames count from 0"
        )

    def _find_meaning(self, numbers: Collection[int]) -> tuple[bool, bool]:
        """Whether all that is not 0 is the one tracked object, and whether 255 is void.

        It takes all masks to tell, or the first few where they hold several ids: an object may come, or be left alone.

        Raises:
            SourceError: the masks are of other objects, or one cannot be read.
        """
        seen: set[int] = set()
        for path in self.files.values():
            seen |= set(values_of(self._read(path)))
            if len(seen - {VOID}) > 1 and seen & set(numbers):
                break
        objects = seen - {VOID}
        whole = len(numbers) == 1 and len(objects) < 2
        if seen and not whole and not objects & set(numbers):
            tracked = ", ".join(map(str, sorted(numbers)))
            raise SourceError(
                f"the masks in '{self.folder}' hold the ids {', '.join(map(str, sorted(seen)))}, and the tracked "
                f"objects are {tracked}; give masks with these ids, or track one object with masks of it alone"
            )
        return whole, bool(objects)

    def _ids(self, frame: int, size: tuple[int, int]) -> Ids:
        """The mask of a frame, which must have this height and width."""
        path = self.files[frame]
        ids = self._read(path)
        if ids.shape != size:
            (height, width), (tall, wide) = ids.shape, size
            raise SourceError(
                f"'{path}' has {width} x {height} pixels, the frame {wide} x {tall}; give masks of the frames' size"
            )
        return ids

    def _read(self, path: Path) -> Ids:
        try:
            return self._reader.read(path)
        except MaskError as error:
            raise SourceError(str(error)) from error
