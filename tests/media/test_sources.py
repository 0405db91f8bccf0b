"""Frames from videos, folders, patterns, cameras and pipes: right pictures, in order, with their times."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.conftest import clean_environment
from tests.media.clips import BLUE, RED, SIZE, scene, write_clip
from tracker.data.images import Levels
from tracker.media import sources
from tracker.media.container import Pipe, open_stream
from tracker.media.frames import Frame, Selection, SourceError
from tracker.media.pictures import natural_key
from tracker.media.sources import open_source


def read(source: object, **options: object) -> tuple[list[Frame], list[str]]:
    """All frames, and the warnings."""
    warnings: list[str] = []
    with open_source(str(source), warn=warnings.append, **options) as opened:  # type: ignore[arg-type]
        return list(opened.frames()), warnings


def near(pixel: np.ndarray, color: tuple[int, int, int], tolerance: int = 14) -> bool:
    return bool(np.abs(pixel.astype(int) - color).max() <= tolerance)


def test_a_variable_frame_rate_keeps_every_time(tmp_path: Path) -> None:
    times = [1000, 1040, 1300, 1310, 2000]
    clip = write_clip(tmp_path / "clip.mkv", [scene(4 * index) for index in range(5)], times)
    frames, warnings = read(clip)
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.04, 0.3, 0.31, 1.0])
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4] and not warnings
    for frame in frames:
        assert frame.image.shape == (SIZE[1], SIZE[0], 3) and frame.image.dtype == np.uint8
        assert near(frame.image[24, 4 * frame.index + 10], RED)


@pytest.mark.parametrize("degrees", [0, 90, -90, 180])
@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (False, True)])
def test_frames_are_upright(tmp_path: Path, degrees: int, mirrored: tuple[bool, bool]) -> None:
    image = scene(0, 0, 16)  # the corner tells where it goes
    shown = np.rot90(image, degrees // 90)
    shown = shown[:, ::-1] if mirrored[0] else shown
    shown = shown[::-1] if mirrored[1] else shown
    frames, _ = read(write_clip(tmp_path / "clip.mp4", [image], turned=(degrees, *mirrored)))
    assert frames[0].image.shape == shown.shape
    assert np.abs(frames[0].image.astype(int) - shown).mean() < 5


def test_length_and_rate_are_known_before_a_frame_is_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [scene(0)] * 7)
    with open_source(str(clip), warn=print) as source:
        assert (source.name, source.length, source.rate) == ("clip", 7, 25)
    clip = write_clip(tmp_path / "clip.mkv", [scene(0)] * 7)  # its header does not hold the number
    with open_source(str(clip), warn=print) as source:
        assert source.length == 7


def test_a_damaged_frame_is_one_warning_and_the_rest_is_read(tmp_path: Path) -> None:
    images = [np.random.default_rng(index).integers(0, 255, (48, 64, 3)).astype(np.uint8) for index in range(6)]
    clip = write_clip(tmp_path / "clip.mkv", images, codec="mpeg4")
    data = bytearray(clip.read_bytes())
    starts = [place for place in range(len(data) - 4) if data[place : place + 4] == b"\0\0\1\xb6"]  # of the pictures
    assert len(starts) == 6
    data[starts[3] : starts[3] + 200] = bytes(200)
    clip.write_bytes(data)
    frames, warnings = read(clip)
    assert len(frames) >= 5 and frames[-1].seconds == pytest.approx(0.2)
    assert len(warnings) == 1 and "clip.mkv' is damaged" in warnings[0] and "going on" in warnings[0]


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damage_that_the_decoder_conceals_is_counted(tmp_path: Path, suffix: str, codec: str) -> None:
    """Without an error or a mark on any frame: only the log of FFmpeg tells."""
    texture = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    clip = tmp_path / f"clip.{suffix}"
    with av.open(str(clip), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.bit_rate, stream.gop_size = 800_000, 30
        for index in range(90):
            image = np.ascontiguousarray(np.roll(texture, (2 * index, 3 * index), (0, 1)))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(stream.encode())
    clean, told = read(clip)
    assert len(clean) == 90 and not told
    data, random = bytearray(clip.read_bytes()), np.random.default_rng(1)
    for place in random.integers(len(data) // 8, len(data) * 3 // 4, 60):
        data[place] ^= int(random.integers(1, 255))
    clip.write_bytes(data)
    frames, told = read(clip)
    guessed = r"is damaged: about (\d+) of its (\d+) frames show what the decoder guessed"
    count = re.search(guessed, "\n".join(told))  # a damaged time may add a note on the length
    assert "clip." in told[0] and "; going on with what can be decoded" in told[0] and count is not None, told
    assert int(count[2]) == len(frames) > 70
    if len(frames) == 90:
        pairs = zip(frames, clean, strict=True)
        wrong = sum(np.abs(one.image.astype(int) - two.image).mean() > 4 for one, two in pairs)
        assert 0.8 * wrong <= int(count[1]) <= wrong + 10, (wrong, told)


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_what_follows_a_lost_frame_is_guessed(tmp_path: Path, suffix: str) -> None:
    """A hole in H.264: from it on to the next whole frame all is predicted from what is not there."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    clip = tmp_path / f"clip.{suffix}"
    with av.open(str(clip), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"g": "20", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(60):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, 2 * index, 1), "rgb24")))
        file.mux(stream.encode())
    data = bytearray(clip.read_bytes())
    start = len(data) // 2
    data[start : start + 8000] = bytes(8000)
    clip.write_bytes(data)
    _, told = read(clip)
    found = re.search(r"about (\d+) of its \d+ frames show what the decoder guessed, from frame (\d+) on", told[-1])
    assert found is not None and 1 <= int(found[1]) <= 22 and 18 <= int(found[2]) < 40


