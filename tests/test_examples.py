"""examples/own_video.py says in a sentence what is wrong.

tests/checkpoints/test_onnx_export.py runs the other example.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment

EXAMPLE = CHECKOUT / "examples" / "own_video.py"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["kite.mp4", "1,2,3"], "'1,2,3' is not a box; give four numbers, X,Y,W,H"),
        (["kite.mp4", "1,2,3,wide"], "'1,2,3,wide' is not a box; give four numbers, X,Y,W,H"),
        (["kite.mp4", "1,2,3,4"], "'kite.mp4' does not exist"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path: Path, weights_file: Path, arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=clean_environment(DMB_WEIGHTS=str(weights_file)),
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith(sentence) and done.stderr.count("\n") == 1, done.stderr
