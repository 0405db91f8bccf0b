"""Every image gives a valid answer or one clear sentence: as an array, as a file and as encoded bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trax  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image as Pillow

from tests.robustness.checks import assert_sentence, assert_valid
from tests.robustness.pictures import HEIGHT, SHAPE, TARGET, WIDTH, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.data.images import ImageError, Levels
from tracker.trax.convert import FrameError, image_source, read_image

pytestmark = pytest.mark.filterwarnings("ignore:the pictures are of type")
ENGINE = tiny_engine()  # hypothesis takes no fixtures


def encode(pixels: NDArray, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """Encode by Pillow, in another of its modes if wanted."""
    stream = io.BytesIO()
    picture = Pillow.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, kind, **options)
    return stream.getvalue()


def oriented(orientation: int) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return encode(frame(), "jpeg", exif=exif)


def animated(kind: str) -> bytes:
    stream = io.BytesIO()
    first, second = Pillow.fromarray(frame()), Pillow.fromarray(frame(1))
    first.save(stream, kind, save_all=True, append_images=[second])
    return stream.getvalue()


GREY = frame().mean(2).astype(np.uint8)
ALPHA = np.full(SHAPE, 7, np.uint8)

# kind: pixels that a program hands over; all of the size of the frame
ARRAYS: dict[str, Callable[[], NDArray]] = {
    "RGB": frame,
    "gray": lambda: GREY,
    "gray with a channel": lambda: GREY[:, :, None],
    "Fortran order": lambda: np.asfortranarray(frame()),
    "channels reversed by a view": lambda: frame()[:, :, ::-1],
    "mirrored by a view": lambda: frame()[:, ::-1],
    "upside down by a view": lambda: frame()[::-1],
    "every other pixel of a larger one": lambda: np.repeat(np.repeat(frame(), 2, 0), 2, 1)[::2, ::2],
    "cut from a larger one": lambda: np.pad(frame(), ((9, 9), (9, 9), (0, 0)))[9:-9, 9:-9],
    "three channels of four": lambda: np.dstack([frame(), ALPHA])[:, :, :3],
    "channels first, moved by a view": lambda: np.moveaxis(np.ascontiguousarray(np.moveaxis(frame(), 2, 0)), 0, 2),
    "broadcast from one pixel": lambda: np.broadcast_to(np.array([9, 8, 7], np.uint8), (*SHAPE, 3)),
    "broadcast gray": lambda: np.broadcast_to(np.uint8(9), SHAPE),
    "read-only": lambda: np.frombuffer(frame().tobytes(), np.uint8).reshape(*SHAPE, 3),
    "16 bit": lambda: frame().astype(np.uint16) * 30,
    "float": lambda: (frame() / 255).astype(np.float32),
    "float with NaN": lambda: np.where(frame() > 200, np.nan, frame()),
    "all black": lambda: np.zeros((*SHAPE, 3), np.uint8),
    "all white": lambda: np.full((*SHAPE, 3), 255, np.uint8),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8),
    "chequered": lambda: (np.indices(SHAPE).sum(0) % 2 * 255).astype(np.uint8),
}


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_is_tracked_in(kind: str, masks: bool) -> None:
    dmb, image = DMB(ENGINE, CONFIG), ARRAYS[kind]()
    before = image.copy()
    assert_valid(dmb.initialize(image, TARGET, masks=masks), SHAPE)
    for _ in range(3):
        assert_valid(dmb.track(image), SHAPE)
    assert np.array_equal(image, before, equal_nan=image.dtype.kind == "f"), "the user's image is not written to"


@pytest.mark.parametrize("kind", [name for name in ARRAYS if "view" in name or "other" in name or "Fortran" in name])
def test_the_memory_layout_changes_no_answer(kind: str) -> None:
    image = ARRAYS[kind]()
    answers = []
    for same in (image, np.ascontiguousarray(image)):
        dmb = DMB(ENGINE, CONFIG)
        answers.append([dmb.initialize(same, TARGET), dmb.track(same)])
    for strided, contiguous in zip(*answers, strict=True):
        assert np.array_equal(strided.mask, contiguous.mask)
        assert np.array_equal(strided.polygon, contiguous.polygon)


NO_IMAGES: dict[str, tuple[Any, str]] = {
    "nothing": (None, "NoneType; give a numpy array"),
    "a path": ("frame.jpg", "str; give a numpy array"),
    "a Path": (Path("frame.jpg"), "Path; give a numpy array"),
    "bytes": (b"\x00" * 30, "bytes; give a numpy array"),
    "a list": ([[[1, 2, 3]]], "list; give a numpy array"),
    "bool": (frame() > 100, "bool; give"),
    "objects": (frame().astype(object), "object; give"),
    "complex": (frame().astype(complex), "complex128; give"),
    "RGBA": (np.dstack([frame(), ALPHA]), r"4 channels; give 3 \(RGB\) or 1 \(gray\)"),
    "gray and alpha": (np.dstack([GREY, ALPHA]), r"2 channels; give 3"),
    "channels first": (np.moveaxis(frame(), 2, 0), "120 channels; give 3"),
    "a batch": (frame()[None], r"\(1, 90, 120, 3\).*give height x width x 3"),
    "one row of pixels": (frame()[0, :, 0], r"shape \(120,\)"),
    "a number": (np.uint8(3), "uint8; give a numpy array"),
    "no dimension": (np.array(3, np.uint8), r"shape \(\)"),
    "no rows": (frame()[:0], r"shape \(0, 120, 3\)"),
    "no columns": (frame()[:, :0], r"shape \(90, 0, 3\)"),
    "no channels": (frame()[:, :, :0], r"shape \(90, 120, 0\)"),
}


@pytest.mark.parametrize("when", ["first frame", "later frame"])
@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_refused_in_one_sentence(kind: str, when: str) -> None:
    image, words = NO_IMAGES[kind]
    dmb = DMB(ENGINE, CONFIG)
    if when == "later frame":
        dmb.initialize(frame(), TARGET)
    with pytest.raises(ImageError) as caught:
        if when == "later frame":
            dmb.track(image)
        else:
            dmb.initialize(image, TARGET)
    assert_sentence(caught.value, words)
    if when == "later frame":  # and the video may go on
        assert_valid(dmb.track(frame(1)), SHAPE)


SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 200), (200, 1), (3, 500), (15, 17), (64, 64), (333, 77)]


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size(height: int, width: int, masks: bool) -> None:
    follow_a_box(height, width, masks)


@pytest.mark.slow
def test_8k() -> None:
    follow_a_box(4320, 7680, masks=True)


def follow_a_box(height: int, width: int, masks: bool) -> None:
    dmb, image = DMB(ENGINE, CONFIG), frame(0, height, width)
    box = (width // 3, height // 3, max(1, width // 4), max(1, height // 4))
    assert_valid(dmb.initialize(image, box, masks=masks), (height, width))
    assert_valid(dmb.track(image), (height, width))


# kind: bytes of a file, and height and width as read
FILES: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "JPEG": (lambda: encode(frame(), "jpeg"), SHAPE),
    "progressive JPEG": (lambda: encode(frame(), "jpeg", progressive=True), SHAPE),
    "gray JPEG": (lambda: encode(GREY, "jpeg"), SHAPE),
    "CMYK JPEG": (lambda: encode(frame(), "jpeg", "CMYK"), SHAPE),
    "JPEG with something after its end": (lambda: encode(frame(), "jpeg") + b"\0" * 100, SHAPE),
    **{f"JPEG of orientation {n}": (lambda n=n: oriented(n), SHAPE) for n in (1, 2, 3, 4)},  # type: ignore[misc]
    **{f"JPEG of orientation {n}": (lambda n=n: oriented(n), SHAPE[::-1]) for n in (5, 6, 7, 8)},  # type: ignore[misc]
    "JPEG of orientation 99": (lambda: oriented(99), SHAPE),
    "PNG": (lambda: encode(frame(), "png"), SHAPE),
    "gray PNG": (lambda: encode(GREY, "png"), SHAPE),
    "gray PNG with alpha": (lambda: encode(frame(), "png", "LA"), SHAPE),
    "PNG with alpha": (lambda: encode(np.dstack([frame(), ALPHA]), "png"), SHAPE),
    "PNG with a transparent color": (lambda: encode(frame(), "png", transparency=(225, 25, 35)), SHAPE),
    "PNG with a palette": (lambda: encode(frame(), "png", "P"), SHAPE),
    "PNG of 1 bit": (lambda: encode(frame(), "png", "1"), SHAPE),
    "gray PNG of 16 bit": (lambda: encode(GREY.astype(np.uint16) * 257, "png"), SHAPE),
    "PNG of 16 bit with alpha": (lambda: _deep(4), SHAPE),
    "PNG of 16 bit": (lambda: _deep(3), SHAPE),
    "PNG of one pixel": (lambda: encode(frame()[:1, :1], "png"), (1, 1)),
    "WebP": (lambda: encode(frame(), "webp"), SHAPE),
    "BMP": (lambda: encode(frame(), "bmp"), SHAPE),
    "TIFF": (lambda: encode(frame(), "tiff"), SHAPE),
    "animated PNG": (lambda: animated("png"), SHAPE),
    "animated GIF": (lambda: animated("gif"), SHAPE),
}


def _deep(channels: int) -> bytes:
    pixels = np.dstack([frame()[:, :, ::-1], ALPHA])[:, :, :channels].astype(np.uint16) * 257
    return bytes(cv2.imencode(".png", pixels)[1])


@pytest.mark.parametrize("way", ["path", "buffer"])
@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_read_as_rgb_and_tracked_in(tmp_path: Path, kind: str, way: str) -> None:
    make, shape = FILES[kind]
    path = tmp_path / "frame"
    path.write_bytes(make())
    image = trax.FileImage.create(str(path)) if way == "path" else trax.BufferImage.create(make())
    pixels = Levels()(read_image(image_source(image)))
    assert pixels.shape == (*shape, 3) and pixels.dtype == np.uint8
    if shape == SHAPE and not any(word in kind for word in ("gray", "1 bit", "orientation")):
        assert pixels[42, 55, 0] > 200 and pixels[42, 55, 2] < 70, "red stays red"
    dmb = DMB(ENGINE, CONFIG)
    assert_valid(dmb.initialize(pixels, (0, 0, shape[1], shape[0])), shape)
    assert_valid(dmb.track(pixels), shape)


def _header(width: int, height: int) -> bytes:
    """A PNG that claims to be of some size."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    sizes = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sizes) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