def test_a_pixel_that_is_not_square_and_another_stream_are_kept(tmp_path: Path) -> None:
    clip = tmp_path / "two.mkv"
    with av.open(str(clip), "w") as file:
        streams = [file.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        for _ in range(3):
            for stream, left in zip(streams, (4, 40), strict=True):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(left), "rgb24")))
        for stream in streams:
            file.mux(stream.encode())
    for number, left in ((None, 4), (0, 4), (1, 40)):
        frames, told = read(clip, number=number)
        assert len(frames) == 3 and frames[0].aspect == pytest.approx(16 / 11)
        assert near(frames[0].image[24, left + 10], RED, 30)
        expected = [f"'{clip}' holds 2 video streams; number 0 is tracked, --stream chooses another"]
        assert told == ([] if number is not None else expected)
    with pytest.raises(SourceError, match="has the video streams 0 to 1; there is no stream 2"):
        read(clip, number=2)
    Image.fromarray(scene(3)).save(tmp_path / "one.png")
    with pytest.raises(SourceError, match="--stream is for videos"):
        read(tmp_path / "one.png", number=0)


@pytest.mark.parametrize(("transfer", "name", "white"), [(16, "PQ", 0.5807), (18, "HLG", 0.75)])
def test_a_high_dynamic_range_has_its_white_at_reference_white(
    tmp_path: Path, transfer: int, name: str, white: float
) -> None:
    """Gray steps in the codes of PQ and HLG: black, half of white's light, white, and brighter."""
    half = {16: 0.5081, 18: 0.6174}[transfer]  # code of half of reference white's light
    steps = np.repeat(np.array([0.0, half, white, 0.9]), 16)[None, :].repeat(48, 0)
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv444p10le"
        context = stream.codec_context
        context.color_trc, context.colorspace, context.color_primaries, context.color_range = transfer, 9, 9, 2
        frame = av.VideoFrame(*SIZE, "yuv444p10le")
        for plane, values in zip(frame.planes, (steps * 1023, steps * 0 + 512, steps * 0 + 512), strict=True):
            rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            rows[:, : plane.width] = np.round(values)
            plane.update(rows.tobytes())
        frame.color_trc, frame.colorspace, frame.color_primaries, frame.color_range = transfer, 9, 9, 2
        for _ in range(2):
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    frames, told = read(clip)
    assert [int(value) for value in frames[0].image[20, 8::16, 0]] == pytest.approx([0, 188, 255, 255], abs=3)
    assert told == [
        f"'{clip}' has a high dynamic range ({name}): reference white (203 cd/m2) and all that is brighter is taken "
        "for white"
    ]


