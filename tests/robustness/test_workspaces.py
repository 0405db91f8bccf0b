"""`vot evaluate` beside `dmb evaluate` in one workspace: nothing is lost, and the results are those of either alone.

Two of `dmb evaluate` cannot meet, see `tests/end_to_end/test_evaluation.py`; neither knows of the toolkit itself.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.test_evaluation import Workspace, environment

pytestmark = pytest.mark.end_to_end


def test_the_toolkit_may_run_beside_it(tmp_path: Path) -> None:
    alone = Workspace(tmp_path / "alone", ("unsupervised",))
    alone.evaluate(workers=1)
    both = Workspace(tmp_path / "both", ("unsupervised",))
    toolkit = subprocess.Popen(
        [sys.executable, "-m", "vot", "evaluate", "Noting", "--workspace", str(both.folder)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    output = both.evaluate(workers=1)
    told, _ = toolkit.communicate(timeout=300)
    assert toolkit.returncode == 0 and "encountered an error" not in told, told
    assert "error" not in output

    assert both.results() == alone.results() and len(both.times()) == len(alone.times()) == 6
    assert not list(both.folder.glob("results/**/.*"))
