"""What the toolkit has written of a tracker: failures and times, from text and from its binary form."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from vot_workspace.answers import failures, seconds
from vot_workspace.writer import WorkspaceError

TEXT = ["1", "10.0,20.0,30.0,40.0", "2", "0", "0", "1", "1,2,3,4,5,6"]
TIMES = ["0.9", "0.010", "0.030", "", "", "0.8", "0.020"]


def binary() -> bytes:
    """The same in the toolkit's binary form, with a mask for the last frame."""
    special = [struct.pack("<BI", 0, code) for code in (1, 2, 0, 0, 1)]
    rectangle = struct.pack("<Bffff", 1, 10, 20, 30, 40)
    mask = struct.pack("<BhhHHH3H", 3, 4, 5, 6, 7, 3, 1, 2, 39)
    return struct.pack("<hI", 1, 7) + special[0] + rectangle + b"".join(special[1:]) + mask


@pytest.fixture(params=["txt", "bin"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "cup_001_time.value").write_text("\n".join(TIMES) + "\n")
    if request.param == "txt":
        (tmp_path / "cup_001.txt").write_text("\n".join(TEXT) + "\n")
    else:
        (tmp_path / "cup_001.bin").write_bytes(binary())
    return tmp_path


def test_failures_and_the_times_of_tracked_frames(folder: Path) -> None:
    assert failures(folder) == 1
    assert seconds(folder) == [0.010, 0.030, 0.020]


def test_a_polygon_in_binary_is_passed_over(tmp_path: Path) -> None:
    polygon = struct.pack("<BH8f", 2, 4, *range(8))
    (tmp_path / "cup_001.bin").write_bytes(struct.pack("<hI", 1, 2) + polygon + struct.pack("<BI", 0, 2))
    assert failures(tmp_path) == 1


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "cup_001.bin").write_bytes(binary()[:-2])
    with pytest.raises(WorkspaceError, match=r"cup_001\.bin' cannot be read .*; delete it and evaluate again"):
        failures(tmp_path)
    (tmp_path / "cup_001.bin").write_bytes(binary())
    (tmp_path / "cup_001_time.value").write_text("0.1\n")
    with pytest.raises(WorkspaceError, match=r"cup_001_time\.value' cannot be read"):
        seconds(tmp_path)
