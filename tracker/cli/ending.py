"""How commands end: one sentence for what a user can mend, an exit code, and nothing left running.

The `main` of every command takes the words of the command line behind the command's name, and where it needs them
`environ`, the environment that holds the settings, and `load`, which makes trackers (tests put others there). It ends
with one of the codes of `EXIT_CODES`; `command` sees to that.
"""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, ParamSpec

FAILURE, USAGE = 1, 2  # exit codes
EXIT_CODES = """\
exit codes of every command:
  0    done
  1    something that was named cannot be used, a tracker failed, or something is broken
  2    the command line is wrong: an unknown, missing or impossible option
  130  Ctrl-C; 143 SIGTERM, 129 closed terminal, 141 the reader of the output went away
"""
# Exceptions whose message is for the user, besides OSError. Looked up by name, since only what was imported can have
# been raised: no command has to import, or to list, what it never meets.
MENDABLE = (
    "tracker.benchmarks.ablation:AblationError",
    "tracker.benchmarks.box_datasets:BoxDatasetError",
    "tracker.benchmarks.davis_masks:DavisError",
    "tracker.benchmarks.record:RecordsError",
    "tracker.benchmarks.sequences:SequenceError",
    "tracker.errors:DeviceError",
    "tracker.errors:DeviceFullError",
    "tracker.geometry.region:RegionError",
    "tracker.media.frames:SourceError",
    "tracker.memory.spatial:FeaturesError",
    "tracker.onnx_export:ExportError",
    "tracker.settings:SettingsError",
    "tracker.training.compaction:CompactionError",
    "tracker.training.data:DataError",
    "tracker.training.plan:PlanError",
    "tracker.training.run:DeviceFullError",
    "tracker.weights:WeightsError",
    "vot_workspace.dataset:DatasetError",
    "vot_workspace.toolkit:EvaluationError",
    "vot_workspace.writer:WorkspaceError",
)
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


def explained(error: Exception) -> str | None:
    """What the user is told of an exception; None for one that is a defect of ours."""
    modules = sys.modules
    for place in MENDABLE:
        module, _, name = place.partition(":")
        if module in modules and isinstance(error, getattr(modules[module], name)):
            return str(error)
    if isinstance(error, OSError):
        return str(error)
    engine = modules.get("tracker.engine")
    if isinstance(error, MemoryError) or (engine is not None and engine.is_full(error)):
        from tracker.errors import DeviceFullError

        return str(DeviceFullError())
    return None


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
        with ending_orderly():
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