DAMAGED: dict[str, Callable[[], bytes]] = {
    "an empty file": lambda: b"",
    "one byte": lambda: b"\xff",
    "zeros": lambda: b"\0" * 5000,
    "text": lambda: b"this is not an image, only text\n" * 20,
    "HTML": lambda: b"<!doctype html><title>404</title>",
    "a text of Git LFS": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a zip archive": lambda: b"PK\x03\x04" + b"\0" * 500,
    "a PDF": lambda: b"%PDF-1.7\n" + b"\0" * 500,
    "a video": lambda: b"\0\0\0\x18ftypmp42" + b"\0" * 500,
    "the header of a JPEG": lambda: encode(frame(), "jpeg")[:20],
    "half a JPEG": lambda: _cut(encode(frame(), "jpeg"), 0.5),
    "a JPEG but its last bytes": lambda: encode(frame(), "jpeg")[:-2],
    "half a progressive JPEG": lambda: _cut(encode(frame(), "jpeg", progressive=True), 0.5),
    "the header of a PNG": lambda: encode(frame(), "png")[:33],
    "half a PNG": lambda: _cut(encode(frame(), "png"), 0.5),
    "a PNG but its end": lambda: encode(frame(), "png")[:-12],
    "half a WebP": lambda: _cut(encode(frame(), "webp"), 0.5),
    "half a BMP": lambda: _cut(encode(frame(), "bmp"), 0.5),
    "half a TIFF": lambda: _cut(encode(frame(), "tiff"), 0.5),
    "the header of a BMP": lambda: encode(frame(), "bmp")[:30],
    "a PNG of 2^31 by 2^31 pixels": lambda: _header(2**31 - 1, 2**31 - 1),
    "a PNG of 100,000 by 100,000 pixels": lambda: _header(100_000, 100_000),
    "a PNG of no pixels": lambda: _header(0, 0),
}


