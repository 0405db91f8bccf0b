"""How well the answers fit masks that are known to be right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.media.frames import SourceError
from tracker.tracker import Result


class Truth:
    """Masks of the truth, one indexed or black and white PNG a frame, named by the frame's number as our own are.

    Args:
        folder: holds `00000.png`, ...; frames without a file have no truth.

    Raises:
        SourceError: there is no such folder, or no such file in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not any(path.stem.isdecimal() for path in folder.glob("*.png")):
            raise SourceError(f"--truth is '{folder}', which holds no masks; name a folder with 00000.png, ...")

    def overlaps(self, frame: int, answers: Mapping[int, Result]) -> dict[int, float]:
        """Intersection over union of every answer's mask with the truth, 0 to 1, by object id; of two empty ones 1.

        Where one object is tracked, it is all that is not 0. Empty for a frame without truth.

        Raises:
            SourceError: the file cannot be read, or has another size.
        """
        path = self.folder / f"{frame:05d}.png"
        if not path.exists():
            return {}
        ids = self._read(path)
        found = {}
        for number, answer in answers.items():
            if ids.shape != answer.mask.shape:
                (height, width), (tall, wide) = ids.shape, answer.mask.shape
                raise SourceError(
                    f"'{path}' has {width} x {height} pixels, the frame {wide} x {tall}; give masks of the frames' size"
                )
            right = ids > 0 if len(answers) == 1 else ids == number
            union = int((right | answer.mask).sum())
            found[number] = int((right & answer.mask).sum()) / union if union else 1.0
        return found

    @staticmethod
    def _read(path: Path) -> NDArray[np.uint8]:
        try:
            with Image.open(path) as image:
                image.load()
                return np.asarray(image if image.mode in ("P", "L") else image.convert("L"), np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise SourceError(f"'{path}' cannot be read as a mask ({error}); restore it") from error
