"""Lost targets are told apart by what went wrong, and drawn with the frame before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.benchmarks.test_tracking import write
from tracker.benchmarks.reset_failures import (
    CLASSES,
    FAST,
    HIDDEN,
    LEFT,
    MASK,
    PEAK,
    SIZE,
    STALE,
    classify,
    corners,
    find_failures,
    table,
)
from tracker.benchmarks.tracking import read_sequence
from tracker.cli import benchmark_failures
from tracker.memory.quality import Decision

IMAGE = (200, 150)


@dataclass
class Answer:
    """An answer with the fields that are looked at."""

    polygon: NDArray[np.float64]
    center: tuple[float, float]
    segmented: bool = True
    decision: Decision | None = field(default_factory=lambda: Decision(1.0, found=True, remember=True, reason="test"))
    box: tuple[float, float, float, float] = (0.0, 0.0, 20.0, 20.0)

    @property
    def mask(self) -> NDArray[np.bool_]:
        return np.zeros((90, 120), np.bool_)


def square(x: float, y: float, side: float = 20.0) -> NDArray[np.float64]:
    return corners(np.array([x - side / 2, y - side / 2, side, side]))


LOST = Decision(9.0, found=False, remember=False, reason="test")


@pytest.mark.parametrize(
    ("kind", "before", "truth", "answer"),
    [
        (LEFT, square(12, 75), square(-4, 75), Answer(square(60, 75), (60, 75))),
        (FAST, square(40, 75), square(70, 75), Answer(square(40, 75), (40, 75))),
        (HIDDEN, square(98, 75), square(100, 75), Answer(square(130, 75), (130, 75), decision=LOST)),
        (PEAK, square(98, 75), square(100, 75), Answer(square(130, 75), (130, 75))),
        (SIZE, square(98, 75), square(100, 75), Answer(square(104, 75, 4), (104, 75))),
        (STALE, square(98, 75), square(100, 75), Answer(square(122, 75), (104, 75), segmented=False)),
        (MASK, square(98, 75), square(100, 75), Answer(square(122, 75), (104, 75))),
    ],
)
def test_each_class(kind: str, before: NDArray[np.float64], truth: NDArray[np.float64], answer: Answer) -> None:
    assert classify(before, truth, answer, IMAGE) == kind  # type: ignore[arg-type]


class Still:
    """Answers where it was started."""

    def initialize(self, image: NDArray[np.uint8], region: NDArray[np.float64], *, masks: bool) -> Answer:
        points = corners(region)
        x, y = points.mean(0)
        self.answer = Answer(points, (float(x), float(y)), box=tuple(region.tolist()))  # type: ignore[arg-type]
        return self.answer

    def track(self, image: NDArray[np.uint8]) -> Answer:
        return self.answer


def boxes(length: int) -> list[str]:
    return [f"{4 * frame},30,20,20" for frame in range(length)]


def test_every_failure_is_found_with_the_frame_before(tmp_path: Path) -> None:
    sequence = read_sequence(write(tmp_path, "one", boxes(20)))
    found = list(find_failures(Still(), sequence, 1))  # type: ignore[arg-type]
    assert [failure.failed.index for failure in found] == [5, 15]
    assert [failure.before.index for failure in found] == [4, 14] and found[0].before.overlap > 0.0
    assert {failure.kind for failure in found} == {PEAK}
    assert found[0].picture().shape == (340, 640, 3)
    text = table(found, lambda failure: f"{failure.failed.index}.png")
    assert "| wrong peak | 2 |" in text and "[15.png](15.png)" in text and all(kind in text for kind in CLASSES)


def test_the_command_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data", "one", boxes(12))
    arguments = ["--tracking", str(tmp_path / "data"), "--output", str(tmp_path / "out"), "--strides", "1", "2"]
    assert benchmark_failures.main(arguments, load=lambda settings: Still(), environ={}) == 0  # type: ignore[arg-type]
    assert "one /1: wrong peak" in capsys.readouterr().out
    assert (tmp_path / "out" / "one_1_00005.png").is_file()
    assert "one_2_" in (tmp_path / "out" / "failures.md").read_text()
    for wrong in (["--masks", "x", "--strides", "2"], ["--tracking", "x", "--strides", "0"]):
        with pytest.raises(SystemExit) as stop:
            benchmark_failures.main([*wrong, "--output", "y"], environ={})
        assert stop.value.code == 2
