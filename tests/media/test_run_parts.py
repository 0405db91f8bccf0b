"""Progress, signals and the output folder."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import signal
import struct
import termios
import threading
from pathlib import Path

import av
import pytest

from tests.media.clips import SIZE, answer, scene, square
from tracker.media.frames import Frame
from tracker.media.outputs import OutputError, Outputs, check_folder, remove_old
from tracker.media.progress import Progress
from tracker.signals import Interruption, Stopped


def test_progress_is_lines_in_a_log() -> None:
    stream = io.StringIO()
    progress = Progress(stream, interval=0.0)
    progress.start(3)
    for _ in range(3):
        progress.step()
    progress.warn("frame 2 is damaged")
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("frames: 1 of 3, ") and lines[0].endswith("0:00:00 left") and " fps" in lines[0]
    assert lines[2].startswith("frames: 3 of 3, ") and "left" not in lines[2]
    assert lines[3] == "dmb: warning: frame 2 is damaged"


def test_progress_is_a_bar_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = Progress(stream)
    progress.start(2)
    progress.step()
    progress.warn("careful")
    progress.close()
    assert "\r" in stream.getvalue() and "1/2" in stream.getvalue() and "dmb: warning: careful\n" in stream.getvalue()


@pytest.mark.parametrize("columns", [0, 70])
def test_the_bar_is_seen_whatever_width_the_terminal_tells(columns: int) -> None:
    """A real terminal, which may tell a width of 0 as serial lines do."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(slave, "w", encoding="utf-8") as stream:
        progress = Progress(stream)
        progress.start(4)
        for _ in range(4):
            progress.step()
        progress.close()
    parts: list[bytes] = []
    with contextlib.suppress(OSError):  # the end, on Linux, where all is read and the other side is closed
        while part := os.read(master, 1 << 16):
            parts.append(part)
    os.close(master)
    text = b"".join(parts).decode()
    last = text.rstrip().split("\r")[-1]
    assert "4/4" in last and "frames/s" in last and "|" in last and 40 < len(last) <= (columns or 80), last


def test_a_long_wait_is_told_and_a_short_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.set()
            return super().write(text)

    written, stream = threading.Event(), Stream()
    progress = Progress(stream)
    with progress.waiting("waiting for frame 0"):
        pass
    monkeypatch.setattr("tracker.media.progress.PATIENCE", 0.0)
    with progress.waiting("waiting for frame 1"):
        assert written.wait(60)
    progress.note("a box beyond the image")
    assert stream.getvalue() == "waiting for frame 1\ndmb: note: a box beyond the image\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_what_is_held(number: signal.Signals) -> None:
    before, steps = signal.getsignal(number), []
    with pytest.raises(Stopped) as stop, Interruption() as interruption:
        with interruption.held():
            os.kill(os.getpid(), number)
            steps.append("written")
        steps.append("never")
    assert steps == ["written"] and stop.value.number == number and signal.getsignal(number) is before
    with pytest.raises(Stopped), Interruption():
        os.kill(os.getpid(), number)
        signal.pause()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_so(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interruption():
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is signal.SIG_IGN
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_folder_without_the_right_to_write_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[Path] = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path) or mode != os.W_OK | os.X_OK)
    with pytest.raises(OutputError, match=r"^'clip_tracked' cannot be written, .*; name another with"):
        check_folder(Path("clip_tracked"), overwrite=False, source="0")
    assert asked == [tmp_path]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path / "new", overwrite=False, source="0")
    check_folder(tmp_path, overwrite=False, source="0")
    (tmp_path / "overlay.webm").write_bytes(b"")
    with pytest.raises(OutputError, match=r"is not empty; .*--overwrite"):
        check_folder(tmp_path, overwrite=False, source="0")
    check_folder(tmp_path, overwrite=True, source="0")
    for source in ("overlay.webm", "masks"):
        with pytest.raises(OutputError, match="would be overwritten"):
            check_folder(tmp_path, overwrite=True, source=str(tmp_path / source))
    with pytest.raises(OutputError, match="is a file"):
        check_folder(tmp_path / "overlay.webm", overwrite=True, source="0")


def test_only_results_are_removed(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    ours = ("overlay.webm", "boxes.csv", "polygons_12.txt", "page.html", "masks/00012.png")
    theirs = ("notes.txt", "polygons.txt", "masks/first.png", "00001.png")
    for name in (*ours, *theirs):
        (tmp_path / name).write_bytes(b"")
    remove_old(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == sorted(theirs)


def test_one_file_that_cannot_be_completed_leaves_the_others_complete(tmp_path: Path) -> None:
    kinds = ["video", "boxes"]
    outputs = Outputs(tmp_path / "out", kinds, size=SIZE, rate=25, object_ids=[1], step=1, title="clip")
    outputs.add(Frame(0, 0.0, scene(10)), {1: answer(square(10))})

    def fail() -> None:
        raise OSError("the disk is full")

    outputs.resources.callback(fail)
    with pytest.raises(OSError, match="the disk is full"):
        outputs.close()
    with av.open(str(tmp_path / "out" / "overlay.webm")) as video:
        assert video.duration and sum(1 for _ in video.decode(video=0)) == 1


@pytest.mark.parametrize(
    "read",
    ["masks", "masks/00000.png", "masks/*.png", "masks/0000[0-4].png", "*/*.png", "**/*.png", "overlay.webm", "*.webm",
     "page.html", "link.png", "other/../masks/00000.png"],
)  # fmt: skip
def test_what_is_read_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str) -> None:
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    for name in ("masks/00000.png", "masks/00001.png", "overlay.webm", "first.png"):
        (out / name).write_bytes(b"")
    (out / "link.png").symlink_to(out / "masks" / "00001.png")
    for source in (str(out / read), f"~/out/{read}"):
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(OutputError, match=r"lies where results would be overwritten; name another folder"):
            check_folder(out, overwrite=True, source=source)
        with pytest.raises(OutputError, match="would be overwritten"):
            check_folder(out, overwrite=True, source="0", masks=[out / "first.png", Path(source)])


def test_what_is_read_may_lie_beside_the_results(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("first.png", "clip.mkv", "masks/00000.png"):
        (tmp_path / name).write_bytes(b"")
    for source in (tmp_path / "clip.mkv", tmp_path, tmp_path / "*.png", tmp_path / "nowhere.mp4", "-", "0", "[x"):
        check_folder(tmp_path, overwrite=True, source=str(source), masks=[tmp_path / "first.png"])
