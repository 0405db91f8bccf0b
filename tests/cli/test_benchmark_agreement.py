"""`dmb benchmark agreement` with the tiny network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.test_agreement import write_square
from tests.robustness.tiny import tiny_tracker
from tracker.cli.benchmark import main as benchmark
from tracker.cli.benchmark_agreement import main
from tracker.settings import Settings


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    return write_square(tmp_path / "masks")


def run(*arguments: object, **environ: str) -> int:
    return main([str(argument) for argument in arguments], load=lambda settings: tiny_tracker(), environ=environ)


def test_every_sequence_and_all_of_them(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", masks, "--frames", 4, DMB_GAET="off") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "cpu, float32 beside float32"
    assert [line.split()[0] for line in lines[1:]] == ["square", "all"]
    assert "mean IoU 1.0000" in lines[-1]
    assert "did you mean DMB_GATE?" in captured.err


def test_the_model_can_be_chosen(masks: Path) -> None:
    asked: list[Settings] = []
    load = lambda settings: asked.append(settings) or tiny_tracker()  # noqa: E731
    words = ["--masks", str(masks), "--frames", "2", "--model", "compact", "--weights", "own.safetensors"]
    assert main(words, load=load, environ={"DMB_MODEL": "full"}) == 0  # type: ignore[arg-type]
    assert asked == [Settings(model="compact", weights="own.safetensors")]


def test_mistakes(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", tmp_path / "none") == 1
    assert capsys.readouterr().err.startswith("dmb benchmark agreement: error: ")
    assert run("--masks", masks, "--sequences", "circle") == 1
    assert "circle" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        run("--masks", masks, "--frames", 1)
    assert end.value.code == 2


def test_it_is_a_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        benchmark(["agreement", "--help"])
    assert end.value.code == 0 and "usage: dmb benchmark agreement" in capsys.readouterr().out
