"""`dmb vot`: a thin front to the VOT toolkit's command line.

Up to toolkit 0.6, `vot analysis --format html` wrote a report, and many still type it; 0.7 wants `vot analysis` and
then `vot report --format html`. This command takes the old form and passes everything else through unchanged. The
toolkit is GPLv3 and run as a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

ANALYSIS = ("analysis", "analyse", "analyze")
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


def main(arguments: Sequence[str]) -> int:
    """Run the toolkit; returns the exit code of the first run that fails, else 0."""
    for words in translate(arguments):
        code = subprocess.run([sys.executable, "-m", "vot", *words], check=False).returncode
        if code:
            return code
    return 0
