"""Memory that was freed, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys


def give_back() -> None:
    """Let the system have what this process has freed; does nothing where the C library knows no such thing.

    glibc keeps freed blocks of up to 32 MB once there has been one: after the network was prepared, or a target was
    started on, these are more than what is in use.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
