"""The one reader of pictures: files, encoded bytes and arrays of any depth, and how they become 8 bit.

A picture is H x W x 3, RGB, in the depth it is stored in; gray is repeated, transparency is dropped, palettes become
colors. Everything that has more than 8 bits goes through `Levels`: one range of values for a whole sequence, since a
range of its own for every frame would make the same thing brighter in one frame and darker in the next.
"""

from __future__ import annotations

import errno
import io
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.errors import UserError

Pixels = NDArray[Any]  # H x W x 3, RGB, of any of the types in DEPTHS, or uint8
Range = tuple[float, float]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
PERCENTILES = (0.5, 99.5)  # of the first picture's values: hot pixels and dead ones take no part
LOOKED_AT = 1_000_000  # pixels, about, that the percentiles are taken from
SMALLEST = 1e-30  # range of values; in a smaller one there is nothing to be seen
DEPTHS = (np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, np.float16, np.float32, np.float64)
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ANIMATED = (b"\x89PNG", b"RIFF", b"GIF8")  # how other files begin that may hold several pictures
DAMAGED = (  # what Pillow raises for damaged files
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip
SMALLER_COPY = 254, 1  # tag of TIFF, and its bit, of pages that show another page once more
BITS, KIND = 258, 339  # tags of TIFF, of a sample: how many bits, and what they are ...
FLOAT = 3  # ... for instance this
TIFF_NUMBERS = {3: "H", 4: "I", 16: "Q"}  # how those are stored


class ImageError(UserError):
    """The image is not an image that can be tracked in; the message says what is wrong with it."""


class Levels:
    """Brings the pictures of one sequence to 8 bit, all by the same range of values.

    The range is the given one, or that of the first picture with more than 8 bits: from its percentile 0.5 to its
    percentile 99.5, over all pixels and channels. What lies outside becomes 0 or 255. Pictures of 8 bit stay as they
    are.

    Args:
        limits: the values that become 0 and 255; None to take them from the first picture.
        tell: takes one sentence, when the range is fixed.
        option: what the user sets the range with, for that sentence.

    Attributes:
        limits: as fixed so far; None before the first picture with more than 8 bits that is not all of one value.
    """

    def __init__(
        self,
        limits: Range | None = None,
        tell: Callable[[str], None] = lambda sentence: None,
        *,
        option: str = "--range LOW,HIGH",
    ) -> None:
        self.limits, self.tell, self.option = limits, tell, option
        self._given, self._told = limits is not None, False

    def __call__(self, pixels: Pixels) -> NDArray[np.uint8]:
        """A picture H x W x 3 in 8 bit."""
        if pixels.dtype == np.uint8:
            if self._given and not self._told:
                self._told = True
                self.tell(f"{self.option} has no effect: the pictures have 8 bits")
            return pixels
        self._fix(pixels)
        if self.limits is None:
            return np.full(pixels.shape, 128, np.uint8)  # all of one value: nothing to be seen, nor to fix a range by
        low, high = self.limits
        scale = 255.0 / (high - low)
        if pixels.dtype == np.uint16:  # by a table: four times as fast
            table = np.clip((np.arange(2**16) - low) * scale + 0.5, 0, 255).astype(np.uint8)
            return np.asarray(table[pixels])
        values = np.nan_to_num(pixels.astype(np.float64), nan=low, posinf=high, neginf=low)
        return np.clip((values - low) * scale + 0.5, 0, 255).astype(np.uint8)

    def _fix(self, pixels: Pixels) -> None:
        if self.limits is None:
            some = pixels.reshape(-1, 3)[:: max(1, pixels.size // (3 * LOOKED_AT))]
            finite = some[np.isfinite(some)].astype(np.float64)
            low, high = map(float, np.percentile(finite, PERCENTILES)) if finite.size else (0.0, 0.0)
            if high <= low and finite.size:  # a small target before an even background
                low, high = float(finite.min()), float(finite.max())
            if not SMALLEST < high - low < np.inf:
                return
            self.limits = low, high
            if not self._told:
                share = f"percentiles {PERCENTILES[0]:g} and {PERCENTILES[1]:g} of the first one"
                self.tell(
                    f"the pictures are of type {pixels.dtype}: their values from {low:.6g} to {high:.6g} ({share}) are "
                    f"taken for black to white in all frames; {self.option} sets others"
                )
                self._told = True


def check_image(image: object) -> Pixels:
    """Return an image that a program hands over as H x W x 3, in its own depth.

    Args:
        image: array H x W, H x W x 1 or H x W x 3 (RGB) of uint8, of other whole numbers or of floats; or a
            Pillow image.

    Raises:
        ImageError: no image, or of another shape or type.
    """
    if isinstance(image, Image.Image):
        return _from_pillow(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"the image is a {type(image).__name__}; give a numpy array, height x width x 3, RGB, uint8")
    if image.dtype not in (np.uint8, *DEPTHS) or image.ndim not in (2, 3) or 0 in image.shape:
        raise ImageError(
            f"the image has shape {image.shape} and type {image.dtype}; give height x width x 3, RGB, uint8"
        )
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] != 3:
        turned = ", as in: image.transpose(1, 2, 0)" if image.shape[0] in (1, 3) else ""
        raise ImageError(f"the image has {image.shape[2]} channels; give 3 (RGB) or 1 (gray), last{turned}")
    return image


def _from_pillow(image: Image.Image) -> Pixels:
    if 0 in image.size:
        raise ImageError(f"the image has {image.width} x {image.height} pixels; give one that shows something")
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def read(path: Path, *, upright: bool = True) -> Pixels:
    """Read the picture in a file, see `decode`; of several the first.

    Raises:
        ImageError: it cannot be read, or is damaged or no picture.
    """
    return decode(read_bytes(path), upright=upright)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        ImageError: there is no such file, or it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # reading could wait, or go on, forever
            raise OSError(errno.EINVAL, "a pipe or device, not a file")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be read ({reason})") from error


def decode(content: bytes, *, upright: bool = True) -> Pixels:
    """Decode a picture, H x W x 3 RGB in its own depth; of several in one file the first.

    Args:
        content: of a file: JPEG, PNG, WebP, BMP, TIFF, PNM, or another format of OpenCV's.
        upright: whether it is turned as its camera has noted (EXIF). False for pictures that lie beside masks, which
            are drawn on the stored pixels.

    Raises:
        ImageError: damaged, cut short, or no picture.
    """
    pixels = None
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    if content and not _truncated(content):
        for attempt in (flags, cv2.IMREAD_UNCHANGED) if content.startswith(TIFF) else (flags,):
            try:
                with _quiet(content):
                    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), attempt)
            except cv2.error:
                pixels = None
            if pixels is not None:
                break
    if pixels is None:
        if content.startswith(TIFF):
            _refuse_half(_tiff_pages(content)[0])
        raise ImageError(f"is damaged or not an image ({len(content)} bytes)")
    return _rgb(pixels)


