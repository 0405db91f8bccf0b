"""`dmb track` from the command line to its files: with a tracker that sees color, and with one that stands still."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.cli.conftest import LEFTS, Command, rows
from tests.conftest import clean_environment
from tests.media.clips import SIZE, StillTracker, scene, square, write_clip
from tests.media.test_realtime import Hands
from tests.tracking.scenes import CONFIG, ColorEngine
from tracker import DMB
from tracker.cli import track
from tracker.media.progress import Progress
from tracker.metrics.masks import overlap
from tracker.network import DMBNet
from tracker.settings import Settings
from tracker.tracking.result import Result


@pytest.mark.integration
def test_everything_about_a_video_is_written(
    real: Command, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert real(clip, "--box", "10,14,20,20") == 0
    folder = tmp_path / "clip_tracked"
    names = ["boxes.csv", "masks", "overlay.webm", "polygons_1.txt", "result.jsonl", "summary.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for index, left in enumerate(LEFTS):
        mask = np.asarray(Image.open(folder / "masks" / f"{index:05d}.png"))
        assert overlap(mask == 1, square(left)) > 0.7
    found = rows(folder)
    assert [float(row["time"]) for row in found] == [0, 0.04, 0.2, 0.24, 0.3]
    assert abs(float(found[4]["x"]) - LEFTS[4]) < 4 and found[0]["confidence"] == "1.0"
    with av.open(str(folder / "overlay.webm")) as video:
        assert [frame.time for frame in video.decode(video=0)] == pytest.approx([0, 0.04, 0.2, 0.24, 0.3])
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1 and "5 frames in" in captured.out and "; written to" in captured.out
    assert "'clip_tracked': overlay.webm, masks/, boxes.csv" in captured.out and "error" not in captured.err


def test_settings_come_from_options_and_environment(command: Command, clip: Path) -> None:
    assert command(clip, "--box", "1,2,20,20", "--boxes", "--device", "cpu", DMB_THREADS="1", DMB_DEVICE="cuda") == 0
    assert command.settings == [Settings(device="cpu", threads=1)]  # type: ignore[attr-defined]


def test_in_real_time_frames_are_dropped_and_counted(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hands = Hands()

    class Slow(StillTracker):
        def track(self, image: NDArray[np.uint8]) -> Result:
            hands.pass_(0.13)
            return super().track(image)

    def run(*options: str) -> dict[str, object]:
        arguments = [str(clip), "--box", "1,2,20,20", "--boxes", "--overwrite", *options]
        assert track.main(arguments, load=lambda settings: Slow, environ={}, clock=hands.clock) == 0  # type: ignore
        return json.loads((tmp_path / "clip_tracked" / "summary.json").read_text())

    # frames come at 0, 40, 200, 240, 300 ms; the tracker is ready at 0, 170 (of 40), 330 (of 200), 460 (of 300)
    summary = run("--realtime")
    assert summary["frames"] == 4 and summary["dropped"] == 1
    assert [row["frame"] for row in rows(tmp_path / "clip_tracked")] == ["0", "1", "2", "4"]
    assert (tmp_path / "clip_tracked" / "polygons_1.txt").read_text().splitlines()[3] == "0"
    assert summary["latency_ms"] == {"p50": 130.0, "p95": 157.0}
    told = capsys.readouterr().out
    assert "fps, 1 dropped, latency p50 130 ms, p95 157 ms; written to" in told and "summary.json" in told

    summary = run()
    assert summary["frames"] == 5 and "dropped" not in summary
    assert summary["latency_ms"] == {"p50": 130.0, "p95": 130.0}
    assert "fps, latency p50 130 ms" in capsys.readouterr().out


@pytest.mark.integration
def test_several_objects_from_one_mask_file(real: Command, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(8, 11):  # natural order: 8, 9, 10
        image = scene(number)
        image[2:10, 50:60] = (220, 30, 30)
        Image.fromarray(image).save(folder / f"{number}.png")
    ids = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    ids[square(8)], ids[2:10, 50:60] = 1, 2
    Image.fromarray(ids).save(tmp_path / "first.png")
    assert real("frames", "--mask", "first.png", "--masks", "--boxes", "--output", "out", "--fps", "10") == 0
    assert not (tmp_path / "out" / "overlay.webm").exists()
    last = np.asarray(Image.open(tmp_path / "out" / "masks" / "00002.png"))
    assert overlap(last == 1, square(10)) > 0.6 and set(np.unique(last)) == {0, 1, 2}
    assert [row["object"] for row in rows(tmp_path / "out")] == ["1", "2"] * 3
    assert (tmp_path / "out" / "polygons_2.txt").read_text().count("\n") == 3
    assert float(rows(tmp_path / "out")[-1]["time"]) == 0.2


def test_frames_and_regions_can_be_chosen(command: Command, clip: Path, tmp_path: Path) -> None:
    polygon = ("--polygon", "13,14,32,14,32,33,13,33", "--boxes", "--output", "o")
    assert command(clip, *polygon, "--start", 2, "--step", 2) == 0
    assert [row["frame"] for row in rows(tmp_path / "o")] == ["2", "4"]
    names = ["boxes.csv", "polygons_1.txt", "result.jsonl", "summary.json"]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == names
    assert command(clip, "--box", "-3,-2,40,45", "--stop", 1, "--masks", "--output", "p") == 0
    assert [path.name for path in (tmp_path / "p" / "masks").iterdir()] == ["00000.png"]


def test_an_earlier_run_is_only_replaced_when_asked(
    command: Command, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = ("--box", "10,14,20,20", "--masks", "--output", "out")
    assert command(clip, *box) == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert command(clip, *box) == 1
    assert "error: 'out' is not empty; name another folder with --output, or replace" in capsys.readouterr().err
    assert command(clip, "--box", "900,1,2,2", *box[2:], "--overwrite") == 1
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 5  # a mistake costs no results
    assert command(clip, *box, "--overwrite", "--stop", "2") == 0
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2 and (tmp_path / "out" / "notes.txt").exists()


def test_what_was_tracked_before_an_error_is_complete(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "frames").mkdir()
    for number, left in enumerate(LEFTS):
        Image.fromarray(scene(left)).save(tmp_path / "frames" / f"{number}.png")
    (tmp_path / "frames" / "2.png").write_bytes(b"damaged")
    Image.fromarray(scene(0)[:30]).save(tmp_path / "frames" / "9.png")
    assert command("frames/*.png", "--box", "10,14,20,20") == 1
    captured = capsys.readouterr()
    warning, error = captured.err.splitlines()
    assert warning.startswith("dmb track: warning: frame 2, 'frames/2.png', is damaged or not an image")
    assert "it is left out" in warning
    assert error.startswith("dmb track: error: frame 5 of 'frames/*.png' has 64 x 30 pixels")
    folder = tmp_path / "frames_tracked"
    assert "4 frames in" in captured.out and [row["frame"] for row in rows(folder)] == ["0", "1", "3", "4"]
    assert (folder / "polygons_1.txt").read_text().splitlines()[2] == "0"
    with av.open(str(folder / "overlay.webm")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 4


def test_the_page_comes_beside_the_rest(
    command: Command, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracker.media import page

    calls: list[dict] = []

    def write_page(path: Path, *, video: Path, **facts: object) -> None:
        with av.open(str(video)) as container:
            facts["times"] = [frame.time for frame in container.decode(video=0)]
        path.write_text("page")
        calls.append(facts)

    monkeypatch.setattr(page, "write_page", write_page)
    assert command(clip, "--box", "10,14,20,20", "--page", "--boxes", "--output", "out") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["boxes.csv", "page.html", "polygons_1.txt", "result.jsonl", "summary.json"]
    facts = calls[0]
    assert facts["times"] == pytest.approx(np.arange(5) / facts["frame_rate"], abs=0.001)  # a constant rate
    assert facts["size"] == SIZE and facts["title"] == "clip" and sorted(facts["thumbnails"]) == [0, 1, 2, 3, 4]
    assert [moment.frame for moment in facts["moments"]] == [0, 1, 2, 3, 4]


def test_the_page_compares_with_the_truth(
    command: Command, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overlaps: list[float | None] = []
    keep = lambda path, **facts: overlaps.extend(moment.overlap for moment in facts["moments"])  # noqa: E731
    monkeypatch.setattr("tracker.media.page.write_page", keep)
    (tmp_path / "right").mkdir()
    for index in (0, 2):
        Image.fromarray(square(LEFTS[index]).astype(np.uint8) * 255).save(tmp_path / "right" / f"{index:05d}.png")
    chosen = (clip, "--box", "10,14,20,20", "--page", "--output", "out", "--overwrite")
    assert command(*chosen, "--truth", "right") == 0
    assert overlaps == [1.0, None, pytest.approx(17 / 23), None, None]  # it stands still, the square has moved by 3
    assert command(*chosen, "--truth", "out/masks") == 1
    assert "'out/masks' lies where results would be overwritten" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        command(*chosen[:3], "--truth", "right")
    assert stop.value.code == 2 and "--truth has no effect without --page" in capsys.readouterr().err


def test_what_is_hardly_meant_so_and_waited_for_is_told(
    command: Command, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[str] = []
    monkeypatch.setattr(Progress, "waiting", lambda self, sentence: waits.append(sentence) or nullcontext())
    assert command(clip, "--box", "-6,14,20,20", "--boxes", "--start", "2") == 0
    told = "dmb track: note: --box -6,14,20,20: the box reaches beyond the image of 64 x 48 pixels; check its numbers\n"
    assert capsys.readouterr().err == told
    assert waits == [f"waiting for frame 2 of '{clip}' ... (Ctrl-C ends it)"] * 2  # to open it, and to decode up to it


def test_without_a_region_one_is_drawn(
    command: Command, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "selectROI", lambda *_, **options: (10, 14, 20, 20))
    monkeypatch.setattr(cv2, "destroyWindow", lambda window: None)
    assert command(clip, "--boxes", "--stop", 1) == 0
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SystemExit) as stop:
        command(clip)
    assert stop.value.code == 2 and "there is no display to draw a box on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.mp4", "--box", "1,2,3,4"], "'nowhere.mp4' does not exist"),
        (["{clip}", "--box", "90,2,30,40"], "--box 90,2,30,40: the box 90, 2, 30, 40 lies outside the image"),
        (
            ["{clip}", "--box", "1,2,30,40", "--at", "2", "--box", "90,2,3,4"],
            "--at 2 --box 90,2,3,4: the box 90, 2, 3, 4",
        ),
        (["{clip}", "--mask", "no.png"], "--mask no.png: the file cannot be read (No such file"),
        (["{clip}", "--box", "1,2,30,40", "--start", "5"], "ends after 5 frames; there is no frame 5"),
        (["{clip}", "--box", "1,2,30,40", "--fps", "5"], "--fps is for images"),
        (["{clip}", "--box", "1,2,30,40", "--output", "{clip}"], "is a file; name a folder with --output"),
    ],
)
def test_unusable_input_is_one_sentence_and_leaves_nothing(
    arguments: list[str],
    sentence: str,
    command: Command,
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(*(argument.format(clip=clip) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb track: error: ") and sentence in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mkv"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "SOURCE"),
        (["a.mp4", "--box", "1,2,3"], "'1,2,3' is not a box; give four numbers, x,y,w,h"),
        (["a.mp4", "--polygon", "1,2,3,4"], "is not a polygon; give at least three points"),
        (["a.jpg", "b.jpg", "--box", "1,2,3,4"], "a pattern of image files needs quotes"),
        (["a.mp4", "--box", "1,2,3,4", "--start", "5", "--stop", "5"], "stop after the start"),
        (["a.mp4", "--box", "1,2,3,4", "--step", "0"], "'0' must be a whole number from 1"),
        (["a.mp4", "--box", "1,2,3,4", "--fps", "fast"], "--fps: 'fast' must be a number"),
        (["a.mp4", "--box", "1,2,3,4", "--gate", "open"], "--gate is 'open'; it must be paper or"),
        (["a.mp4", "--cocoo"], "unknown option --cocoo; did you mean --coco?"),
        (["a.mp4", "--box", "1,2,3,4", "--at", "-3", "--box", "1,2,3,4"], "--at: '-3' must be a whole number from 0"),
        (
            ["a.mp4", "--box", "1,2,3,4", "--at", "3"],
            "--at 3 has no region; put --box, --polygon, --mask or --point behind it",
        ),
        (["a.mp4", "--at", "3"], "--at 3 has no region"),
        (["a.mp4", "--object", "1", "--box", "1,2,3,4"], "put --at FRAME before it"),
        (["a.mp4", "--start", "5", "--at", "3", "--box", "1,2,3,4"], "--at is 3 and --start 5"),
        (["a.mp4", "--ouput", "x"], "unknown option --ouput; did you mean --output?"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], sentence: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command(*arguments)
    assert stop.value.code == 2 and sentence in capsys.readouterr().err


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\nfrom tracker.cli.main import main\ntry:\n    main(['track', '--help'])\n"
        "finally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "ffmpeg" in done.stdout and "--crop-size" in done.stdout, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.integration
def test_a_signal_while_standard_input_is_awaited_completes_the_files(tmp_path: Path, number: signal.Signals) -> None:
    """The real process: a pipe that stays open, a signal, and files that can be read."""
    clip = write_clip(tmp_path / "clip.mkv", [scene(left) for left in LEFTS])
    code = (
        "import sys\nfrom tests.media.clips import StillTracker\nfrom tracker.cli import track\n"
        "sys.exit(track.main(sys.argv[1:], load=lambda settings: StillTracker))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-", "--box", "10,14,20,20", "--output", "out"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False, cwd=tmp_path,
        env=clean_environment(OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1")),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(clip.read_bytes())
    process.stdin.flush()
    table, until = tmp_path / "out" / "boxes.csv", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if table.exists() and len(table.read_text().splitlines()) >= 4:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number, error
    assert error.decode().startswith(f"dmb track: stopped by {number.name}: ") and error.count(b"\n") == 1
    count = len(rows(tmp_path / "out"))
    assert count >= 3 and len(list((tmp_path / "out" / "masks").iterdir())) == count
    with av.open(str(tmp_path / "out" / "overlay.webm")) as video:
        assert sum(1 for _ in video.decode(video=0)) == count


@pytest.mark.parametrize(
    "arguments",
    [["out/masks/*.png"], ["out/masks/00000.png"], ["clip.mkv", "--mask", "out/masks/00001.png"]],
)
def test_overwriting_spares_what_is_read(
    command: Command, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert command(clip, "--box", "10,14,20,20", "--masks", "--output", "out") == 0
    masks = tmp_path / "out" / "masks"
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    assert len(before) == 5
    assert command(*arguments, "--box", "10,14,20,20", "--masks", "--output", "out", "--overwrite") == 1
    assert "would be overwritten; name another folder with --output" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in masks.iterdir()} == before


def test_an_unknown_user_in_a_path_is_one_sentence(
    command: Command, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["~no-such-user/clip.mkv", "--box", "1,2,3,4"], [clip, "--mask", "~no-such-user/first.png"]):
        assert command(*arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith("dmb track: error: ") and "~no-such-user/" in error and error.count("\n") == 1


def test_features_that_are_not_finite_are_one_sentence(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Overflowing(ColorEngine):
        """As float16 on a CPU."""

        def filter_features(self, images: torch.Tensor) -> torch.Tensor:
            return super().filter_features(images) * torch.inf

    monkeypatch.chdir(tmp_path)
    engine = Overflowing(DMBNet().eval(), precision="float32")
    code = track.main([str(clip), "--box", "10,14,20,20"], load=lambda _: lambda: DMB(engine, CONFIG), environ={})
    error = capsys.readouterr().err
    assert code == 1 and error.startswith("dmb track: error: ") and error.count("\n") == 1
    assert "not finite; run the network in float32 (DMB_PRECISION=float32)" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_the_files_are_opened_closes_them(
    command: Command, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:  # fmt: skip
    from tracker.media.outputs import Outputs

    events: list[str] = []

    class Slow(Outputs):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            os.kill(os.getpid(), number)
            events.append("opened")

        def close(self, **options: bool) -> None:
            os.kill(os.getpid(), number)  # impatience completes the files, too
            super().close(**options)
            events.append("closed")

    monkeypatch.setattr("tracker.media.outputs.Outputs", Slow)
    assert command(clip, "--box", "10,14,20,20") == 128 + number
    assert events == ["opened", "closed"]
    assert capsys.readouterr().err == f"dmb track: stopped by {number.name}: nothing was written\n"


def test_a_terminal_that_is_gone_costs_no_files(
    command: Command, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Progress) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Progress, "close", gone)
    assert command(clip, "--box", "10,14,20,20", "--video") == 1
    with av.open(str(tmp_path / "clip_tracked" / "overlay.webm")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(LEFTS)