@pytest.mark.parametrize("flags", ["", "+faststart", "frag_keyframe+empty_moov"])
def test_any_mp4_is_read_from_a_pipe(tmp_path: Path, flags: str) -> None:
    """Also with its index at the end, where most programs write it."""
    with av.open(str(tmp_path / "clip.mp4"), "w", options={"movflags": flags} if flags else {}) as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(4):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(10 + index), "rgb24")))
        file.mux(stream.encode())
    told: list[str] = []
    with io.BytesIO((tmp_path / "clip.mp4").read_bytes()) as raw, open_stream(raw, told.append, Levels()) as source:
        assert len(list(source.frames())) == 4 and not told


def test_a_file_cut_short_gives_what_it_holds(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [scene(index) for index in range(20)], range(0, 4000, 200))
    assert read(clip)[1] == []
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    frames, warnings = read(clip)
    assert 3 < len(frames) < 15 and warnings[-1].endswith("s, its header promises 3.8 s")


def test_a_folder_is_read_in_natural_order_and_upright(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        image = Image.fromarray(scene(number))
        exif = image.getexif()
        exif[0x0112] = 6 if number == 10 else 1  # orientation: turn clockwise by 90 degrees
        image.save(tmp_path / f"frame{number}.jpg", exif=exif, quality=95)
    (tmp_path / "notes.txt").write_text("no image")
    frames, warnings = read(tmp_path, rate=10.0)
    assert [frame.index for frame in frames] == [0, 1, 2] and not warnings
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert near(frames[0].image[24, 11], RED) and not near(frames[0].image[24, 25], RED)
    assert frames[2].image.shape == (SIZE[0], SIZE[1], 3)
    assert near(frames[2].image[20, 24], RED)  # what was left is above


def test_a_pattern_finds_its_files_only(tmp_path: Path) -> None:
    for name in ("a2.png", "a10.png", "b1.png"):
        Image.fromarray(scene(int(name[1:-4]))).save(tmp_path / name)
    frames, _ = read(tmp_path / "a*.png")
    assert [frame.image[24, 4:12:7, 0].tolist() for frame in frames] == [[RED[0], RED[0]], [120, RED[0]]]
    assert natural_key("f2") < natural_key("f10") < natural_key("g")


def test_a_damaged_image_is_left_out_with_a_warning(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(scene(number)).save(tmp_path / f"{number}.jpg")
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[: -len(data) // 8])
    frames, warnings = read(tmp_path)
    assert [frame.index for frame in frames] == [0, 2]
    assert len(warnings) == 1 and "frame 1, " in warnings[0] and "1.jpg', is damaged or not an image" in warnings[0]


class Camera:
    """OpenCV's class, with three blue pictures."""

    def __init__(self, number: int) -> None:
        self.left = 3 if number == 0 else 0
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.left > 0

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return self.left >= 0, np.full((48, 64, 3), BLUE[::-1], np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_camera_gives_rgb_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    frames, warnings = read("0")
    assert len(frames) == 3 and frames[0].seconds == 0.0 <= frames[2].seconds < 5
    assert tuple(frames[0].image[0, 0]) == BLUE
    assert "no further picture after 3 frames" in warnings[0]
    with pytest.raises(SourceError, match="camera 1 cannot be opened"):
        read("1")


def test_a_missing_camera_is_one_sentence_without_what_opencv_has_to_say() -> None:
    """The real OpenCV, whose own words go past Python's standard error."""
    code = "import sys\nfrom tracker.cli.main import main\nsys.exit(main(['track', '987', '--box', '1,2,3,4']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == (
        "dmb track: error: camera 987 cannot be opened; give the number of one that is connected and not in use\n"
    )


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_a_pipe_gives_frames_before_it_ends(tmp_path: Path, codec: str) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [scene(index) for index in range(40)], codec=codec)
    receiver, sender = os.pipe()
    data = clip.read_bytes()
    with open(receiver, "rb", buffering=0) as raw, open(sender, "wb", buffering=0) as feed:
        assert len(data) < 60_000  # what a pipe takes without a reader
        feed.write(data)
        with open_stream(raw, print, Levels()) as source:
            frames = source.frames()
            first = next(frames)  # the pipe is still open
            assert near(first.image[24, 10], RED)
            feed.close()
            assert sum(1 for _ in frames) == 39


def test_raw_mjpeg_is_read_from_a_pipe(tmp_path: Path) -> None:
    data = b""
    for index in range(8):
        Image.fromarray(scene(index)).save(tmp_path / "frame.jpg", quality=95)
        data += (tmp_path / "frame.jpg").read_bytes()
    with open_stream(io.BytesIO(data), print, Levels()) as source:
        assert len(list(source.frames())) == 8


class Interrupt(BaseException):
    """As a signal's handler raises it."""


def test_an_exception_while_a_pipe_is_read_is_not_lost() -> None:
    class Raw:
        def read(self, size: int) -> bytes:
            raise Interrupt

    with pytest.raises(Interrupt), open_stream(Raw(), print, Levels()):
        pass
    assert Pipe(io.BytesIO(b"ab")).read(1) == b"a"


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [scene(index) for index in range(3)])
    with clip.open() as file:
        monkeypatch.setattr(sources.sys, "stdin", file)
        assert len(read("-")[0]) == 3


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere.mp4", "'nowhere.mp4' does not exist"),
        ("text.mp4", "text.mp4' cannot be read as a video"),
        ("sound.mkv", "sound.mkv' cannot be read as a video"),
        ("empty", "holds no images"),
        ("*.png", r"no file matches '.*\*.png'"),
    ],
)
def test_an_unusable_source_is_one_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    (tmp_path / "text.mp4").write_text("this is not a video")
    (tmp_path / "sound.mkv").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=sentence):
        read(tmp_path / source if source != "nowhere.mp4" else source)