def pictures(content: bytes) -> Iterator[tuple[Pixels, float]]:
    """Yield all pictures of a file, upright, each with the seconds for which it is shown (0 where nobody says).

    Animated WebP, PNG and GIF hold several, and TIFF of several pages does; smaller copies of a page are left out.

    Raises:
        ImageError: one of them is damaged.
    """
    if content.startswith(TIFF):
        pages = _tiff_pages(content)
        for index, page in enumerate(pages):
            if not _is_smaller_copy(page):
                yield (decode(content) if len(pages) == 1 else _page(content, index, page)), 0.0
        return
    total = count(content)
    if total < 2:
        yield decode(content), 0.0
        return
    with Image.open(io.BytesIO(content)) as image:
        for index in range(total):
            try:
                image.seek(index)
                image.load()
                yield np.array(image.convert("RGB")), float(image.info.get("duration") or 0) / 1000
            except DAMAGED as error:
                raise ImageError(f"is damaged at its picture {index} ({error})") from error


def count(content: bytes) -> int:
    """How many pictures a file holds; 1 where it cannot be told."""
    if content.startswith(TIFF):
        return sum(not _is_smaller_copy(page) for page in _tiff_pages(content))
    if not content.startswith(ANIMATED):
        return 1
    try:
        with Image.open(io.BytesIO(content)) as image:
            return int(getattr(image, "n_frames", 1))
    except DAMAGED:
        return 1


