"""Masks of two objects and void, or of one object, in every kind of file that people bring."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.data.masks import PALETTE

SHAPE = (48, 64)
ONE, TWO, NOBODY = np.s_[10:20, 10:20], np.s_[10:20, 30:40], np.s_[30:38, 10:18]  # 100, 100 and 64 pixels
BOTH = np.zeros(SHAPE, np.bool_)
BOTH[ONE] = BOTH[TWO] = True
VOC = np.concatenate([PALETTE[:255], [[224, 224, 192]]]).astype(np.uint8)
RANDOM = np.random.default_rng(7).integers(60, 240, (256, 3)).astype(np.uint8)
RANDOM[0] = 0


def ids(one: int = 1, two: int = 2, void: int = 0, dtype: type = np.uint8) -> NDArray:
    """Two squares and a third one that is void."""
    mask = np.zeros(SHAPE, dtype)
    mask[ONE], mask[TWO], mask[NOBODY] = one, two, void
    return mask


def encoded(values: NDArray, mode: str = "", kind: str = "png", palette: NDArray | None = None) -> bytes:
    """A file's content."""
    image, stream = Image.fromarray(values), io.BytesIO()
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
    (image.convert(mode) if mode else image).save(stream, kind)
    return stream.getvalue()


def by_opencv(values: NDArray) -> bytes:
    """A PNG file of 16 bit and any channels."""
    return bytes(cv2.imencode(".png", values)[1])


def with_alpha(mask: NDArray, color: int, outside: int, opacity: int = 255) -> NDArray:
    """RGBA whose alpha alone shows a mask."""
    rgb = np.where(mask[:, :, None], color, outside).repeat(3, 2)
    return np.dstack([rgb, mask * opacity]).astype(np.uint8)


# kind: a file of objects with 100 pixels each, and 64 pixels of void
SEVERAL: dict[str, Callable[[], bytes]] = {
    "indexed": lambda: encoded(ids(void=255), palette=PALETTE),
    "indexed as VOC": lambda: encoded(ids(void=255), palette=VOC),
    "indexed, any colors": lambda: encoded(ids(void=255), palette=RANDOM),
    "gray": lambda: encoded(ids(void=255)),
    "gray that calls itself indexed": lambda: encoded(ids(void=255), "P"),
    "gray with alpha": lambda: encoded(ids(void=255), "LA"),
    "gray as RGB": lambda: encoded(ids(void=255), "RGB"),
    "gray as RGBA": lambda: encoded(ids(void=255), "RGBA"),
    "gray of 16 bit": lambda: encoded(ids(void=255, dtype=np.uint16)),
    "gray of 16 bit as RGB": lambda: by_opencv(ids(void=255, dtype=np.uint16)[:, :, None].repeat(3, 2)),
    "large ids": lambda: encoded(ids(1001, 2001, 65535, np.uint16)),
    "large ids as RGB": lambda: by_opencv(ids(1001, 2001, 65535, np.uint16)[:, :, None].repeat(3, 2)),
    "a large id beside a small one": lambda: encoded(ids(300, 2, 65535, np.uint16)),
    "TIFF": lambda: encoded(ids(void=255), kind="tiff"),
    "BMP": lambda: encoded(ids(void=255), kind="bmp"),
    "DAVIS's colors": lambda: encoded(PALETTE[ids(void=255)]),
    "VOC's colors": lambda: encoded(VOC[ids(void=255)]),
}
# kind: a file of one object with 200 pixels
SINGLE: dict[str, Callable[[], bytes]] = {
    "1 bit": lambda: encoded(BOTH),
    "0 and 1": lambda: encoded(BOTH.astype(np.uint8)),
    "0 and 255": lambda: encoded(BOTH.astype(np.uint8) * 255),
    "0 and 255 as RGB": lambda: encoded(BOTH.astype(np.uint8) * 255, "RGB"),
    "0 and 128": lambda: encoded(BOTH.astype(np.uint8) * 128),
    "0 and 65535": lambda: encoded(BOTH.astype(np.uint16) * 65535),
    "0 and 1 in 16 bit": lambda: encoded(BOTH.astype(np.uint16)),
    "indexed 0 and 1": lambda: encoded(BOTH.astype(np.uint8), palette=PALETTE),
    "indexed 0 and 255": lambda: encoded(BOTH.astype(np.uint8) * 255, palette=PALETTE),
    "indexed black and white": lambda: encoded(BOTH.astype(np.uint8), palette=np.array([[0] * 3, [255] * 3])),
    "alpha over white": lambda: encoded(with_alpha(BOTH, 255, 255)),
    "alpha over black": lambda: encoded(with_alpha(BOTH, 0, 0)),
    "white before nothing": lambda: encoded(with_alpha(BOTH, 255, 0)),
    "half transparent": lambda: encoded(with_alpha(BOTH, 255, 0, 128)),
}


def _pages() -> bytes:
    """A TIFF file of two masks."""
    stream, page = io.BytesIO(), Image.fromarray(BOTH.astype(np.uint8) * 255)
    page.save(stream, "tiff", save_all=True, append_images=[page])
    return stream.getvalue()


def _blurred() -> NDArray[np.uint8]:
    return cv2.GaussianBlur(BOTH.astype(np.uint8) * 255, (5, 5), 0)


# kind: a file that is not a mask, and what is said of it
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "soft borders": (lambda: encoded(_blurred()), "soft borders"),
    "soft borders as RGB": (lambda: encoded(_blurred(), "RGB"), "soft borders"),
    "soft borders, indexed": (lambda: encoded(_blurred(), "P"), "soft borders"),
    "soft borders, few grays indexed": (
        lambda: encoded(ids(1, 2, 0), palette=np.array([[0] * 3, [130] * 3, [255] * 3])), "soft borders",
    ),
    "soft borders of a color": (lambda: encoded(np.dstack([_blurred(), _blurred() // 3, _blurred() * 0])),
                                "soft borders or a picture"),
    "soft alpha": (lambda: encoded(np.dstack([*[BOTH.astype(np.uint8) * 255] * 3, _blurred()])), "soft borders"),
    "soft borders of 16 bit": (lambda: encoded(_blurred().astype(np.uint16) * 257), "soft borders"),
    "a photograph": (
        lambda: encoded(np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)), "or a picture",
    ),
    "several pictures": (_pages, "holds 2 pictures; save the one"),
    "no picture": (lambda: b"text", "is damaged or not an image; give a PNG file"),
    "a JPEG": (lambda: encoded(BOTH.astype(np.uint8) * 255, kind="jpeg"), "soft borders"),
    "floats": (lambda: encoded(BOTH.astype(np.float32) / 2, kind="tiff"), "floating-point numbers"),
    "colors on white": (
        lambda: encoded(np.where(BOTH[:, :, None], (200, 30, 30), 250).astype(np.uint8)), "without a black background",
    ),
    "no image": (lambda: b"no image", "is damaged or not an image"),
}  # fmt: skip
