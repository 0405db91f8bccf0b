"""Pictures of more than 8 bits, and files of several pictures, are what they show, on every path into the tracker."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import trax  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import TraxClient
from tests.media.clips import SIZE, StillTracker, scene, write_clip
from tests.robustness.pictures import RED, SHAPE, background, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB, GOT10kTracker
from tracker.cli import track
from tracker.data.images import ImageError, Levels, check_image, count, decode, pictures, read
from tracker.media.frames import Frame, SourceError
from tracker.media.sources import open_source

FRAMES = 12


def target(index: int) -> NDArray[np.bool_]:
    return np.all(frame(index) == RED, axis=2)


def thermal(index: int) -> NDArray[np.float64]:
    """A warm target before a cooler background, H x W, 0 to 1."""
    ground = background().mean(2) / 255 * 0.6
    return np.where(target(index), 0.9, ground)


# depth: how a sensor or a program stores it
DEPTHS: dict[str, Callable[[NDArray], NDArray]] = {
    "14 bit": lambda values: (7000 + 2000 * values).astype(np.uint16),
    "16 bit": lambda values: (65535 * values).astype(np.uint16),
    "8 bit in 16": lambda values: (255 * values).astype(np.uint16),
    "int32": lambda values: (300_000 + 50_000 * values).astype(np.int32),
    "float 0 to 1": lambda values: values.astype(np.float32),
    "degrees": lambda values: (15 + 25 * values).astype(np.float32),
}


def write_files(folder: Path, make: Callable[[NDArray], NDArray]) -> list[Path]:
    suffix = "png" if make(thermal(0)).dtype == np.uint16 else "tiff"
    paths = [folder / f"{index:08d}.{suffix}" for index in range(1, FRAMES + 1)]
    for index, path in enumerate(paths):
        Image.fromarray(make(thermal(index))).save(path)
    return paths


def write_stack(folder: Path, make: Callable[[NDArray], NDArray]) -> list[Path]:
    pages = [Image.fromarray(make(thermal(index))) for index in range(FRAMES)]
    pages[0].save(folder / "stack.tiff", save_all=True, append_images=pages[1:])
    return [folder / "stack.tiff"]


def from_source(path: Path) -> list[NDArray]:
    with open_source(str(path), warn=lambda sentence: None) as source:
        return [one.image for one in source.frames()]


def as_folder(folder: Path, make: Callable[[NDArray], NDArray]) -> list[NDArray]:
    write_files(folder, make)
    return from_source(folder)


def as_stack(folder: Path, make: Callable[[NDArray], NDArray]) -> list[NDArray]:
    return from_source(write_stack(folder, make)[0])


def as_video(folder: Path, make: Callable[[NDArray], NDArray]) -> list[NDArray]:
    with av.open(str(folder / "clip.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.height, stream.width = SHAPE
        stream.pix_fmt = "gray16le"
        for index in range(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(make(thermal(index)), "gray16le")))
        file.mux(stream.encode())
    return from_source(folder / "clip.mkv")


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_picture_is_tracked_in(depth: str) -> None:
    images = [DEPTHS[depth](thermal(index)) for index in range(FRAMES)]
    dmb = DMB(tiny_engine(), CONFIG)
    with pytest.warns(UserWarning, match="^the pictures are of type"):
        dmb.initialize(images[0], target(0))
    for index in range(1, FRAMES):
        answer, right = dmb.track(images[index]).mask, target(index)
        assert (answer & right).sum() / (answer | right).sum() > 0.6


@pytest.mark.parametrize(
    ("way", "depth"),
    [(way, depth) for way in (as_folder, as_stack) for depth in DEPTHS]
    + [(as_video, depth) for depth in ("14 bit", "16 bit", "8 bit in 16")],
)
def test_a_deep_picture_is_seen_alike_on_every_path(
    tmp_path: Path, way: Callable[..., list[NDArray]], depth: str
) -> None:
    levels = Levels()
    expected = [levels(check_image(DEPTHS[depth](thermal(index)))) for index in range(FRAMES)]
    assert len(np.unique(expected[0])) > 40, "not a few levels of gray"
    assert {int(one[target(index)].mean()) for index, one in enumerate(expected)} == {255}, "one range for all frames"
    images = way(tmp_path, DEPTHS[depth])
    assert len(images) == FRAMES
    for image, right in zip(images, expected, strict=True):
        assert image.dtype == np.uint8 and np.array_equal(image, right)


@pytest.mark.parametrize("depth", DEPTHS)
def test_files_for_got10k_are_read_in_their_depth(tmp_path: Path, depth: str) -> None:
    paths = write_files(tmp_path, DEPTHS[depth])
    left, top, width, height = cv2.boundingRect(target(0).astype(np.uint8))
    with pytest.warns(UserWarning, match=r"^the pictures are of type .*; value_range=\(low, high\) sets others"):
        boxes, _ = GOT10kTracker(tiny_engine(), CONFIG).track([str(path) for path in paths], (left, top, width, height))
    for index in range(1, FRAMES):
        x, y, w, h = cv2.boundingRect(target(index).astype(np.uint8))
        assert np.abs(boxes[index] - (x, y, w, h)).max() < 12


@pytest.mark.parametrize("way", ["path", "buffer", "memory"])
def test_a_deep_picture_arrives_by_trax(tmp_path: Path, way: str) -> None:
    """The double answers the mean of what it sees; the first frame of a session fixes the range."""

    def sent(values: NDArray) -> trax.Image:
        if way == "memory":
            return trax.MemoryImage.create(values)
        Image.fromarray(values).save(tmp_path / "1.png")
        if way == "path":
            return trax.FileImage.create(str(tmp_path / "1.png"))
        return trax.BufferImage.create((tmp_path / "1.png").read_bytes())

    ramp = np.tile(np.linspace(7000, 9000, 60), (40, 1)).astype(np.uint16)
    box = trax.Rectangle.create(10, 5, 20, 12)
    client = TraxClient(DOUBLE="color")
    ((region, _),) = client.initialize(sent(ramp), box)
    assert region.bounds()[0] == pytest.approx(127.5, abs=2)
    ((region, _),) = client.initialize(sent(ramp // 2), box)
    assert region.bounds()[0] == pytest.approx(127.5, abs=2), "a new target, a new range"
    assert client.end() == 0
    fixed = TraxClient(DOUBLE="color", DMB_RANGE="0,16000")
    ((region, _),) = fixed.initialize(sent(ramp), box)
    assert region.bounds()[0] == pytest.approx(127.5, abs=2)
    ((region, _),) = fixed.initialize(sent(ramp // 2), box)
    assert region.bounds()[0] == pytest.approx(64, abs=2)
    assert fixed.end() == 0


def test_the_range_is_the_first_pictures() -> None:
    told: list[str] = []
    levels = Levels(tell=told.append)
    first = np.linspace(1000, 2000, 3000).reshape(10, 100, 3)
    assert levels(np.full((2, 2, 3), 5, np.uint16)).tolist() == np.full((2, 2, 3), 128).tolist() and not told
    shown = levels(first)
    assert shown.min() == 0 and shown.max() == 255 and abs(float(shown.mean()) - 127.5) < 1
    assert levels.limits == pytest.approx((1005, 1995), abs=0.5)
    assert levels(first + 10_000).min() == 255 and levels(np.full((1, 1, 3), np.nan)).max() == 0
    assert len(told) == 1 and "type float64" in told[0] and "from 1005 to 1995" in told[0]
    assert "--range LOW,HIGH sets others" in told[0]


def test_a_small_target_before_an_even_ground_is_seen() -> None:
    picture = np.full((100, 100, 3), 300, np.uint16)
    picture[5, 5] = 400
    assert Levels()(picture)[5, 5].tolist() == [255] * 3


def test_pictures_of_8_bit_stay_as_they_are() -> None:
    told: list[str] = []
    assert Levels((0, 100), told.append)(frame()) is not None
    assert np.array_equal(Levels((0, 100))(frame()), frame()) and Levels()(frame()).dtype == np.uint8
    assert told == ["--range LOW,HIGH has no effect: the pictures have 8 bits"]


def command(*words: str) -> int:
    return track.main([*words, "--output", "out", "--masks", "--overwrite"],
                      load=lambda settings: StillTracker, environ={})  # type: ignore[arg-type, return-value]  # fmt: skip


def test_track_tells_the_range_and_takes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    write_files(tmp_path / "frames", DEPTHS["14 bit"])
    assert command("frames", "--box", "10,10,20,20") == 0
    error = capsys.readouterr().err
    assert "dmb track: note: the pictures are of type uint16: their values from 7" in error and error.count("\n") == 1
    assert command("frames", "--box", "10,10,20,20", "--range", "7000,9000") == 0
    assert not capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        command("frames", "--box", "10,10,20,20", "--range", "9000,7000")
    assert end.value.code == 2 and "--range is '9000,7000'; it must be two numbers, LOW,HIGH" in capsys.readouterr().err


def test_a_state_keeps_its_range(tmp_path: Path) -> None:
    images = [DEPTHS["degrees"](thermal(index)) for index in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dmb = DMB(tiny_engine(), CONFIG)
        dmb.initialize(images[0], target(0))
        dmb.track(images[1])
    dmb.save(tmp_path / "state.safetensors")
    again = DMB.load(tmp_path / "state.safetensors", tiny_engine())
    hotter = images[2] + 10
    assert np.array_equal(again.track(hotter).mask, dmb.track(hotter).mask) and again.levels.limits == dmb.levels.limits


def animation(kind: str, count: int = 4, duration: int = 80) -> bytes:
    stream = io.BytesIO()
    images = [Image.fromarray(scene(10 + 3 * index)) for index in range(count)]
    options = (
        {} if kind == "tiff" else {"duration": duration, "lossless": True} if kind == "webp" else {"duration": duration}
    )
    images[0].save(stream, kind, save_all=True, append_images=images[1:], **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["webp", "png", "tiff"])
def test_all_pictures_of_a_file_are_frames(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"clip.{kind}"
    path.write_bytes(animation(kind))
    told: list[str] = []
    with open_source(str(path), warn=told.append) as source:
        frames = list(source.frames())
        assert source.length == 4
    assert [one.index for one in frames] == [0, 1, 2, 3] and not told
    for index, one in enumerate(frames):
        assert np.array_equal(one.image, scene(10 + 3 * index))
    step = 0.04 if kind == "tiff" else 0.08
    assert [one.seconds for one in frames] == pytest.approx([index * step for index in range(4)])
    with open_source(str(path), rate=10.0, warn=told.append) as source:
        assert [one.seconds for one in source.frames()] == pytest.approx([0, 0.1, 0.2, 0.3])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's word for it
@pytest.mark.parametrize("kind", ["webp", "png", "tiff"])
def test_an_animation_cut_short_ends_with_a_warning(tmp_path: Path, kind: str) -> None:
    path, content = tmp_path / f"clip.{kind}", animation(kind, count=8)
    path.write_bytes(content[: len(content) * 2 // 3])
    told: list[str] = []
    with open_source(str(path), warn=told.append) as source:
        frames = list(source.frames())
    assert len(frames) < 8 and len(told) == 1 and "\n" not in told[0] and told[0].count("is damaged") == 1, told


def test_of_many_files_with_several_pictures_the_first_ones_are_frames(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.webp").write_bytes(animation("webp"))
    told: list[str] = []
    with open_source(str(tmp_path), warn=told.append) as source:
        assert len(list(source.frames())) == 2
    assert len(told) == 1 and "a.webp' holds 4 pictures; of each file the first one is tracked" in told[0]


def test_smaller_copies_of_a_page_are_no_frames(tmp_path: Path) -> None:
    stream, small = io.BytesIO(), Image.fromarray(scene(10)[::2, ::2])
    small.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]
    Image.fromarray(scene(10)).save(stream, "tiff", save_all=True, append_images=[small])
    assert [one.shape for one, _ in pictures(stream.getvalue())] == [(SIZE[1], SIZE[0], 3)]


def test_orientation_is_applied_unless_masks_lie_beside(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(frame()).save(tmp_path / "1.jpg", exif=exif)
    assert read(tmp_path / "1.jpg").shape == (SHAPE[1], SHAPE[0], 3)
    assert read(tmp_path / "1.jpg", upright=False).shape == (*SHAPE, 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16", "I", "F"])
def test_an_image_of_pillow_is_a_frame(mode: str) -> None:
    gray = frame().mean(2)
    image = Image.fromarray(gray.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])) \
        if mode in ("I;16", "I", "F") else Image.fromarray(frame()).convert(mode)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dmb = DMB(tiny_engine(), CONFIG)
        assert dmb.initialize(image, target_mask()).mask.shape == SHAPE
        assert dmb.track(image).mask.shape == SHAPE
    expected = frame() if mode in ("RGB", "RGBA") else None
    assert expected is None or np.array_equal(check_image(image), expected)


# names of files


def read_all(source: str) -> tuple[list[Frame], list[str]]:
    told: list[str] = []
    with open_source(source, warn=told.append) as opened:
        return list(opened.frames()), told


def test_masks_beside_images_of_their_name_are_no_frames(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(scene(index)).save(tmp_path / f"{index:05d}.jpg", quality=95)
        Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(tmp_path / f"{index:05d}.png")
    for source in (str(tmp_path), str(tmp_path / "*")):
        frames, told = read_all(source)
        assert len(frames) == 3 and all(one.image.mean() > 60 for one in frames)
        assert len(told) == 1 and "holds '00000.jpg' and '00000.png'" in told[0] and "(3 left out)" in told[0]
    assert len(read_all(str(tmp_path / "*.png"))[0]) == 3


def test_masks_that_are_named_after_their_image_are_no_frames(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(scene(10 + 4 * index)).save(tmp_path / f"{index:05d}.jpg")
        Image.fromarray(np.zeros((SIZE[1], SIZE[0]), np.uint8)).save(tmp_path / f"{index:05d}_mask.png")
    frames, told = read_all(str(tmp_path))
    assert [round(float((found.image[20, :, 0] > 180).argmax())) for found in frames] == [10, 14, 18]
    assert len(told) == 1 and "holds '00000.jpg' and '00000_mask.png'" in told[0] and "(3 left out)" in told[0]
    assert len(read_all(str(tmp_path / "*_mask.png"))[0]) == 3  # asked for, and nothing beside them


def test_a_pattern_that_also_matches_other_files(tmp_path: Path) -> None:
    for index in range(2):
        Image.fromarray(scene(10)).save(tmp_path / f"{index:05d}.png")
    (tmp_path / "notes.txt").write_text("mine")
    frames, told = read_all(str(tmp_path / "*"))
    assert len(frames) == 2 and told == [f"'{tmp_path}/*' matches 'notes.txt', which is no image (1 such left out)"]
    with pytest.raises(SourceError, match=r"notes.txt', which is no image .* matches"):
        read_all(str(tmp_path / "*.txt"))


@pytest.mark.parametrize("name", ["cam1:front.mp4", "concat:one.mp4", "file:x.mp4", "http:a.mp4", "a|b.mp4"])
def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "one.mp4", [scene(0)] * 2)
    write_clip(tmp_path / "right.mp4", [scene(30)] * 5).rename(tmp_path / name)
    frames, told = read_all(name)
    assert len(frames) == 5 and not told and np.abs(frames[0].image.astype(int) - scene(30)).mean() < 8
    assert track.main([name, "--box", "30,14,20,20", "--output", "run:1"],
                      load=lambda settings: StillTracker, environ={}) == 0  # type: ignore[arg-type, return-value]  # fmt: skip
    with av.open(f"file:{tmp_path}/run:1/overlay.webm") as video:
        assert sum(1 for _ in video.decode(video=0)) == 5


@pytest.mark.parametrize("url", ["rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/clip.mp4", "HTTPS://127.0.0.1:9/a"])
def test_a_url_is_opened_as_one(url: str) -> None:
    with pytest.raises(SourceError, match=rf"^'{url}' cannot be read as a video .*; check the address"), \
            open_source(url, warn=print):  # fmt: skip
        pass
    with (
        pytest.raises(SourceError, match=r"^'data:image/png,x' does not exist"),
        open_source("data:image/png,x", warn=print),
    ):
        pass


def test_pixels_in_the_order_of_pytorch_are_told_how_to_turn() -> None:
    with pytest.raises(ImageError, match=r"give 3 \(RGB\) or 1 \(gray\), last, as in: image.transpose\(1, 2, 0\)$"):
        check_image(np.zeros((3, 40, 50), np.uint8))


def test_what_is_no_picture_is_refused() -> None:
    for content in (b"", b"II*\0" + b"\0" * 40, b"no picture"):
        with pytest.raises(ImageError, match=rf"^is damaged or not an image \({len(content)} bytes\)"):
            decode(content)


def tiff(picture: NDArray[np.generic], order: str = "<", *, big: bool = False, pages: int = 1) -> bytes:
    """An uncompressed TIFF or BigTIFF of floats, H x W or H x W x 3."""
    word, room = ("Q", 8) if big else ("I", 4)
    height, width = picture.shape[:2]
    samples, bits = picture.size // (height * width), picture.itemsize * 8
    data = picture.astype(picture.dtype.newbyteorder(order)).tobytes()
    mark = b"II" if order == "<" else b"MM"
    made = mark + struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    for page in range(pages):
        tags = [(256, [width]), (257, [height]), (258, [bits] * samples), (259, [1]), (262, [2 if samples == 3 else 1]),
                (273, [0]), (277, [samples]), (278, [height]), (279, [len(data)]), (339, [3] * samples)]  # fmt: skip
        start = len(made)
        end = start + (8 if big else 2) + len(tags) * (4 + 2 * room) + room  # of the directory
        later, entries = b"", b""
        for tag, values in tags:
            short = tag in (258, 339)
            number = "H" if short else "I"
            packed = struct.pack(f"{order}{len(values)}{number}", *values)
            if tag == 273:
                packed = struct.pack(order + "I", end + 64)
            if len(packed) > room:
                later, packed = later + packed, struct.pack(order + word, end + len(later))
            entries += struct.pack(f"{order}HH{word}", tag, 3 if short else 4, len(values)) + packed.ljust(room, b"\0")
        after = end + 64 + len(data)
        made += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries
        made += struct.pack(order + word, after if page + 1 < pages else 0) + later.ljust(64, b"\0") + data
    return made


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
def test_half_floats_are_named_and_floats_are_read(color: bool, order: str, big: bool) -> None:
    values = thermal(0).astype(np.float32)
    values = np.stack([values, values / 2, values / 4], axis=2) if color else values
    expected = values if color else np.repeat(values[:, :, None], 3, axis=2)
    assert np.array_equal(decode(tiff(values, order, big=big)), expected), "the file as such is sound"
    for pages in (1, 2):
        content = tiff(values.astype(np.float16), order, big=big, pages=pages)
        assert count(content) == pages
        with pytest.raises(ImageError, match=r"^is a float16 TIFF, which is not supported; store float32$"):
            list(pictures(content))
        with pytest.raises(ImageError, match="float16 TIFF"):
            decode(content)
    with pytest.raises(ImageError, match="damaged"):
        decode(tiff(values, order, big=big)[:-2000])
