"""Damage that decoders conceal: they guess what is missing, mark no frame, and go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.packet import Packet
from av.video.stream import VideoStream

CONCEALING = ("h264", "hevc", "mpeg4", "msmpeg4v3", "h263", "flv", "mpeg1video", "mpeg2video", "vc1", "wmv3")
HARMLESS = ("mmco", "co located", "POC", "SEI", "deprecated")  # of what they complain of, where nothing is lost
CONFIGURED = {"h264": 4, "hevc": 21}  # place of the byte in an MP4's or Matroska's decoder configuration that ends in
# the number of bytes, less one, of a unit's length


@contextmanager
def complaints_of_ffmpeg() -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg says of errors meanwhile: a decoder that conceals damage tells nothing else of it."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as told:
            yield told
    finally:
        av.logging.set_level(before)


def tells_of_damage(decoder: str, text: str) -> bool:
    """Whether what a decoder complains of is lost picture."""
    return decoder in CONCEALING and not any(word in text for word in HARMLESS)


def has_hole(packet: Packet, stream: VideoStream) -> bool:
    """Whether a packet of H.264 or H.265 in MP4 or Matroska holds three zero bytes in a row, which coded data never do.

    Holes of zeros are what an unfinished download or a bad disk leaves; decoders take them for picture. Elsewhere
    (MPEG-TS, raw streams) zeros separate units, and a hole ends one early, of which decoders complain.
    """
    context = stream.codec_context
    place, configuration = CONFIGURED.get(context.name), context.extradata
    if place is None or not configuration or configuration[0] != 1 or len(configuration) <= place:
        return False
    width, data, start = (configuration[place] & 3) + 1, bytes(packet), 0
    while start + width < len(data):
        end = start + width + int.from_bytes(data[start : start + width], "big")
        if b"\0\0\0" in data[start + width : end].rstrip(b"\0"):
            return True
        start = end
    return False
