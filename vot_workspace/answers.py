"""What the toolkit has written of a tracker on a sequence: how often it was lost, and how long its frames took."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from vot_workspace.trajectories import HEADER, read_trajectories
from vot_workspace.writer import WorkspaceError

SPECIAL, RECTANGLE, POLYGON, MASK = range(4)  # kinds of region in a binary trajectory
FAILURE = 2  # code of a special region


def failures(folder: Path) -> int:
    """Frames in which the toolkit has called the target lost, in all trajectories of a folder RESULTS/SEQUENCE.

    Raises:
        WorkspaceError: a trajectory is damaged.
    """
    return sum(list(_codes(trajectory.regions)).count(FAILURE) for trajectory in read_trajectories(folder).values())


def seconds(folder: Path) -> list[float]:
    """Seconds that each tracked frame took, as the toolkit has measured them, from the image's path to the answer.

    Starts do not count, nor do frames that were passed over after a failure.

    Raises:
        WorkspaceError: a file is damaged.
    """
    found: list[float] = []
    for trajectory in read_trajectories(folder).values():
        path = trajectory.regions.with_name(f"{trajectory.regions.stem}_time.value")
        codes = list(_codes(trajectory.regions))
        try:
            times = [float(line or "nan") for line in path.read_text(encoding="utf-8").splitlines()]
            pairs = list(zip(codes, times, strict=True))
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"'{path}' cannot be read ({error}); delete it and evaluate again") from error
        found += [time for code, time in pairs if code in (None, FAILURE) and time > 0.0]
    return found


def _codes(path: Path) -> Iterator[int | None]:
    """By frame the code of a special region; None for a place."""
    try:
        if path.suffix == ".txt":
            for line in path.read_text(encoding="utf-8").split():
                yield int(float(line)) if "," not in line else None
        else:
            yield from _binary_codes(path.read_bytes())
    except (OSError, ValueError, struct.error) as error:
        raise WorkspaceError(f"'{path}' cannot be read ({error}); delete it and evaluate again") from error


def _binary_codes(content: bytes) -> Iterator[int | None]:
    place = HEADER.size
    for _ in range(HEADER.unpack_from(content)[1]):
        kind, place = content[place], place + 1
        if kind == SPECIAL:
            yield int(struct.unpack_from("<I", content, place)[0])
            place += 4
            continue
        yield None
        if kind == RECTANGLE:
            place += struct.calcsize("<ffff")
        elif kind == POLYGON:
            place += 2 + 8 * struct.unpack_from("<H", content, place)[0]
        elif kind == MASK:
            place += 10 + 2 * struct.unpack_from("<hhHHH", content, place)[4]
        else:
            raise ValueError(f"kind of region {kind}")
    if place != len(content):
        raise ValueError("it is cut off")
