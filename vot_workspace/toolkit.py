"""Runs the VOT toolkit's command and words its failures.

The toolkit is GPLv3 and run as a process. `vot evaluate` ends with code 0 even where the tracker has failed, so whoever
starts it looks at the results.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracker.errors import UserError

QUOTED = (
    "import runpy, shlex, sys; sys.executable = shlex.quote(sys.executable); "
    "runpy.run_module('vot', run_name='__main__', alter_sys=True)"
)
LOG = "vot.log"  # below a workspace
NOT_INSTALLED = "the VOT toolkit is not installed here; install it: pip install 'dmb-tracker[vot]'"


class ToolkitMissingError(UserError):
    """The toolkit is not installed; the message says how to install it."""


class EvaluationError(UserError):
    """The toolkit or the tracker failed; the message says where and with which words."""


def toolkit_folder() -> Path:
    """The folder of the installed toolkit, which is not imported.

    Raises:
        ToolkitMissingError: there is none.
    """
    found = importlib.util.find_spec("vot")
    if found is None or found.origin is None:
        raise ToolkitMissingError(NOT_INSTALLED)
    return Path(found.origin).parent


def vot_command(*arguments: str) -> list[str]:
    """The command line that runs the toolkit.

    It never imports from the current folder. Where Python's own path holds a space, the toolkit, which takes the
    command lines of trackers apart at spaces, is given the path in quotes.

    Raises:
        ToolkitMissingError: the toolkit is not installed.
    """
    toolkit_folder()
    if shlex.quote(sys.executable) == sys.executable:
        return [sys.executable, "-P", "-m", "vot", *arguments]
    return [sys.executable, "-P", "-c", QUOTED, *arguments]


def read_log(path: Path) -> list[str]:
    """Lines of the toolkit's output, without colors and empty ones; a progress bar is a line whenever it moves."""
    text = re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", path.read_text(encoding="utf-8", errors="replace"))
    return [line for line in map(str.strip, re.split(r"[\r\n]+", text)) if line]


def last_words(lines: Sequence[str]) -> list[str]:
    """The end of an output, without progress bars."""
    return [line for line in lines if not re.match(r"\d+ ?%|.*\|\s*\d+/\d+", line)][-3:] or ["no output"]


class Toolkit:
    """Runs `vot` with an environment of its own, and words its failures.

    Args:
        environ: of the toolkit.
        scratch: folder for temporary files.
        kept: whether the user can look at the logs afterward.
    """

    def __init__(self, environ: Mapping[str, str], scratch: Path, *, kept: bool) -> None:
        steering = ("DMB_", "TRAX", "VOT_")  # settings are in trackers.ini; a TraX variable would confuse the tracker
        self.environment = {name: text for name, text in environ.items() if not name.startswith(steering)}
        self.environment |= {"MPLBACKEND": "Agg", "TMPDIR": str(scratch)}
        # text, since failures are counted in it; no cache, since a kept workspace may get more sequences
        self.environment |= {"VOT_RESULTS_BINARY": "0", "VOT_PERSISTENT_CACHE": "0"}
        self.kept = kept

    def run(self, workspace: Path, *arguments: str) -> int:
        """Run a command in a workspace, with its output in `vot.log` there; returns the exit code."""
        words = vot_command(*arguments, "--workspace", str(workspace))
        with (workspace / LOG).open("wb") as log:
            done = subprocess.run(
                words,
                cwd=workspace,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode

    def failure(self, what: str, reasons: Sequence[str], logs: Path) -> EvaluationError:
        """The error for a command that has not done its work, with its words and the file or folder of its logs."""
        where = f"see '{logs}'" if self.kept else "--keep DIR keeps its log"
        return EvaluationError(f"the VOT toolkit {what}: {' / '.join(reasons)} ({where})")
