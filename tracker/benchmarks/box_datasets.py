"""GOT-10k, TrackingNet and OTB as they are distributed: which sequences there are, their images and true boxes.

Boxes stay in the data set's own convention here. GOT-10k (its authors, issue 6 of got-10k/toolkit: "All coordinate
values are 1-based") and OTB (MATLAB) count pixels from 1, TrackingNet from 0.

Everything is checked before anything is tracked: a benchmark takes hours, and a folder that was not unpacked to the end
should not stop it in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError

IMAGES = (".jpg", ".jpeg", ".png")
GOT10K_SPLITS = ("val", "test", "train")
TRACKINGNET_SPLITS = ("TEST", *(f"TRAIN_{part}" for part in range(12)))
# OTB: the frames, counted from 1, to which a sequence's true boxes belong (the benchmark's configSeqs.m)
OTB_FRAMES = {
    "David": (300, 770),
    "Diving": (1, 215),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
}


class BoxDatasetError(UserError):
    """The data set cannot be used; the message names the folder or file, and what to do."""


@dataclass(frozen=True)
class BoxSequence:
    """One sequence.

    Attributes:
        name: of the sequence.
        images: its frames in order.
        truth: N x 4 boxes x, y, w, h; 1 x 4 where only the first one is public. Later ones may be NaN or empty.
        visible: N, whether a frame may count in a score.
        size: width and height of the images as the data set tells them; None where it does not.
    """

    name: str
    images: tuple[Path, ...]
    truth: NDArray[np.float64]
    visible: NDArray[np.bool_]
    size: tuple[int, int] | None = None

    @property
    def public(self) -> bool:
        """Whether there is a true box for every frame."""
        return len(self.truth) == len(self.images)

    def first(self, frames: int | None) -> BoxSequence:
        """The sequence up to some frame; all of it for None."""
        return replace(self, images=self.images[:frames], truth=self.truth[:frames], visible=self.visible[:frames])


@dataclass(frozen=True)
class BoxDataset:
    """Sequences of one benchmark.

    Attributes:
        name: "got10k", "trackingnet" or "otb".
        split: of the benchmark; "" where it has none.
        origin: what the corner pixel of an image is called, 0 or 1.
        fps: frames per second of its videos.
        sequences: at least one.
    """

    name: str
    split: str
    origin: int
    fps: int
    sequences: tuple[BoxSequence, ...]

    @property
    def public(self) -> bool:
        """Whether the truth of every sequence is known."""
        return all(sequence.public for sequence in self.sequences)

    def choose(self, names: Sequence[str] | None, frames: int | None) -> BoxDataset:
        """A part of it: the named sequences (None: all), up to some frame (None: all).

        Raises:
            BoxDatasetError: there is no such sequence.
        """
        known = {sequence.name: sequence for sequence in self.sequences}
        for name in names or ():
            if name not in known:
                some = ", ".join(list(known)[:10]) + (", ..." if len(known) > 10 else "")
                raise BoxDatasetError(f"there is no sequence '{name}'; there are {len(known)}: {some}")
        chosen = [known[name] for name in dict.fromkeys(names or known)]
        return replace(self, sequences=tuple(sequence.first(frames) for sequence in chosen))


def read_got10k(root: Path, split: str = "val") -> BoxDataset:
    """Read ROOT/SPLIT/GOT-10k_Val_000001/ with 00000001.jpg, groundtruth.txt, cover.label and meta_info.ini.

    Raises:
        BoxDatasetError: see the class.
    """
    folder = _split_folder(root, split, "GOT-10k's folders 'train', 'val' and 'test'")
    listing = folder / "list.txt"
    names = _text(listing).split() if listing.is_file() else _folders(folder)
    if not names:
        raise BoxDatasetError(f"'{folder}' holds no sequences; unpack GOT-10k's {split} split there")
    return BoxDataset("got10k", split, 1, 10, _read(names, lambda name: _got10k_sequence(folder / name)))


def _got10k_sequence(folder: Path) -> BoxSequence:
    truth, images = _boxes(folder / "groundtruth.txt"), _images(folder)
    _check_lengths(folder, images, truth)
    if len(truth) < len(images):
        return BoxSequence(folder.name, images, truth, np.ones(len(images), np.bool_))
    cover = folder / "cover.label"
    words = _text(cover).split()
    try:
        visible = np.array([float(word) > 0 for word in words], np.bool_)
    except ValueError:
        visible = np.zeros(0, np.bool_)
    if len(visible) != len(images):
        raise BoxDatasetError(
            f"'{cover}' does not hold a number for each of {len(images)} frames; restore it from GOT-10k's archive"
        )
    return BoxSequence(folder.name, images, truth, visible, _resolution(folder / "meta_info.ini"))


def _resolution(path: Path) -> tuple[int, int]:
    found = re.search(r"^resolution\s*[:=]\s*\((\d+),\s*(\d+)\)", _text(path), re.MULTILINE)
    if found is None:
        raise BoxDatasetError(f"'{path}' has no line 'resolution: (WIDTH, HEIGHT)'; restore it from GOT-10k's archive")
    return int(found[1]), int(found[2])


def read_trackingnet(root: Path, split: str = "TEST") -> BoxDataset:
    """Read ROOT/SPLIT/ with anno/NAME.txt and frames/NAME/0.jpg, 1.jpg and so on.

    Raises:
        BoxDatasetError: see the class.
    """
    folder = _split_folder(root, split, "TrackingNet's folders 'TEST' and 'TRAIN_0' to 'TRAIN_11'")
    for part in ("anno", "frames"):
        if not (folder / part).is_dir():
            raise BoxDatasetError(f"'{folder}' holds no folder '{part}'; unpack TrackingNet's {split} there")
    names = sorted(path.stem for path in (folder / "anno").glob("*.txt") if not path.name.startswith("."))
    if not names:
        raise BoxDatasetError(f"'{folder / 'anno'}' holds no files NAME.txt; download TrackingNet's annotations there")

    def sequence(name: str) -> BoxSequence:
        truth, images = _boxes(folder / "anno" / f"{name}.txt"), _images(folder / "frames" / name)
        _check_lengths(folder / "frames" / name, images, truth)
        return BoxSequence(name, images, truth, np.ones(len(images), np.bool_))

    return BoxDataset("trackingnet", split, 0, 30, _read(names, sequence))


def read_otb(root: Path, split: str = "") -> BoxDataset:
    """Read ROOT/NAME/ with img/0001.jpg and groundtruth_rect.txt, or groundtruth_rect.1.txt and so on for each target.

    Raises:
        BoxDatasetError: see the class.
    """
    if not root.is_dir():
        raise BoxDatasetError(f"'{root}' is not a folder; name the one with OTB's sequences")
    targets: dict[str, Path] = {}
    for folder in (root / name for name in _folders(root)):
        found = _otb_targets(folder)
        if not found and (folder / "img").is_dir():
            raise BoxDatasetError(f"'{folder}' has images but no 'groundtruth_rect.txt'; unpack the sequence again")
        targets |= found
    if not targets:
        raise BoxDatasetError(
            f"'{root}' holds no OTB sequences; unpack them there, each a folder with 'img' and 'groundtruth_rect.txt'"
        )
    return BoxDataset("otb", split, 1, 30, _read(list(targets), lambda name: _otb_sequence(name, targets[name])))


def _otb_targets(folder: Path) -> dict[str, Path]:
    """Files with true boxes by sequence name: that of the folder, with -1, -2 where there are several targets."""
    single = folder / "groundtruth_rect.txt"
    if single.is_file():
        return {folder.name: single}
    files = sorted(folder.glob("groundtruth_rect.*.txt"))
    files = [path for path in files if _text(path).strip()]  # Human4's first is empty
    if len(files) == 1:
        return {folder.name: files[0]}
    return {f"{folder.name}-{path.suffixes[-2].lstrip('.')}": path for path in files}


def _otb_sequence(name: str, file: Path) -> BoxSequence:
    folder = file.parent
    truth, images = _boxes(file), _images(folder / "img")
    start, end = OTB_FRAMES.get(folder.name, (1, len(images)))
    if len(images) != len(truth):  # some copies of the data set come with only the frames that count
        images = images[start - 1 : end]
    if len(images) != len(truth):
        raise BoxDatasetError(f"'{file}' holds {len(truth)} boxes for {len(images)} frames; unpack the sequence again")
    return BoxSequence(name, images, truth, np.ones(len(images), np.bool_))


READERS: dict[str, Callable[[Path, str], BoxDataset]] = {
    "got10k": read_got10k,
    "trackingnet": read_trackingnet,
    "otb": read_otb,
}


def _split_folder(root: Path, split: str, what: str) -> Path:
    if not root.is_dir():
        raise BoxDatasetError(f"'{root}' is not a folder; name the one that holds {what}")
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and folder.name.lower() == split.lower():  # TrackingNet's own pages write both Test and TEST
            return folder
    raise BoxDatasetError(f"'{root}' holds no folder '{split}'; name the one that holds {what}")


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _read(names: Sequence[str], read: Callable[[str], BoxSequence]) -> tuple[BoxSequence, ...]:
    return tuple(read(name) for name in names)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BoxDatasetError(f"'{path}' is missing; unpack the data set again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BoxDatasetError(f"'{path}' cannot be read ({error}); unpack the data set again") from error


def _boxes(path: Path) -> NDArray[np.float64]:
    """Boxes N x 4, one a line, separated by commas, tabs or blanks; the first one must be a usable start."""
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != 4:
            raise BoxDatasetError(f"line {number} of '{path}' is '{line.strip()[:60]}', not x,y,w,h; restore the file")
        rows.append(row)
    boxes = np.array(rows, np.float64).reshape(-1, 4)
    if not len(boxes):
        raise BoxDatasetError(f"'{path}' is empty; restore the file")
    if not np.isfinite(boxes[0]).all() or (boxes[0, 2:] <= 0).any():
        raise BoxDatasetError(f"the first box of '{path}' is {boxes[0].tolist()}, where nothing can start; restore it")
    return boxes


def _images(folder: Path) -> tuple[Path, ...]:
    """The numbered images of a folder, in order and without gaps."""
    if not folder.is_dir():
        raise BoxDatasetError(f"'{folder}' is missing; unpack the sequence's frames")
    found = [path for path in folder.iterdir() if path.stem.isdecimal() and path.suffix.lower() in IMAGES]
    found.sort(key=lambda path: int(path.stem))
    if len(found) < 2:
        raise BoxDatasetError(f"'{folder}' holds {len(found)} numbered images, a sequence has more; unpack its frames")
    for before, after in pairwise(found):
        if int(after.stem) != int(before.stem) + 1:
            raise BoxDatasetError(f"'{folder}' lacks frames between '{before.name}' and '{after.name}'; unpack again")
    return tuple(found)


def _check_lengths(folder: Path, images: Sequence[Path], truth: NDArray[np.float64]) -> None:
    if len(truth) not in (1, len(images)):
        raise BoxDatasetError(f"'{folder}' holds {len(images)} frames, its truth {len(truth)} boxes; unpack it again")