def _tiff_pages(content: bytes) -> list[dict[int, int]]:
    """For every page of a TIFF file the first numbers of those tags of its directory that matter here.

    A file that is cut short has one page more than can be found, which will not decode.
    """
    order, big = "<" if content.startswith(b"II") else ">", content[2:4] in (b"+\0", b"\0+")
    word, size, counter = ("Q", 20, 8) if big else ("I", 12, 2)
    found: list[dict[int, int]] = []
    seen: set[int] = set()
    place = 8 if big else 4  # of the next directory's address
    while True:
        try:
            (start,) = struct.unpack_from(order + word, content, place)
            if not start or start in seen:
                return found or [{}]
            seen.add(start)
            (entries,) = struct.unpack_from(order + ("Q" if big else "H"), content, start)
            first = start + counter
            page: dict[int, int] = {}
            for entry in range(first, first + min(entries, 4096) * size, size):
                tag, kind, values = struct.unpack_from(f"{order}HH{word}", content, entry)
                number = TIFF_NUMBERS.get(kind)
                if tag not in (SMALLER_COPY[0], BITS, KIND) or number is None:
                    continue
                room = struct.calcsize(order + word)
                value = entry + 4 + room
                if values * struct.calcsize(order + number) > room:  # several are elsewhere
                    (value,) = struct.unpack_from(order + word, content, value)
                (page[tag],) = struct.unpack_from(order + number, content, value)
            place = first + entries * size
        except struct.error:
            return [*found, {}]
        found.append(page)


def _is_smaller_copy(page: dict[int, int]) -> bool:
    return bool(page.get(SMALLER_COPY[0], 0) & SMALLER_COPY[1])


def _refuse_half(page: dict[int, int]) -> None:
    """Say what is wrong with a page that OpenCV cannot decode though it is not damaged."""
    if page.get(BITS) == 16 and page.get(KIND) == FLOAT:
        raise ImageError("is a float16 TIFF, which is not supported; store float32")


def _page(content: bytes, index: int, page: dict[int, int]) -> Pixels:
    """Page `index` of a TIFF file."""
    data = np.frombuffer(content, np.uint8)
    for flags in (cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED):
        try:
            with _quiet(content):
                good, pages = cv2.imdecodemulti(data, flags, range=(index, index + 1))
        except cv2.error:
            continue
        if good and len(pages) == 1:
            return _rgb(pages[0])
    _refuse_half(page)
    raise ImageError(f"is damaged at its picture {index}")


def _rgb(pixels: Any) -> Pixels:
    """From OpenCV's order of channels, gray or with alpha, to H x W x 3."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype == np.uint8:
        code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
        return np.asarray(cv2.cvtColor(pixels, code))
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def _truncated(content: bytes) -> bool:
    """Whether the end of a JPEG or PNG is missing, which OpenCV fills with gray without an error."""
    if content.startswith(b"\xff\xd8\xff"):  # in coded data no marker follows 0xff, so the last scan must end
        return content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
    return content.startswith(b"\x89PNG") and b"IEND" not in content[-1024:]


def _quiet(content: bytes) -> AbstractContextManager[None]:
    """Keep OpenCV from writing to standard error about the first of two attempts on a TIFF file."""
    return silent_opencv() if content.startswith(TIFF) else nullcontext()


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV from writing to standard error what an attempt has failed with."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
