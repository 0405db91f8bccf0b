"""Images and regions as TraX sends them, without a process."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import trax  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from tests.doubles import Answer
from tracker.geometry.region import RegionError
from tracker.trax import convert as trax_io
from tracker.trax.convert import FrameError, confidence_text, read_region, write_region
from tracker.trax.relay import Relay


def read_image(image: trax.Image) -> NDArray[np.uint8]:
    return trax_io.read_image(trax_io.image_source(image))


def picture(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """Smooth, with three different channels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([200 + x, 100 + y, 20 + x // 2], axis=2).astype(np.uint8)


def encode(pixels: NDArray, kind: str, **options: object) -> bytes:
    """Encode by Pillow, whose color order is not OpenCV's."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def answer(mask: NDArray[np.bool_], box: tuple[float, float, float, float] = (5, 6, 3, 3)) -> Answer:
    return Answer(mask, np.zeros((4, 2)), box, 0.5)


@pytest.mark.parametrize("name", ["a.png", "ä ö.png"])
def test_a_file_is_read_as_rgb(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encode(picture(), "png"))
    assert np.array_equal(read_image(trax.FileImage.create(str(path))), picture())


def test_an_encoded_buffer_is_read_as_rgb() -> None:
    assert np.array_equal(read_image(trax.BufferImage.create(encode(picture(), "png"))), picture())
    jpeg = read_image(trax.BufferImage.create(encode(picture(), "jpeg", quality=95)))
    assert np.abs(jpeg.astype(int) - picture()).mean() < 4


def test_an_image_in_memory_is_rgb() -> None:
    assert np.array_equal(read_image(trax.MemoryImage.create(picture())), picture())


def test_gray_alpha_palette_and_16_bit_files_become_rgb() -> None:
    gray = picture()[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    assert np.array_equal(read_image(trax.BufferImage.create(encode(gray, "png"))), expected)
    deep = gray.astype(np.uint16) * 20  # stays in its depth, which the session's `Levels` make 8 bit
    assert np.array_equal(read_image(trax.BufferImage.create(encode(deep, "png"))), expected.astype(np.uint16) * 20)
    alpha = np.dstack([picture(), np.full((24, 32), 9, np.uint8)])
    assert np.array_equal(read_image(trax.BufferImage.create(encode(alpha, "png"))), picture())
    stream = io.BytesIO()
    Image.fromarray(picture() // 100 * 100).quantize(16).save(stream, "png")
    palette = read_image(trax.BufferImage.create(stream.getvalue()))
    assert np.abs(palette.astype(int) - picture() // 100 * 100).max() < 8


def test_gray_images_in_memory_become_rgb() -> None:
    gray = picture()[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    assert np.array_equal(read_image(trax.MemoryImage.create(gray)), expected)
    deep = read_image(trax.MemoryImage.create(gray.astype(np.uint16) * 20))
    assert np.array_equal(deep, expected.astype(np.uint16) * 20)


def test_orientation_is_the_toolkits(tmp_path: Path) -> None:
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(encode(picture(), "jpeg", exif=exif))
    as_toolkit = cv2.imread(str(path))
    assert as_toolkit is not None
    assert np.array_equal(read_image(trax.FileImage.create(str(path))), as_toolkit[..., ::-1])


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_file_is_refused_a_whole_one_is_not(tmp_path: Path, kind: str, progressive: bool) -> None:
    rng = np.random.default_rng(0)
    options = {"progressive": True} if progressive and kind == "jpeg" else {}
    content = encode(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8), kind, **options)
    path = tmp_path / f"frame.{kind}"
    for length in (len(content) // 3, len(content) // 2, len(content) - 14):
        path.write_bytes(content[:length])
        with pytest.raises(FrameError, match=rf"frame '.*frame\.{kind}' is damaged"):
            read_image(trax.FileImage.create(str(path)))
    path.write_bytes(content + b"\n")
    assert read_image(trax.FileImage.create(str(path))).shape == (60, 80, 3)


@pytest.mark.parametrize("content", [b"", b"GIF?", b"no image, only text"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "frame.jpg"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=r"frame\.jpg' is damaged or not an image .* restore it"):
        read_image(trax.FileImage.create(str(path)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"gone\.jpg' cannot be read \(No such file"):
        read_image(trax.FileImage.create(str(tmp_path / "gone.jpg")))


def test_rectangles_and_polygons_pass_unchanged() -> None:
    kind, box = read_region(trax.Rectangle.create(1.5, 2.25, 3, 4), (20, 30))
    assert (kind, box.tolist()) == ("rectangle", [1.5, 2.25, 3, 4])
    kind, polygon = read_region(trax.Polygon.create([(1.0, 2.0), (5.5, 2.0), (4.0, 9.0)]), (20, 30))
    assert (kind, polygon.tolist()) == ("polygon", [[1, 2], [5.5, 2], [4, 9]])


@pytest.mark.parametrize("offset", [(0, 0), (3, 5), (26, 17), (-2, -1), (-2, 18), (40, 3)])
def test_a_mask_is_padded_to_the_image_and_clipped(offset: tuple[int, int]) -> None:
    part = np.arange(20).reshape(4, 5) % 3 > 0
    kind, mask = read_region(trax.Mask.create(part.astype(np.uint8), *offset), (20, 30))
    expected = np.zeros((60, 90), bool)
    expected[20 + offset[1] : 24 + offset[1], 30 + offset[0] : 35 + offset[0]] = part
    assert kind == "mask"
    assert np.array_equal(mask, expected[20:40, 30:60])


def test_a_special_region_is_refused() -> None:
    with pytest.raises(RegionError, match="finite numbers"):
        read_region(trax.Special.create(0), (20, 30))


def test_a_mask_is_sent_whole_whatever_its_memory_layout() -> None:
    mask = np.zeros((30, 20), bool)
    mask[3:7, 4:15] = True
    region = write_region(answer(mask.T), "mask", (20, 30))
    assert region.offset() == (0, 0)
    assert np.array_equal(region.array(), mask.T.astype(np.uint8))


@pytest.mark.parametrize("pixel", [(0, 0), (19, 29), (19, 0), (7, 8)])
def test_a_mask_is_never_one_pixel_wide_or_high(pixel: tuple[int, int]) -> None:
    mask = np.zeros((20, 30), bool)
    mask[pixel] = True
    sent = write_region(answer(mask), "mask", (20, 30)).array()
    assert sent[pixel] == 1
    assert sent.sum() == 4 and sent.any(0).sum() == sent.any(1).sum() == 2
    mask[:, pixel[1]] = True
    assert write_region(answer(mask), "mask", (20, 30)).array().any(0).sum() == 2


@pytest.mark.parametrize("box", [(5.0, 6.0, 3.0, 3.0), (-90.0, 500.0, 3.0, 3.0)])
def test_an_empty_mask_is_sent_as_a_dot_in_the_box(box: tuple[float, float, float, float]) -> None:
    sent = write_region(answer(np.zeros((20, 30), bool), box), "mask", (20, 30)).array()
    assert sent.sum() == 4
    assert sent[7, 6] == (box[0] == 5.0)


def test_an_answer_that_is_not_finite_or_of_another_size_is_refused() -> None:
    mask = np.ones((20, 30), bool)
    with pytest.raises(RegionError, match="not finite"):
        write_region(answer(mask, (1.0, float("inf"), 3.0, 3.0)), "rectangle", (20, 30))
    with pytest.raises(RegionError, match=r"\(20, 30\).*\(30, 20\)"):
        write_region(answer(mask), "mask", (30, 20))


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.2500"), (1.5, "1.0000"), (-1, "0.0000"), (float("nan"), "0.0000")]
)
def test_confidence_is_a_number_between_0_and_1(value: float, text: str) -> None:
    assert confidence_text(Answer(np.ones((2, 2), bool), np.zeros((4, 2)), (0, 0, 2, 2), value)) == text


def test_the_relay_takes_out_what_libtrax_cannot_receive_and_nothing_else() -> None:
    relay = Relay()
    for message in (
        b'@@TRAX:frame "file:///data/1.jpg" "fps=20"\n',
        b'@@TRAX:frame "data:image/png;AAAA"\n',
        b'@@TRAX:initialize "image:1;1;rgb;AAEC"\n',
        b'@@TRAX:frame "image:2;2;rgb;AAEC"\n',  # too short
        b"@@TRAX:quit\n",
        b"a log line of \xc3\xa9\n",
    ):
        assert relay.translate(message) == message
    message = relay.translate(b'@@TRAX:frame "image:2;1;rgb;AAECAwQF" "key=value"\n')
    assert message == b'@@TRAX:frame "file:///dmb-relay/1" "key=value"\n'
    taken = relay.take("/dmb-relay/1")
    assert isinstance(taken, np.ndarray) and taken.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    message = relay.translate('@@TRAX:frame "file:///d/\\"ö\\\\1.jpg"\n'.encode())
    assert message == b'@@TRAX:frame "file:///dmb-relay/2"\n'
    assert relay.take("/dmb-relay/2") == Path('/d/"ö\\1.jpg')
    assert relay.take("/dmb-relay/1") is None and relay.take("/dmb-relay/2") is None, "each is given once"


def test_the_relay_keeps_images_until_their_turn() -> None:
    relay = Relay()
    for value in (b"AAAA", b"AQEB", b"AgIC"):
        relay.translate(b'@@TRAX:frame "image:1;1;rgb;' + value + b'"\n')
    second = relay.take("/dmb-relay/2")
    assert isinstance(second, np.ndarray) and second.tolist() == [[[1, 1, 1]]]
    assert relay.take("/dmb-relay/1") is None, "its turn is over"
    third = relay.take("/dmb-relay/3")
    assert isinstance(third, np.ndarray) and third.tolist() == [[[2, 2, 2]]]
