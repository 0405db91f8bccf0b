"""How commands end: one sentence for what a user can mend, an exit code, and nothing left running.

The `main` of every command takes the words of the command line behind the command's name, and where it needs them
`environ`, the environment that holds the settings, and `load`, which makes trackers (tests put others there). It ends
with one of the codes of `EXIT_CODES`; `command` sees to that.
"""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Mapping
from typing import ParamSpec

from tracker import signals
from tracker.errors import explained

FAILURE, USAGE = 1, 2  # exit codes
EXIT_CODES = """\
exit codes of every command:
  0    done
  1    a file, folder or value cannot be used, a tracker failed, or something is broken
  2    the command line is wrong: an unknown, missing or impossible option
  130  Ctrl-C; 143 SIGTERM, 129 closed terminal, 141 the reader of the output went away
"""
P = ParamSpec("P")


def complain(prog: str, sentence: str) -> None:
    """Tell the user what went wrong, with the command that says so."""
    print(f"{prog}: error: {sentence}", file=sys.stderr)


def warn(prog: str, sentence: str) -> None:
    """Tell the user what is not as it should be, where the command goes on."""
    print(f"{prog}: warning: {sentence}", file=sys.stderr)


def warn_of_settings(prog: str, environ: Mapping[str, str]) -> None:
    """Warn of variables whose names look like misspelt settings."""
    from tracker.settings import complaints

    for sentence in complaints(environ):
        warn(prog, sentence)


def run_orderly(prog: str, work: Callable[[], int | None], *, interrupted: str = "interrupted") -> int:
    """Do the work of a command.

    Args:
        prog: the command, for messages.
        work: returns the exit code, None for 0.
        interrupted: what is said after Ctrl-C.

    Returns:
        The exit code. Wrong usage, SIGTERM and SIGHUP raise SystemExit; BrokenPipeError is passed on.
    """
    try:
        # processes are ended and temporary folders removed
        with signals.handled(signals.leave, signals.ENDING):
            return work() or 0
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print(f"{prog}: {interrupted}", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        sentence = explained(error)
        if sentence is None:
            raise
        complain(prog, sentence)
        return FAILURE


def command(prog: str, *, interrupted: str = "interrupted") -> Callable[[Callable[P, int | None]], Callable[P, int]]:
    """Make a function the `main` of a command: it is run by `run_orderly`, whose arguments these are."""

    def decorate(work: Callable[P, int | None]) -> Callable[P, int]:
        @functools.wraps(work)
        def main(*arguments: P.args, **options: P.kwargs) -> int:
            return run_orderly(prog, lambda: work(*arguments, **options), interrupted=interrupted)

        return main

    return decorate