def test_a_pipe_without_video_and_a_rate_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"standard input cannot be read as a video .*matroska"), \
            open_stream(io.BytesIO(b"no video at all"), print, Levels()):  # fmt: skip
        pass
    with pytest.raises(SourceError, match="--fps is for images"):
        read(write_clip(tmp_path / "clip.mkv", [scene(0)]), rate=10.0)


def selected(folder: Path, selection: Selection) -> list[int]:
    with open_source(str(folder), warn=lambda sentence: None) as source:
        return [frame.index for frame in selection.of(source)]


def test_frames_are_selected(tmp_path: Path) -> None:
    for number in range(8):
        Image.fromarray(scene(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes(b"damaged")
    assert selected(tmp_path, Selection()) == [0, 1, 2, 3, 5, 6, 7]
    assert selected(tmp_path, Selection(1, 6, 2)) == [1, 3, 5]
    assert Selection(1, 6, 2).count(8) == 3 and Selection(2).count(None) is None and Selection(0, 4).count(None) == 4
    with pytest.raises(SourceError, match="ends after 8 frames; there is no frame 9"):
        selected(tmp_path, Selection(9))
    with pytest.raises(SourceError, match=r"frame 4 of .* cannot be read, and it is the one to start from"):
        selected(tmp_path, Selection(4))
    with pytest.raises(SourceError, match=r"frame 4 of .* cannot be read"):
        selected(tmp_path, Selection(4, 5))
    Image.fromarray(scene(0)[:20]).save(tmp_path / "8.png")
    with pytest.raises(SourceError, match=r"frame 8 of .* has 64 x 20 pixels, frame 0 has 64 x 48"):
        selected(tmp_path, Selection())


def test_a_number_is_a_camera_unless_something_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0007").mkdir()
    Image.fromarray(scene(3)).save(tmp_path / "0007" / "1.png")
    frames, _ = read("0007", rate=10.0)
    assert len(frames) == 1 and frames[0].image[24, 10].tolist() == list(RED)
    assert len(read("0")[0]) == 3
    for number in ("20251125", "9" * 30):
        with pytest.raises(SourceError, match=f"'{number}' does not exist"):
            read(number)
    with pytest.raises(SourceError, match=r"'~no-such-user/x\.mp4' does not exist"):
        read("~no-such-user/x.mp4")


@pytest.mark.parametrize("start", [0, 10_000])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv"])
def test_a_clock_may_start_anywhere(tmp_path: Path, suffix: str, start: int) -> None:
    times, codec = range(start, start + 4000, 200), "flv" if suffix == "flv" else "mpeg4"
    clip = write_clip(tmp_path / f"clip.{suffix}", [scene(index) for index in range(20)], times, codec=codec)
    assert read(clip)[1] == []
    if suffix != "mp4":  # whose table of contents is at the end
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        frames, warnings = read(clip)
        end = frames[-1].seconds + 0.04
        assert 3 < len(frames) < 15 and f"ends after {end:.1f} s, its header promises 3.8 s" in warnings[-1]
