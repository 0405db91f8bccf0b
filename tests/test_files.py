"""Files appear when they are complete; until then the old one stays."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tracker.files import replace_file, replacing


def test_text_and_bytes_replace_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    for content, expected in (("J, Ü\n", "J, Ü\n".encode()), (b"\x00\xff", b"\x00\xff")):
        replace_file(path, content)
        assert path.read_bytes() == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [OSError("the disk is full"), KeyboardInterrupt()])
def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path, ending: BaseException) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(type(ending)), replacing(path) as draft:
        draft.write_text("half of the n")
        assert path.read_text() == "old"
        raise ending
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_long_name_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    replace_file(path, "all of it")
    assert path.read_text() == "all of it"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "scores.csv", "")
