"""The one reader, and the one writer, of masks as files; and what the numbers in a mask mean.

A mask is H x W, int32: 0 is background, VOID nobody's where there are other ids, all else objects by their ids. How
they are read from files:

    indexed          the ids are the indices. The background is the index that is transparent or shown black, where
                     index 0 is neither: told by a note. Black, white and grays between are soft borders.
    gray             the ids are the values, in 8 and in 16 bit; with fewer bits, the stored numbers. RGB that shows
                     only grays is the same. Values from 64 to 254 beside others are soft borders in 8 bit.
    one value        is the object, whichever it is: 1, 255, 65535.
    255              beside other ids it is void, in 16 bit 65535 as well.
    colors           RGB on black: every color is an object. DAVIS's colors are its ids, others are numbered from 1 by
                     the order of their values, as they come up in a sequence: told by a note.
    transparent      is background, whatever the color beneath. What is opaque is an object where it has one color,
                     otherwise it is read as above; half transparent borders are soft.

Soft borders and pictures are refused: no threshold is guessed, except where a user sets one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tracker.data.images import DAMAGED, count
from tracker.errors import UserError
from tracker.files import replacing

Ids = NDArray[np.int32]
Note = Callable[[str], None]

VOID = 255  # id of the pixels that belong to nobody, where there are other ids
DEEP_VOID = 65535  # the same in 16 bit
MAX_IDS = 64  # more values than that in a file without a palette are a picture
SOFT = range(MAX_IDS, VOID)  # values in a file without a palette that are soft borders, or a picture, and no ids
BLACK, WHITE = 5, 250  # gray levels up to which, and from which on, a palette's entry is black or white
BORDER = 0.9  # share of the pixels along the image's edges, from which on a mask is rather that of the background
PNG, DEPTH = b"\x89PNG\r\n\x1a\n", 24  # beginning of a PNG file; where it has its bits per sample
SAVE = "save it as an indexed PNG with one value for each object and 0 for the background, or black and white"

# colors of DAVIS's official masks: PASCAL VOC's, where 191 stands for its 192; object ids from 22 on are gray
COLORS = (
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
    (64, 0, 0), (191, 0, 0), (64, 128, 0), (191, 128, 0), (64, 0, 128), (191, 0, 128), (64, 128, 128), (191, 128, 128),
    (0, 64, 0), (128, 64, 0), (0, 191, 0), (128, 191, 0), (0, 64, 128), (128, 64, 128),
)  # fmt: skip
VOID_COLORS = ((224, 224, 192), (255, 255, 255))  # of PASCAL VOC, and of the files that are written here
PALETTE = np.array([*COLORS, *((level,) * 3 for level in range(len(COLORS), 256))], np.uint8)


class MaskError(UserError):
    """A file is not a mask that can be read; the message names it and says what to do."""


@cache  # a sequence may be read several times in one run
def on_stderr(sentence: str) -> None:
    """A note on standard error, the same one but once."""
    print(f"dmb: note: {sentence}", file=sys.stderr, flush=True)


def values_of(ids: Ids) -> list[int]:
    """What a mask holds besides 0, ascending."""
    return [int(value) for value in np.flatnonzero(np.bincount(ids.ravel())) if value]


def objects_of(ids: Ids) -> list[int]:
    """The ids of a mask's objects; VOID is one only where it is alone."""
    found = values_of(ids)
    return [value for value in found if value != VOID] if len(found) > 1 else found


def split(ids: Ids, *, void: bool | None = None) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """All objects of a mask H x W as one, and its void pixels (None: there are none).

    Args:
        ids: as read.
        void: whether VOID is void, where other masks of the sequence have told; None to take it from this one.
    """
    nobody = ids == VOID
    if void is None:
        void = bool(np.any((ids > 0) & ~nobody))
    return ((ids > 0) & ~nobody, nobody) if void and nobody.any() else (ids > 0, None)


