"""`dmb benchmark failures` with a tracker that stands still."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.test_failures import SHAPE, Still, square
from tracker.cli.benchmark import main as benchmark
from tracker.cli.benchmark_failures import main


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """One sequence whose target is left behind after frame 1, and one whose target stays."""
    for name, lefts in (("leaves", (0, 0, 30, 35, 40)), ("stays", (0, 0, 1, 0, 0))):
        folder = tmp_path / "masks" / name
        folder.mkdir(parents=True)
        for index, left in enumerate(lefts):
            cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.full((*SHAPE, 3), 90, np.uint8))
            cv2.imwrite(str(folder / f"{index:05d}.png"), square(left).astype(np.uint8))
    return tmp_path / "masks"


def run(*arguments: object, **environ: str) -> int:
    return main([str(argument) for argument in arguments], load=lambda settings: Still(), environ=environ)  # type: ignore[arg-type,return-value]


def test_the_stretch_is_listed_and_drawn(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", masks, "--output", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["failures.md", "leaves_00002.png"]
    assert "| leaves | 2-4 of 4 | 0.00 |" in (tmp_path / "out" / "failures.md").read_text()
    assert cv2.imread(str(tmp_path / "out" / "leaves_00002.png")).shape[1] == 3 * 400 + 2 * 4
    output = capsys.readouterr().out
    assert "leaves: 5 frames, mean IoU 0.250, 1 failures" in output and "stays: 5 frames" in output


def test_a_stretch_may_be_shorter_on_demand(masks: Path, tmp_path: Path) -> None:
    assert run("--masks", masks, "--output", tmp_path / "out", "--frames", 3, "--least", 1) == 0
    assert "| leaves | 2-2 of 2 |" in (tmp_path / "out" / "failures.md").read_text()


def test_a_setting_that_is_none_is_told(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", masks, "--output", tmp_path / "out", DMB_GAET="off") == 0
    error = capsys.readouterr().err
    assert error.startswith("dmb benchmark failures: warning: ") and "did you mean DMB_GATE?" in error


def test_mistakes(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", tmp_path / "none", "--output", tmp_path / "out") == 1
    assert capsys.readouterr().err.startswith("dmb benchmark failures: error: ")
    assert run("--masks", masks, "--sequences", "moves", "--output", tmp_path / "out") == 1
    assert "moves" in capsys.readouterr().err
    for wrong in (("--frames", 1), ("--below", 0), ("--least", 0)):
        with pytest.raises(SystemExit) as end:
            run("--masks", masks, "--output", tmp_path / "out", *wrong)
        assert end.value.code == 2


def test_it_is_a_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        benchmark(["failures", "--help"])
    assert end.value.code == 0 and "usage: dmb benchmark failures" in capsys.readouterr().out