def _cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


@pytest.mark.parametrize("way", ["path", "buffer"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named_in_one_sentence(tmp_path: Path, kind: str, way: str) -> None:
    content = DAMAGED[kind]()
    path = tmp_path / "frame 7.jpg"
    path.write_bytes(content)
    with pytest.raises(FrameError) as caught:
        read_image(path if way == "path" else content)
    name = r"frame '.*frame 7\.jpg'" if way == "path" else "encoded frame"
    assert_sentence(caught.value, rf"^{name} is damaged or not an image \({len(content)} bytes\); restore it")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.jpg", "No such file"),
        ("", "Is a directory"),
        ("folder", "Is a directory"),
        ("file/inside.jpg", "Not a directory"),
        ("loop", "symbolic links"),
        ("pipe", "a pipe or device"),
        ("x" * 300 + ".jpg", "too long"),
        ("a/" * 3000 + "x.jpg", "too long"),
        ("nul\0byte.jpg", "null byte"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FrameError) as caught:
        read_image(tmp_path / path)
    text = str(caught.value)
    assert text.startswith("frame '") and reason in text and text.endswith("; check the dataset")
    assert "\n" not in text


@pytest.mark.parametrize(
    "name", ["ünï cödé.png", "空白 文件.png", "a'b\"c.png", "%s %d.png", "x" * 240 + ".png", "emoji 🙂.png"]
)
def test_odd_names_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encode(frame(), "png"))
    assert np.array_equal(read_image(tmp_path / name), frame())


def test_a_very_long_path_is_read(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["f" * 100] * 20)  # 2,000 characters
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(encode(frame(), "png"))
    assert np.array_equal(read_image(folder / "1.png"), frame())


@given(
    content=st.binary(max_size=400), head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM"])
)
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_an_image_or_refused(content: bytes, head: bytes) -> None:
    try:
        pixels = read_image(head + content)
    except FrameError as error:
        assert_sentence(error, "damaged or not an image")
    else:
        assert pixels.ndim == 3 and pixels.dtype == np.uint8 and pixels.size


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_with_a_changed_byte_is_an_image_or_refused(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([encode(frame(), "png"), encode(frame(), "jpeg")])))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert read_image(bytes(content)).shape[2] == 3
    except FrameError as error:
        assert_sentence(error, "damaged or not an image")


@given(
    image=arrays(st.sampled_from([np.uint8, np.float32, np.bool_]), array_shapes(min_dims=1, max_dims=4, max_side=7))
)
@settings(max_examples=150, deadline=None)
def test_any_small_array_is_tracked_in_or_refused(image: NDArray) -> None:
    dmb = DMB(ENGINE, CONFIG)
    try:
        result = dmb.initialize(image, (0, 0, 9, 9))
    except ImageError as error:
        assert_sentence(error, "give")
        return
    assert_valid(result, image.shape[:2])
    assert_valid(dmb.track(image), image.shape[:2])


def test_the_masks_target_is_followed() -> None:
    """The tiny network is not a dummy: what the other tests call valid answers comes from tracking."""
    dmb = DMB(ENGINE, CONFIG)
    dmb.initialize(frame(), target_mask())
    for index in range(1, 30):
        mask = dmb.track(frame(index)).mask
        label = np.all(frame(index) == frame()[42, 55], axis=2)
        assert (mask & label).sum() / (mask | label).sum() > 0.6
    assert mask.shape == (HEIGHT, WIDTH)
