"""Trajectories as the VOT toolkit writes them: which ones are complete, and how they get into another workspace.

A trajectory is a file with the regions, NAME.bin or NAME.txt, and one file per property, NAME_time.value and the like.
The toolkit writes the regions first, then the times, then what else the tracker has told, and takes a trajectory for
finished as soon as its regions are there. So here the regions are what appears last.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tracker.files import replace_file
from vot_workspace.writer import WorkspaceError

REGIONS = (".bin", ".txt")
HEADER = struct.Struct("<hI")  # of a binary file: version, frames
SETTLED = 1.0  # seconds after which a running toolkit has surely written all files of a trajectory
EARLY_STOP = 3  # identical repetitions after which the toolkit takes a tracker for deterministic
MULTIRUN = ("supervised", "unsupervised")


@dataclass(frozen=True)
class Trajectory:
    """One trajectory: the file with its regions, and those with its properties."""

    regions: Path
    values: tuple[Path, ...]

    @property
    def consistent(self) -> bool:
        """Whether all files that are there tell of the same number of frames, and of at least one."""
        lengths = {_frames(self.regions), *(_lines(path) for path in self.values)}
        return len(lengths) == 1 and lengths != {0}

    @property
    def whole(self) -> bool:
        """Whether nothing is missing of what the toolkit writes for every tracker."""
        return any(path.name == f"{self.regions.stem}_time.value" for path in self.values) and self.consistent

    def settled(self, now: float) -> bool:
        """Whether all files have been as they are for a while; `now` as `time.time` gives it."""
        return all(path.stat().st_mtime < now - SETTLED for path in (self.regions, *self.values))

    def files(self) -> dict[str, bytes]:
        """Contents by name, the regions last."""
        return {path.name: path.read_bytes() for path in (*self.values, self.regions)}


def publish(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a trajectory's files into a folder, where they replace those of the same name one by one, regions last."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(files, key=lambda name: Path(name).suffix in REGIONS)
    for name in names:
        replace_file(folder / name, files[name])
    for suffix in REGIONS:  # a damaged one that this one replaces may have been of the other kind
        if suffix != Path(names[-1]).suffix:
            (folder / names[-1]).with_suffix(suffix).unlink(missing_ok=True)


def _lines(path: Path) -> int:
    content = path.read_bytes()
    return content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def _frames(path: Path) -> int:
    if path.suffix == ".txt":
        return _lines(path)
    with path.open("rb") as file:
        header = file.read(HEADER.size)
    return int(HEADER.unpack(header)[1]) if len(header) == HEADER.size else 0


def read_trajectories(folder: Path) -> dict[str, Trajectory]:
    """The trajectories in a folder by name; links and hidden files do not count."""
    if not folder.is_dir():
        return {}
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    values = [path for path in files if path.suffix == ".value"]
    found = {}
    for path in files:
        if path.suffix in REGIONS and not path.name.startswith("."):
            own = tuple(value for value in values if value.name.startswith(f"{path.stem}_"))
            found[path.stem] = Trajectory(path, own)
    return found


def is_finished(experiment: Mapping[str, Any], sequence: Path, found: Mapping[str, Trajectory]) -> bool:
    """Whether an experiment surely has nothing left to compute on a sequence; False where only the toolkit knows.

    Args:
        experiment: its entry in the stack.
        sequence: folder of the sequence.
        found: its consistent trajectories.

    Raises:
        WorkspaceError: the sequence's starts cannot be read.
    """
    if experiment.get("transformers") or list(sequence.glob("groundtruth_*.txt")):
        return False
    name = sequence.name
    if experiment.get("type") in MULTIRUN:
        runs = [f"{name}_{run:03d}" for run in range(1, int(experiment.get("repetitions", 1)) + 1)]
        present = [found[run] for run in runs if run in found]
        early = experiment.get("early_stop", True) is True and len(present) >= EARLY_STOP and _equal(present)
        return early or len(present) == len(runs)
    if experiment.get("type") == "multistart":
        starts = anchor_frames(sequence, str(experiment.get("anchor", "anchor")))
        return bool(starts) and all(f"{name}_{start:08d}" in found for start in starts)
    return False


def _equal(trajectories: Sequence[Trajectory]) -> bool:
    contents = (trajectory.regions.read_bytes() for trajectory in trajectories)
    return all(first == second for first, second in pairwise(contents))


def anchor_frames(sequence: Path, name: str) -> list[int]:
    """Frames from which a multi-start experiment starts; none where the sequence does not say.

    Raises:
        WorkspaceError: a value is not a number.
    """
    path = sequence / f"{name}.value"
    if not path.is_file():
        return []
    values = path.read_text(encoding="utf-8", errors="replace").split()
    try:
        return [index for index, value in enumerate(values) if float(value) != 0]
    except ValueError as error:
        raise WorkspaceError(
            f"'{path}' holds something other than one number per frame ({error}); restore it"
        ) from error
