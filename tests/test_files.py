"""Files appear when they are complete; until then the old one stays."""

from __future__ import annotations

import errno
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tracker.files import replace_file, replacing


def test_text_and_bytes_replace_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    for content, expected in (("J, Ü\n", "J, Ü\n".encode()), (b"\x00\xff", b"\x00\xff")):
        replace_file(path, content)
        assert path.read_bytes() == expected
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


@pytest.mark.parametrize("told", ["by the system", "without a name", "by safetensors", "by torch"])
def test_a_full_disk_is_an_os_error_that_names_the_file(tmp_path: Path, told: str) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(OSError) as caught, replacing(path) as draft:
        if told == "by safetensors":
            raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
        if told == "without a name":
            raise OSError(errno.ENOSPC, "No space left on device")
        try:
            raise OSError(errno.ENOSPC, "No space left on device", str(draft))
        except OSError:
            if told == "by torch":
                raise RuntimeError("unexpected pos 576 vs 534")  # noqa: B904  as PyTorch's writer does
            raise
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value) == f"[Errno 28] No space left on device: '{path}'"


def test_what_has_nothing_to_do_with_the_file_is_passed_on(tmp_path: Path) -> None:
    for error in (RuntimeError("a bug"), KeyError("x"), FileNotFoundError(errno.ENOENT, "No such file", "other.png")):
        with pytest.raises(type(error)) as caught, replacing(tmp_path / "mask.png"):
            raise error
        assert caught.value is error


def test_a_long_name_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    replace_file(path, "all of it")
    assert path.read_text() == "all of it"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "scores.csv", "")


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002, 0o077])
def test_a_file_may_be_read_by_whom_the_umask_says(tmp_path: Path, umask: int) -> None:
    code = (
        f"import os, pathlib; os.umask({umask})\nfrom tracker.files import replace_file\n"
        "replace_file(pathlib.Path('new'), 'text'); pathlib.Path('plain').write_text('text')"
    )
    environ = {"PYTHONPATH": str(CHECKOUT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environ)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"new": 0o666 & ~umask, "plain": 0o666 & ~umask}
