"""`dmb vot`: a thin front to the VOT toolkit's command line.

Up to toolkit 0.6, `vot analysis --format html` wrote a report, and many still type it; 0.7 wants `vot analysis` and
then `vot report --format html`. This command takes the old form and passes everything else through unchanged. Before an
evaluation it checks the ground truth. The toolkit is GPLv3 and run as a process of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tracker.cli.ending import command
from tracker.errors import UserError
from tracker.signals import handled

ANALYSIS = ("analysis", "analyse", "analyze")
EVALUATION = ("evaluate", "run")
REPORTS = ("html", "latex", "plots")  # formats that only `vot report` knows
GLOBAL_OPTIONS_WITH_VALUE = ("--registry",)


def _command_index(arguments: Sequence[str]) -> int | None:
    """Position of the toolkit's subcommand."""
    index = 0
    while index < len(arguments):
        if arguments[index] in GLOBAL_OPTIONS_WITH_VALUE:
            index += 2
        elif arguments[index].startswith("-"):
            index += 1
        else:
            return index
    return None


def translate(arguments: Sequence[str]) -> list[list[str]]:
    """Turn the arguments of `dmb vot` into those of one or two runs of `vot`."""
    arguments = list(arguments)
    command = _command_index(arguments)
    if command is None or arguments[command] not in ANALYSIS:
        return [arguments]
    rest: list[str] = []
    chosen = None
    words = iter(arguments[command + 1 :])
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--format":
            chosen = value if equals else next(words, "")
        else:
            rest.append(word)
    if chosen not in REPORTS:
        return [arguments]
    before = arguments[:command]
    return [[*before, "analysis", *rest], [*before, "report", *rest, "--format", chosen]]


def _check_truth(words: Sequence[str]) -> None:
    """Before an evaluation, check the ground truth; whatever else is wrong the toolkit says itself.

    Raises:
        WorkspaceError: see `vot_workspace.layout.check_truth`.
    """
    index = _command_index(words)
    if index is None or words[index] not in EVALUATION:
        return
    from vot_workspace.layout import check_truths, read_workspace

    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("--workspace", type=Path, default=Path())
    try:
        layout = read_workspace(parser.parse_known_args(words[index + 1 :])[0].workspace)
    except (argparse.ArgumentError, UserError):
        return
    check_truths(layout)


def _in_foreground() -> bool:
    """Whether this process is in the foreground of a terminal, whose Ctrl-C reaches the toolkit as well."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _run(words: Sequence[str]) -> int:
    """Run the toolkit, and wait for it to end by itself whatever signal comes: it has trackers to end.

    Returns:
        Its exit code; 128 + N where signal N has killed it.

    Raises:
        KeyboardInterrupt, SystemExit: Ctrl-C, or SIGTERM or a closed terminal, once the toolkit has ended.
    """
    from vot_workspace.toolkit import vot_command

    process: subprocess.Popen[bytes] | None = None
    received: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if process is not None and (number != signal.SIGINT or not _in_foreground()):
            process.send_signal(number)

    with handled(pass_on):
        process = subprocess.Popen(vot_command(*words))
        for number in received:  # that came while the process was started
            process.send_signal(number)
        code = process.wait()
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])
    return code if code >= 0 else 128 - code


@command("dmb vot")
def main(arguments: Sequence[str]) -> int:
    """Run the toolkit; returns the exit code of the first run that fails, else 0."""
    for words in translate(arguments):
        _check_truth(words)
        code = _run(words)
        if code:
            return code
    return 0
