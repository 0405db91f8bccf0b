"""No code from outside is run, no shell is started, and files are written where the user has named and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CHECKOUT
from tests.media.clips import StillTracker, write_clip
from tests.robustness.disks import files_of_at_most
from tests.robustness.test_images import encode
from tracker.cli import track
from tracker.trax.convert import FrameError, read_image

SOURCES = sorted(
    path for folder in ("tracker", "vot_workspace", "examples") for path in (CHECKOUT / folder).rglob("*.py")
)
CALLS = {"eval", "exec", "compile", "input"}  # by name; `model.eval()` is something else
ATTRIBUTES = {
    *(("os", name) for name in ("system", "popen", "execv", "execve", "execvp", "spawnl", "spawnv")),
    *(("subprocess", name) for name in ("getoutput", "getstatusoutput")),
    *(("pickle", name) for name in ("load", "loads", "Unpickler")),
    *(("marshal", name) for name in ("load", "loads")),
    ("shelve", "open"), ("tempfile", "mktemp"), ("torch.hub", "load"),
    *(("yaml", name) for name in ("load", "unsafe_load", "full_load", "load_all")),
    *((name, "extractall") for name in ("zipfile", "shutil")),
}  # fmt: skip
# a worker computes whatever its scheduler sends, which SECURITY.md says
TRUSTED = {"tracker/cluster/remote.py": ["pickle.loads"]}
NEEDED = {("torch", "load"): ("weights_only", True), ("np", "load"): ("allow_pickle", False)}


def offences(source: str) -> Iterator[str]:
    """What in a Python file could run code from outside."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        options = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if "shell" in options and options["shell"] is not False and _starts(node.func):
            yield f"{node.lineno}: a shell"
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield f"{node.lineno}: {node.func.id}"
        if isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func.value), node.func.attr
            if called in ATTRIBUTES:
                yield f"{node.lineno}: {'.'.join(called)}"
            if called in NEEDED and options.get(NEEDED[called][0]) is not NEEDED[called][1]:
                yield f"{node.lineno}: {'.'.join(called)} without {NEEDED[called][0]}"


def _starts(function: ast.expr) -> bool:
    """Whether a call starts a process."""
    return ast.unparse(function).split(".")[-1] in ("run", "Popen", "call", "check_call", "check_output")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_nothing_in_the_sources_can_run_code_from_outside(path: Path) -> None:
    found = [offence.partition(": ")[2] for offence in offences(path.read_text())]
    assert found == TRUSTED.get(str(path.relative_to(CHECKOUT)), [])


@pytest.mark.parametrize(
    "code",
    ["eval('1')", "exec(text)", "os.system('ls')", "subprocess.run('ls', shell=True)", "Popen(words, shell=flag)",
     "pickle.loads(data)", "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)",
     "np.load(path, allow_pickle=True)", "yaml.load(text)"],
)  # fmt: skip
def test_it_would_be_noticed(code: str) -> None:
    assert len(list(offences(code))) == 1


@pytest.mark.parametrize("code", ["model.eval()", "subprocess.run(words)", "yaml.safe_load(text)"])
def test_what_is_harmless_is_let_alone(code: str) -> None:
    assert not list(offences(code))


@pytest.mark.parametrize(("width", "height"), [(40_000, 40_000), (2**20 + 1, 2), (2, 2**20 + 1)])
def test_a_small_file_that_claims_to_be_huge_is_not_decoded(width: int, height: int) -> None:
    """OpenCV's bounds hold: 2^30 pixels, and 2^20 on a side."""
    content = bytearray(encode(np.zeros((2, 2, 3), np.uint8), "png"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")  # and their checksum
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    with pytest.raises(FrameError, match="damaged or not an image"):
        read_image(bytes(content))


def test_files_are_written_into_the_named_folder_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: tmp_path / name for name in ("home", "work", "videos", "out")}
    for name, place in places.items():
        if name != "out":
            place.mkdir()
    clip = write_clip(places["videos"] / "clip.mkv", [np.full((48, 64, 3), 10 * n, np.uint8) for n in range(4)])
    monkeypatch.chdir(places["work"])
    monkeypatch.setenv("HOME", str(places["home"]))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    words = [str(clip), "--box", "1,2,20,20", "--masks", "--boxes", "--video", "--page", "--output", str(places["out"])]
    with files_of_at_most(50_000_000):
        assert track.main(words, load=lambda settings: StillTracker, environ={}) == 0
    after = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if places["out"] not in (path, *path.parents)
    }
    assert after == before and (places["out"] / "page.html").exists()
