"""How commands end: one sentence for what a user can mend, an exit code, and nothing left running."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

FAILURE = 1  # exit code


@contextmanager
def ending_orderly() -> Iterator[None]:
    """Let SIGTERM and a closed terminal unwind the stack: processes are ended and temporary folders removed."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    # one that is ignored stays so: under nohup, a closed terminal ends nothing
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_orderly(
    work: Callable[[], int | None],
    expected: tuple[type[Exception], ...],
    *,
    interrupted: str = "interrupted",
) -> int:
    """Do the work of a command.

    Args:
        work: returns the exit code, None for 0.
        expected: exceptions whose message is for the user, besides OSError.
        interrupted: what is said after Ctrl-C.

    Returns:
        The exit code; FAILURE after one of these exceptions. SIGTERM and SIGHUP raise SystemExit.
    """
    mendable: tuple[type[Exception], ...] = (*expected, OSError)
    try:
        with ending_orderly():
            return work() or 0
    except mendable as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 128 + signal.SIGINT
