"""A relay between the client's stream and libtrax, for what libtrax 4.0.2 cannot receive.

An image sent in memory is ended with a zero byte for which there is no room: where its size in bytes is 8
modulo 16, that destroys the heap and the process is aborted. And a message with a path that is not ASCII is
refused, one with a path of megabytes takes minutes. The relay takes such images out of the stream and leaves a
ticket in their place, a path that libtrax understands. An empty region, and a mask of absurd size, would crash
the process or fill its memory, and over a polygon of many points it takes minutes; in their place goes what it
takes for no usable region.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import sys
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TICKET = "/dmb-relay/"
FRAME = b"@@TRAX:frame "
QUIT = b"@@TRAX:quit\n"
LONGEST_PATH = 4096  # bytes, as on Linux
REGION = re.compile(rb'(@@TRAX:initialize\s+)"([^"\\]*(?:\\.[^"\\]*)*)"')
MASK_SIZE = re.compile(rb"mask:[^,]*,[^,]*,([^,]*),([^,]*)")
LARGEST_MASK = 2**27  # pixels; four times an 8K image
AHEAD = 4  # frames whose images are kept before their turn; a client that sends more of them has to wait
PATIENCE = 60.0  # seconds that it waits at most, so that nothing hangs where libtrax has dropped a frame
LONGEST_MASK, LONGEST_POLYGON = 8_000_000, 500_000  # bytes of text, over which libtrax takes seconds
NO_REGION = b'"none"'
IN_MEMORY = re.compile(rb'"image:(\d+);(\d+);(rgb|gray8|gray16);([A-Za-z0-9+/=]*)"')
BY_PATH = re.compile(rb'"file://([^"\\]*(?:\\.[^"\\]*)*)"')
FORMATS = {b"rgb": (3, "u1"), b"gray8": (1, "u1"), b"gray16": (1, "<u2")}  # channels, type


class Relay:
    """Forward messages, and keeps the images that it took out of them until they are asked for."""

    def __init__(self) -> None:
        self._kept: dict[str, Path | NDArray] = {}  # in the order of the messages
        self._count = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        """Put the relay in front of the stream that libtrax reads; does nothing where that is a socket."""
        if "TRAX_SOCKET" in os.environ or sys.platform == "win32":
            return
        source = int(os.environ.get("TRAX_IN", "0"))
        outlet, inlet = os.pipe()
        os.environ["TRAX_IN"] = str(outlet)
        thread = threading.Thread(target=self._forward, args=(source, inlet), name="TraX relay", daemon=True)
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        thread.start()  # inherits the mask; signals are to wake the main thread, which waits in libtrax
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)

    def take(self, path: str) -> Path | NDArray | None:
        """What a ticket stands for, once: a path, or an image H x W x 1 or 3; None where `path` is not a ticket.

        Frames are served in order, so what was kept for an earlier one is given up.
        """
        with self._changed:
            if path not in self._kept:
                return None
            while (oldest := next(iter(self._kept))) != path:
                del self._kept[oldest]
            self._changed.notify()
            return self._kept.pop(path)

    def translate(self, message: bytes) -> bytes:
        """Exchange in one message what libtrax cannot receive for tickets."""
        if not message.startswith(FRAME):
            return REGION.sub(_exchange_region, message) if message.startswith(b"@@TRAX:initialize") else message
        return BY_PATH.sub(self._exchange_path, IN_MEMORY.sub(self._exchange_image, message))

    def _keep(self, what: Path | NDArray) -> bytes:
        self._count += 1
        ticket = f"{TICKET}{self._count}"
        with self._changed:
            self._kept[ticket] = what
        return f'"file://{ticket}"'.encode()

    def _exchange_image(self, match: re.Match[bytes]) -> bytes:
        channels, kind = FORMATS[match[3]]
        with contextlib.suppress(ValueError, OverflowError):  # damaged: libtrax's to refuse
            shape = (int(match[2]), int(match[1]), channels)
            content = base64.b64decode(match[4], validate=True)
            return self._keep(np.frombuffer(content, kind).reshape(shape))
        return match[0]

    def _exchange_path(self, match: re.Match[bytes]) -> bytes:
        if match[1].isascii() and len(match[1]) <= LONGEST_PATH:
            return match[0]
        return self._keep(Path(os.fsdecode(re.sub(rb"\\(.)", rb"\1", match[1]))))

    def _forward(self, source: int, inlet: int) -> None:
        # line by line, as messages are
        with contextlib.suppress(OSError), open(source, "rb", closefd=False) as stream, open(inlet, "wb") as sink:
            for line in iter(stream.readline, b""):
                if not line.endswith(b"\n"):
                    break
                if line.startswith(FRAME):  # few are ever on their way: a client is to wait for the answers
                    with self._changed:
                        self._changed.wait_for(lambda: len(self._kept) < AHEAD, PATIENCE)
                sink.write(self.translate(line))
                sink.flush()
            sink.write(QUIT)  # libtrax that waits for the second half of a request would not notice the end


def _exchange_region(match: re.Match[bytes]) -> bytes:
    """The region of an initialization, or another in its place where libtrax could not bear it."""
    size = MASK_SIZE.match(match[2])
    bearable = 0 < len(match[2]) <= (LONGEST_POLYGON if size is None else LONGEST_MASK)
    if size is not None:
        try:
            width, height = float(size[1]), float(size[2])
        except ValueError:
            bearable = False
        else:
            bearable = bearable and width >= 0 and height >= 0 and width * height <= LARGEST_MASK
    return match[0] if bearable else match[1] + NO_REGION
