"""Frames from video files, and from a stream of video on standard input, decoded by FFmpeg."""

from __future__ import annotations

import io
import re
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tracker.data.images import Levels, Pixels
from tracker.media import hdr
from tracker.media.damage import complaints_of_ffmpeg, has_hole, tells_of_damage
from tracker.media.frames import Frame, Source, SourceError, Warn

UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
EARLY_END = 1.0  # seconds; a file that lacks more than this at its end was cut short
HD_HEIGHT = 720  # video without a color matrix is taken for BT.709 from this height on, as players do
HEAD = 4096  # bytes, in which an MP4 tells whether its index comes first
STREAM_ADVICE = "send Matroska, MPEG-TS, MJPEG or MP4, e.g. ffmpeg -i video.mp4 -f matroska - | dmb track -"


class Pipe(io.RawIOBase):
    """A stream for FFmpeg to read from: an exception that a read raises is kept, as FFmpeg's callbacks lose it.

    Args:
        raw: binary file to read from.
        head: what has been read from it already.
    """

    def __init__(self, raw: Any, head: bytes = b"") -> None:
        self.raw, self.head = raw, head
        self.failure: BaseException | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end, or after an exception."""
        if self.failure is not None:
            return b""
        if self.head:
            part, self.head = self.head[:size], self.head[len(self.head[:size]) :]
            return part
        try:
            return self.raw.read(size) or b""
        except BaseException as error:  # a signal's, too
            self.failure = error
            return b""

    def check(self) -> None:
        """Raise what a read has raised."""
        if self.failure is not None:
            raise self.failure


def upright(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Turn and mirror an image H x W x 3 as a display matrix asks for, to the nearest right angle.

    Args:
        matrix: 9 numbers: pixel x, y is shown at a*x + c*y, b*x + d*y, where a, b are the first two numbers and c, d
            the fourth and the fifth.
    """
    a, b, _, c, d = matrix[:5].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def picture(frame: VideoFrame, levels: Levels, tell_hdr: Warn = lambda name: None) -> NDArray[np.uint8]:
    """A decoded frame as H x W x 3 RGB of 8 bit: right colors, upright.

    Gray and RGB of more than 8 bits go through `levels`: what sensors write has no nominal range. YUV has one, and
    where its range of brightness is a high one, `tracker.media.hdr` has the rule; `tell_hdr` takes that one's name.
    """
    if frame.color_trc in hdr.NAMES:
        tell_hdr(hdr.NAMES[frame.color_trc])
        return _upright(frame, hdr.table(frame.color_trc)[frame.to_ndarray(format="rgb48le")])
    deep = _deep(frame)
    if deep is not None:
        return _upright(frame, levels(deep))
    guess = frame.colorspace == UNSPECIFIED and not frame.format.is_rgb and frame.height >= HD_HEIGHT
    image = np.asarray(frame.to_ndarray(format="rgb24", src_colorspace=Colorspace.ITU709 if guess else None), np.uint8)
    return _upright(frame, image)


def _deep(frame: VideoFrame) -> Pixels | None:
    """The frame as H x W x 3 in its own depth, if it is gray or RGB of more than 8 bits."""
    name, bits = frame.format.name, max(component.bits for component in frame.format.components)
    if bits <= 8 or not (name.startswith("gray") or frame.format.is_rgb):
        return None
    if name.startswith("gray"):
        wanted = name if name.startswith("grayf") else "gray16le"
        values: Any = frame.to_ndarray(format=wanted)
        values = values >> (16 - bits) if wanted == "gray16le" and bits < 16 else values
        return np.repeat(values[:, :, None], 3, axis=2)
    return frame.to_ndarray(format="gbrpf32le" if bits == 32 else "rgb48le")


