"""Runs the VOT toolkit's command and words its failures.

The toolkit is GPLv3 and run as a process. `vot evaluate` ends with code 0 even where the tracker has failed, so whoever
starts it looks at the results.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class EvaluationError(RuntimeError):
    """The toolkit or the tracker failed; the message says where and with which words."""


class Toolkit:
    """Starts `vot` and words its failures.

    Args:
        environ: of the toolkit.
        scratch: folder for temporary files.
        kept: whether the user can look at the logs afterwards.
    """

    def __init__(self, environ: Mapping[str, str], scratch: Path, *, kept: bool) -> None:
        steering = ("DMB_", "TRAX", "VOT_")  # settings are in trackers.ini; a TraX variable would confuse the tracker
        self.environment = {name: text for name, text in environ.items() if not name.startswith(steering)}
        self.environment |= {"MPLBACKEND": "Agg", "TMPDIR": str(scratch)}
        # text, since failures are counted in it; no cache, since a kept workspace may get more sequences
        self.environment |= {"VOT_RESULTS_BINARY": "0", "VOT_PERSISTENT_CACHE": "0"}
        self.kept = kept

    def start(self, workspace: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command in a workspace; its output goes to `vot.log` there."""
        words = [sys.executable, "-m", "vot", *arguments, "--workspace", str(workspace)]
        with (workspace / "vot.log").open("wb") as log:
            return subprocess.Popen(
                words,
                cwd=workspace,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def failure(self, workspace: Path, what: str) -> EvaluationError:
        """The error for a command that has not done its work."""
        path = workspace / "vot.log"
        text = re.sub(r"\x1b\[[0-9;]*m", "", path.read_text(encoding="utf-8", errors="replace"))
        lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
        lines = [line for line in lines if line and not re.fullmatch(r"\d+ ?%.*", line)]
        told = [line for line in lines if "encountered an error" in line] or lines[-3:] or ["no output"]
        where = f"its log is '{path}'" if self.kept else "--keep DIR keeps its log"
        return EvaluationError(f"the VOT toolkit {what}: {' / '.join(told)} ({where})")
