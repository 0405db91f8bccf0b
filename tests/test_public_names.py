"""The public names, and the example that shows them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import tracker
from tests.api.test_videos import BOX, clip, folder
from tests.conftest import CHECKOUT
from tests.robustness.tiny import CONFIG, TinyNet

EXAMPLE = CHECKOUT / "examples" / "own_video.py"


def test_the_public_names() -> None:
    names = {"DMB", "GOT10kTracker", "Result", "StateFileError", "__version__", "load_weights", "track_videos"}
    assert set(tracker.__all__) == names
    assert all(getattr(tracker, name).__name__ == name for name in names - {"__version__"})
    with pytest.raises(AttributeError, match="no attribute 'Tracker'"):
        tracker.Tracker  # noqa: B018


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, tracker; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's network is the tiny one."""
    monkeypatch.setattr("tracker.checkpoints.weights.load_weights", lambda *_, **__: TinyNet().eval())
    monkeypatch.setattr("tracker.checkpoints.weights.find_weights", lambda *_, **__: Path("weights"))
    monkeypatch.setattr("tracker.config.TrackerConfig.of", lambda model: CONFIG)


@pytest.mark.usefixtures("tiny")
def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(cv2, "grabCut", _no_grab_cut)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:9]] == [str(index) for index in range(1, 10)]
    assert lines[9].startswith("mask of ") and lines[10].startswith("uncertainty ")

    path = str(folder(tmp_path / "mine", clip()))
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), path, ",".join(map(str, BOX))])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [[path, str(n)] for n in range(5)]


def _no_grab_cut(_image, marks, *_args):  # type: ignore[no-untyped-def]
    """GrabCut takes seconds; the outline that it starts from will do."""
    return marks, None, None


def test_the_example_shows_its_usage() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "video.mp4"], capture_output=True, text=True, check=False, cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 1 and "X,Y,W,H" in done.stderr and "Traceback" not in done.stderr
