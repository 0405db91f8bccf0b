"""The README's commands, as they are written there, with the real weights, in a folder with small data of these names.

Whatever cannot run so is named here with its reason.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.box_layouts import write_got10k, write_otb, write_trackingnet
from tests.benchmarks.davis_folders import two_squares, write_davis, write_masks
from tests.conftest import CHECKOUT, clean_environment
from tests.media.clips import write_clip
from tests.test_docs import blocks
from tests.vot_workspace.mask_folders import pack
from tracker.weights import find_weights
from vot_workspace.demo import SCRIPTS, render
from vot_workspace.writer import write_sequence

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(3000)]

ELSEWHERE = {
    ("workspace", "vot2018"): "needs the network; tests/cli/test_workspace.py downloads from a local server",
    ("train",): "takes hours; tests/training runs plans of a few steps",
}
HELD_OUT = ("bmx-bumps", "breakdance-flare", "car-turn", "dog-agility", "kite-walk", "scooter-gray")
FRAMES, SIZE = 6, (160, 120)


def documented() -> list[list[str]]:
    """The README's commands in their order."""
    return blocks((CHECKOUT / "README.md").read_text())


def elsewhere(words: list[str]) -> bool:
    return any(tuple(words[: len(start)]) == start for start in ELSEWHERE)


def write_mask_videos(path: Path) -> None:
    """A tar file of sequences with a mask for every frame."""
    folder = path.with_suffix("")
    for name in HELD_OUT:
        (folder / name).mkdir(parents=True)
        for index, frame in enumerate(render("cup", SCRIPTS["cup"], FRAMES, SIZE)):
            cv2.imwrite(str(folder / name / f"{index:05d}.jpg"), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
            cv2.imwrite(str(folder / name / f"{index:05d}.png"), frame.mask.astype(np.uint8) * 255)
    pack(folder, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the README's reader is: data under the names that the commands use."""
    root = tmp_path_factory.mktemp("reader")
    # large enough for the README's box
    write_clip(root / "video.mp4", [frame.image for frame in render("cat", SCRIPTS["cat"], FRAMES, (320, 240))])
    write_mask_videos(root / "davis2016-train.tar")
    write_davis(root / "DAVIS", {"pair": [two_squares(index) for index in range(FRAMES)]})
    write_masks(root / "DIR" / "pair", [two_squares(index) for index in range(FRAMES)])
    write_got10k(root / "GOT-10k")
    write_trackingnet(root / "TrackingNet", "TEST", first=True)
    write_otb(root / "OTB100")
    write_sequence(root / "vot2014" / "cat", render("cat", SCRIPTS["cat"], FRAMES, SIZE), kind="polygon")
    (root / "vot2014" / "list.txt").write_text("cat\n")
    pack(root / "vot2014", root / "vot2014-dev.tar")
    (root / "runs" / "tight").mkdir(parents=True)
    shutil.copyfile(find_weights(), root / "runs" / "tight" / "dmb_r50.safetensors")
    run(root, ["workspace", "dev", "my", "--sequences", "vot2014"])  # in place of the one that needs the network
    yield root


def run(folder: Path, words: list[str]) -> str:
    """Run a command; returns what it has printed."""
    environment = clean_environment(DMB_THREADS="1", DMB_CROP_SIZE="192", OMP_NUM_THREADS="1", MPLBACKEND="Agg")
    command = [sys.executable, "-m", "tracker.cli.main", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, f"dmb {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("words", [words for words in documented() if not elsewhere(words)], ids=" ".join)
def test_the_command_runs(folder: Path, words: list[str]) -> None:
    run(folder, words)


def test_what_runs_elsewhere_is_still_in_the_readme() -> None:
    for start in ELSEWHERE:
        assert any(tuple(words[: len(start)]) == start for words in documented())


def test_the_python_example_runs(folder: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", (CHECKOUT / "README.md").read_text(), re.M | re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "uncertainty" in done.stdout.splitlines()[-1]