def covers_edges(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask H x W covers nearly all of the image's edges, as the background does and hardly any object."""
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(edges.mean() >= BORDER)


class MaskReader:
    """Reads the masks of one sequence, which share the numbers of their colors and the notes.

    Args:
        note: takes a sentence about a mask that can be read in more than one way, once for each kind. None: such masks
            are refused.
    """

    def __init__(self, note: Note | None = None) -> None:
        self.note = note
        self._colors: dict[int, int] = {}  # 0xRRGGBB to id
        self._told: set[str] = set()

    def read(self, path: Path) -> Ids:
        """Read a file.

        Raises:
            MaskError: no such file, damaged, or no mask.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise MaskError(f"mask '{path}' is missing; name a PNG file") from None
        except OSError as error:
            raise MaskError(f"mask '{path}' cannot be read ({error.strerror}); restore it") from error
        return self.decode(content, f"mask '{path}'")

    def decode(self, content: bytes, where: str) -> Ids:
        """Decode a file's content; `where` names it in messages.

        Raises:
            MaskError: damaged, or no mask.
        """
        if count(content) > 1:
            raise MaskError(f"{where} holds {count(content)} pictures; save the one that is the mask as a PNG file")
        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                if content.startswith(PNG) and content[DEPTH] == 16:  # Pillow cuts colors off at 8 bits
                    return self._channels(_deep(content, where), where)
                if image.mode == "P":
                    return self._indexed(image, where)
                if image.mode == "1":
                    return np.asarray(image, np.int32)
                if image.mode == "L" or image.mode.startswith("I"):
                    values = np.asarray(image)
                    if image.mode == "L" and content.startswith(PNG):  # Pillow stretches 2 and 4 bits to 255
                        values = values // (255 // (2 ** content[DEPTH] - 1))
                    return self._gray(values, where)
                if image.mode == "F":
                    raise MaskError(f"{where} holds floating-point numbers; {SAVE}")
                alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
                return self._channels(np.asarray(image.convert("RGBA" if alpha else "RGB")), where)
        except DAMAGED as error:
            if isinstance(error, MaskError):
                raise
            reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
            raise MaskError(f"{where} is damaged or not an image{reason}; give a PNG file") from error

    def _doubt(self, kind: str, sentence: str) -> None:
        """Tell once what can be read in more than one way, or refuse it."""
        if self.note is None:
            raise MaskError(f"{sentence}; {SAVE}")
        if kind not in self._told:
            self._told.add(kind)
            self.note(sentence)

    def _indexed(self, image: Image.Image, where: str) -> Ids:
        indices = np.asarray(image).astype(np.int32)
        stored = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(stored)] = stored
        used = np.array([0, *values_of(indices)])
        colors = palette[used].astype(int)
        if np.abs(colors - PALETTE[used]).max() <= 1:
            return indices
        if np.array_equal(palette[1:4, 0], (1, 2, 3)) and np.all(palette[used] == used[:, None]):
            return self._gray(np.asarray(indices), where)  # a gray image that only calls itself indexed
        gray, level = np.ptp(colors, axis=1).max() == 0, colors[:, 0]
        present = level if np.any(indices == 0) else level[1:]
        if gray and present.min() <= BLACK and present.max() >= WHITE and np.any((present > BLACK) & (present < WHITE)):
            raise _soft(where)
        transparent = image.info.get("transparency")
        if isinstance(transparent, bytes):
            clear = [index for index in used if index < len(transparent) and not transparent[index]]
        else:
            clear = [index for index in used if index == transparent]
        black = used[colors.max(1) <= BLACK].tolist()
        for background, what in ((clear, "transparent"), (black, "black")):
            if background and background[0]:
                index = int(background[0])
                self._doubt(
                    "background",
                    f"{where}: index {index} is {what} and index 0 is not, so {index} is taken for the background and "
                    f"0 for object {index}",
                )
                return np.where(indices == index, 0, np.where(indices == 0, index, indices)).astype(np.int32)
            if background:
                break
        return indices

    def _gray(self, values: NDArray, where: str) -> Ids:
        """Ids from gray values H x W of 8 or 16 bit."""
        if values.size and (values.min() < 0 or values.max() > DEEP_VOID):
            raise MaskError(f"{where} holds ids outside of 0 to {DEEP_VOID}; {SAVE}")
        ids = values.astype(np.int32)
        found = values_of(ids)
        deep = bool(found) and found[-1] > VOID
        stretched = found[-1:] == [DEEP_VOID] and any(value % 257 == 0 and value // 257 in SOFT for value in found)
        if len(found) > 1 and (stretched or (not deep and any(value in SOFT for value in found))):
            raise _soft(where)
        if len(found) > MAX_IDS:
            raise MaskError(f"{where} holds {len(found)} values, too many for objects; {SAVE}")
        if deep and VOID in found:
            self._doubt("void", f"{where}: {VOID} is taken for void, though there are larger ids")
        return np.where(ids == DEEP_VOID, VOID, ids).astype(np.int32)

    def _channels(self, values: NDArray, where: str) -> Ids:
        """Ids from H x W gray, or H x W x 3 or 4 RGB with alpha, of 8 or 16 bit."""
        if values.ndim == 2:
            return self._gray(values, where)
        opaque = np.ones(values.shape[:2], np.bool_)
        if values.shape[2] == 4:
            alpha = np.unique(values[:, :, 3])
            if len(alpha[alpha > 0]) > 1:
                raise _soft(where)
            opaque = values[:, :, 3] > 0 if alpha.max() > 0 else opaque
        colors = values[:, :, :3]
        seen = colors[opaque]
        if not opaque.all() and np.all(seen == seen[0]):
            gray = int(seen[0, 0]) if np.ptp(seen[0]) == 0 else 0
            return np.where(opaque, gray or 1, 0).astype(np.int32)
        if np.all(seen == seen[:, :1]):
            return self._gray(np.where(opaque, colors[:, :, 0], 0), where)
        if values.dtype != np.uint8:
            colors = (colors >> 8).astype(np.uint8)
        return self._colored(np.where(opaque[:, :, None], colors, 0).astype(np.int32), where)

    def _colored(self, colors: Ids, where: str) -> Ids:
        """Ids from colors H x W x 3 on black."""
        codes = (colors[:, :, 0] << 16) | (colors[:, :, 1] << 8) | colors[:, :, 2]
        found, places = np.unique(codes, return_inverse=True)
        places = places.reshape(codes.shape)
        if len(found) - 1 > MAX_IDS or any(_is_thin(places == place) for place in range(len(found))):
            raise MaskError(f"{where} holds {len(found)} colors, soft borders or a picture; {SAVE}")
        rgb = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
        distances = np.abs(rgb[:, None] - np.array((*COLORS, *VOID_COLORS))).max(2)
        if distances.min(1).max() <= 1:
            nearest = distances.argmin(1)
            return np.where(nearest < len(COLORS), nearest, VOID).astype(np.int32)[places]
        if found[0]:
            raise MaskError(f"{where} holds colors without a black background; {SAVE}")
        for code in found[1:].tolist():
            self._colors.setdefault(code, len(self._colors) + 1)
        numbers = [0, *(self._colors[code] for code in found[1:].tolist())]
        named = ", ".join(f"#{code:06x} is {number}" for code, number in self._colors.items())
        self._doubt(f"colors {named}", f"{where}: every color is an object: {named}")
        return np.array(numbers, np.int32)[places]


def brightness(content: bytes) -> NDArray[np.uint8] | None:
    """A picture's brightness H x W, for masks with a threshold of the user's; None where it does not decode."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]
    except cv2.error:  # there are no bytes at all, or the image is enormous
        return None


def write_ids(path: Path, ids: NDArray) -> None:
    """Write object ids H x W as a PNG file, in one go: indexed with DAVIS's palette, beyond 255 in gray of 16 bit.

    Raises:
        OSError: it cannot be written.
    """
    deep = bool(ids.size) and int(ids.max()) > VOID
    image = Image.fromarray(np.ascontiguousarray(ids, np.uint16 if deep else np.uint8))
    if not deep:
        image.putpalette(PALETTE.tobytes())  # turns a gray image into one of indices
    with replacing(path) as draft:
        image.save(draft, format="PNG")


def _soft(where: str) -> MaskError:
    return MaskError(f"{where} holds values between black and white (soft borders?); {SAVE}, without soft borders")


def _is_thin(part: NDArray[np.bool_]) -> bool:
    """Whether no pixel of a part lies inside of it: so do the colors of a soft border."""
    padded = np.pad(part, 1, mode="edge").astype(np.uint8)
    return not cv2.erode(padded, np.ones((2, 2), np.uint8)).any()


def _deep(content: bytes, where: str) -> NDArray:
    """The stored numbers of a PNG file of 16 bit, H x W, or H x W x 3 or 4 RGB with alpha."""
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise MaskError(f"{where} is damaged or not an image; restore it")
    return np.asarray(values) if values.ndim == 2 else np.asarray(values)[:, :, [2, 1, 0, 3][: values.shape[2]]]
