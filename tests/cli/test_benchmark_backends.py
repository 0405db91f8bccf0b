"""`dmb benchmark backends`: what it prints, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import clean_environment
from tracker.benchmarks.backends import BACK_ENDS, OURS
from tracker.cli.benchmark import BENCHMARKS
from tracker.cli.benchmark_backends import main


def test_both_parts_are_told(
    weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in set(BACK_ENDS) - {"plain", OURS}:
        monkeypatch.delitem(BACK_ENDS, name)
    environ = clean_environment(DMB_PRECISION="float32", DMB_DEVICE="cpu", DMB_MAX_FRAMES="3")
    words = ["--size", "64", "--repetitions", "1", "--weights", str(weights_file)]
    assert main(words, environ=environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{weights_file.name}, cpu, float32, threads ")
    assert lines[1] == "query_encoder, 64 pixels:" and lines[4] == "decoder, 64 pixels, 3 remembered frames:"
    assert [line.split()[0] for line in lines[2:4] + lines[5:]] == ["plain", OURS, "plain", OURS]


@pytest.mark.parametrize("wrong", [("--size", "72"), ("--size", "48"), ("--repetitions", "0")])
def test_wrong_usage(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(wrong, environ=clean_environment())
    assert end.value.code == 2 and f"{wrong[0]} is {wrong[1]}" in capsys.readouterr().err


def test_weights_that_are_not_there_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--weights", str(tmp_path / "none")], environ=clean_environment()) == 1
    assert capsys.readouterr().err.startswith("dmb benchmark backends: error: weights file '")


def test_it_is_a_benchmark() -> None:
    assert BENCHMARKS["backends"]() is main