def _upright(frame: VideoFrame, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV knows not all of FFmpeg's kinds of side data
        matrix = None
    return image if matrix is None else upright(image, np.frombuffer(matrix, np.int32))  # type: ignore[call-overload]


class _Decoder:
    """Decodes a container packet by packet, so that a damaged one costs no more than itself."""

    def __init__(self, container: InputContainer, stream: VideoStream, where: str, warn: Warn, levels: Levels) -> None:
        self.container, self.stream, self.where, self.warn = container, stream, where, warn
        self.levels = levels
        self.hdr_told = False
        self.rate = float(stream.average_rate or stream.guessed_rate or 25)
        self.damages = 0
        self.affected = self.first_affected = 0  # frames that are damaged, or made from such
        self.repaired: set[int | None] = set()  # times of packets that the decoder has complained of
        self.tainted = False  # whether the last frame was affected
        self.count = 0
        self.seconds = 0.0  # time of the last frame, on the container's clock, which may start anywhere
        self.origin: float | None = None

    def frames(self) -> Iterator[Frame]:
        """Yield all frames that can be decoded."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
                with complaints_of_ffmpeg() as complaints:
                    decoded = packet.decode()
            except (StopIteration, av.error.EOFError):
                break
            except av.error.InvalidDataError:
                self.tainted = True  # what is predicted from a frame that is lost is guessed
                self._damaged(f"after frame {self.count - 1}" if self.count else "at the start")
                continue
            except av.FFmpegError as error:
                self.warn(f"'{self.where}' cannot be read after frame {self.count - 1} ({error}); it ends there")
                break
            told = any(tells_of_damage(name, text) for _, name, text in complaints)
            if told or packet.is_corrupt or has_hole(packet, self.stream):
                self.repaired.add(packet.pts)  # its frame may come out several packets later
            for frame in decoded:
                yield self._frame(frame)
        if self.affected:
            self.warn(
                f"'{self.where}' is damaged: about {self.affected} of its {self.count} frames show what the decoder "
                f"guessed, from frame {self.first_affected} on; results there mean little"
            )
        elif self.damages > 1:
            self.warn(f"'{self.where}' was damaged in {self.damages} places")
        expected = _duration(self.container, self.stream)
        shown = self.seconds - (self.origin or 0.0) + 1 / self.rate
        if self.count and expected - shown > EARLY_END:
            self.warn(f"'{self.where}' ends after {shown:.1f} s, its header promises {expected:.1f} s")

    def _frame(self, frame: VideoFrame) -> Frame:
        index, self.count = self.count, self.count + 1
        own = frame.is_corrupt or frame.pts in self.repaired
        self.repaired.discard(frame.pts)
        if own:
            self._damaged(f"in frame {index}")
        # what is damaged stays in the frames that are predicted from it, up to the next one that is whole by itself
        self.tainted = own or (self.tainted and not frame.key_frame)
        if self.tainted:
            self.first_affected = self.first_affected if self.affected else index
            self.affected += 1
        time = index / self.rate if frame.time is None else float(frame.time)
        self.origin = time if self.origin is None else self.origin
        self.seconds = time
        image = picture(frame, self.levels, self._tell_hdr)
        wide = self.stream.sample_aspect_ratio
        aspect = float(wide) if wide else 1.0
        turned = image.shape[:2] != (frame.height, frame.width)
        return Frame(index, time - self.origin, image, 1 / aspect if turned else aspect)

    def _tell_hdr(self, name: str) -> None:
        if not self.hdr_told:
            self.hdr_told = True
            self.levels.tell(
                f"'{self.where}' has a high dynamic range ({name}): reference white (203 cd/m2) and all that is "
                "brighter is taken for white"
            )

    def _damaged(self, place: str) -> None:
        self.damages += 1
        if self.damages == 1:
            self.warn(f"'{self.where}' is damaged {place}; going on with what can be decoded")


def _duration(container: InputContainer, stream: VideoStream) -> float:
    """Seconds of video that the header promises; 0 where it does not tell, or tells of the sound, too."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if len(container.streams) > 1 or not container.duration:
        return 0.0
    # Matroska counts from zero of its clock, wherever that starts; all others from the start
    before = max(0, container.start_time or 0) if "matroska" in container.format.name else 0
    return (container.duration - before) / av.time_base


def _length(stream: VideoStream, container: InputContainer) -> int | None:
    """The number of frames, from the file's header or from duration and rate."""
    if stream.frames:
        return stream.frames
    if container.duration and stream.average_rate:
        return max(1, round(container.duration / av.time_base * float(stream.average_rate)))
    return None


@contextmanager
def open_video(path: Path, warn: Warn, levels: Levels, number: int | None = None) -> Iterator[Source]:
    """A video file; `number` chooses one of several video streams, from 0.

    Raises:
        SourceError: it is none, or holds no pictures.
    """
    advice = "name a video file, a folder of images or a pattern such as 'frames/*.jpg'"
    # "file:", as FFmpeg takes what is before a colon for a protocol
    with _opened(f"file:{path}", str(path), path.stem, warn, levels, advice, number) as source:
        yield source


@contextmanager
def open_url(url: str, warn: Warn, levels: Levels, number: int | None = None) -> Iterator[Source]:
    """A stream from the network; it may end, or not.

    Raises:
        SourceError: it cannot be reached, or is not a video.
    """
    name = re.sub(r"\W+", "_", url.partition("://")[2].partition("?")[0].rpartition("@")[2]).strip("_")
    advice = "check the address, and that it sends video"
    with _opened(url, url, name or "stream", warn, levels, advice, number) as source:
        yield source


@contextmanager
def _opened(
    address: str, where: str, name: str, warn: Warn, levels: Levels, advice: str, number: int | None
) -> Iterator[Source]:
    try:
        container = av.open(address, "r", metadata_errors="replace")
    except av.FFmpegError as error:
        raise SourceError(f"'{where}' cannot be read as a video ({error.strerror}); {advice}") from error
    with container:
        stream = _chosen(container, f"'{where}'", number, levels.tell, "name one that does")
        decoder = _Decoder(container, stream, where, warn, levels)
        yield Source(name, where, decoder.rate, _length(stream, container), decoder.frames)


def _chosen(container: InputContainer, where: str, number: int | None, note: Warn, advice: str) -> VideoStream:
    """The video stream with a number, or the one that is shown by default.

    Raises:
        SourceError: there is none, or no such one.
    """
    streams = container.streams.video
    if not streams:
        raise SourceError(f"{where} holds no video; {advice}")
    if number is not None:
        if number >= len(streams):
            raise SourceError(f"{where} has the video streams 0 to {len(streams) - 1}; there is no stream {number}")
        return streams[number]
    pictures = [one for one in streams if not one.disposition & Disposition.attached_pic] or list(streams)
    if len(pictures) > 1:
        first = list(streams).index(pictures[0])
        note(f"{where} holds {len(pictures)} video streams; number {first} is tracked, --stream chooses another")
    return pictures[0]


def _spooled(raw: Any) -> Any:
    """A stream that FFmpeg can read from: what is no MP4 with its index at the end is read as it comes.

    Such an MP4 makes sense only as a whole: it is copied into a temporary file.
    """
    head = b""
    for wanted in (8, HEAD):  # only of what begins as an MP4 is more awaited: a camera may have sent no more yet
        while len(head) < wanted and (more := raw.read(wanted - len(head))):
            head += more
        if head[4:8] != b"ftyp":
            return Pipe(raw, head)
    place, names = 0, list[bytes]()
    while place + 8 <= len(head):  # the boxes at the file's top: a size, and a name
        size, name = struct.unpack_from(">I4s", head, place)
        names.append(name)
        if size < 8:
            break
        place += size
    if b"mdat" not in names or b"moov" in names[: names.index(b"mdat")]:
        return Pipe(raw, head)
    whole = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the container
    whole.write(head)
    shutil.copyfileobj(raw, whole)
    whole.seek(0)
    return whole


@contextmanager
def open_stream(raw: Any, warn: Warn, levels: Levels, number: int | None = None) -> Iterator[Source]:
    """A video that arrives on a pipe; frames are given as they come.

    Args:
        raw: unbuffered binary file to read from.
        warn: takes warnings.
        levels: brings frames with more than 8 bits to 8 bit.

    Raises:
        SourceError: it is not a video that can be read without seeking.
    """
    where, pipe = "standard input", _spooled(raw)
    check = pipe.check if isinstance(pipe, Pipe) else lambda: None
    try:
        container = av.open(pipe, "r", metadata_errors="replace")
    except (av.FFmpegError, EOFError) as error:
        check()
        raise SourceError(f"{where} cannot be read as a video ({error}); {STREAM_ADVICE}") from error
    with container:
        check()
        stream = _chosen(container, where, number, levels.tell, STREAM_ADVICE)
        decoder = _Decoder(container, stream, where, warn, levels)

        def frames() -> Iterator[Frame]:
            for frame in decoder.frames():
                check()
                yield frame
            check()

        yield Source("stdin", where, decoder.rate, None, frames)
