"""`dmb benchmark speed` with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.robustness.tiny import CONFIG, tiny_engine
from tracker.cli.benchmark import BENCHMARKS
from tracker.cli.benchmark_speed import main
from tracker.tracking.tracker import DMB


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weights file that is not looked into."""
    (tmp_path / "best.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(
        "tracker.checkpoints.weights.find_weights", lambda named=None, model=None: tmp_path / "best.safetensors"
    )
    monkeypatch.setattr(
        "tracker.checkpoints.weights.read_weights", lambda path: ({}, {"checksum": "c0ffee" + 58 * "0"})
    )


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments], load=lambda settings: DMB(tiny_engine(), CONFIG), environ={})


def test_the_ratio_is_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "speed.json"
    assert run("--baseline", "--frames", 5, "--first", 2, "--size", 160, 120, "--output", output) == 0
    lines = capsys.readouterr().out.splitlines()
    document = json.loads(output.read_text())
    medians = {name: sorted(times)[1] for name, times in document["track_ms"].items()}
    assert lines[-1] == f"ratio {medians['plain'] / medians['dmb']:.2f}"
    assert lines[0].startswith("best.safetensors c0ffee000000, cpu") and "5 frames of 160 x 120" in lines[1]
    assert any(line.startswith("plain: track ") for line in lines) and "most memory held" in lines[-2]
    assert document["clip"] == {"frames": 5, "first": 2, "size": [160, 120], "init": "mask", "sequence": "cat"}
    assert set(document["initialize_ms"]) == {"dmb", "plain"}


def test_without_the_plain_variant_there_is_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--frames", 3, "--first", 1, "--size", 96, 64, "--init", "box") == 0
    output = capsys.readouterr().out
    assert "ratio" not in output and "plain" not in output and "query encoder" in output


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two sequences with masks, of four frames."""
    for name in ("bus", "cow"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for index in range(4):
            mask = np.zeros((96, 128), np.uint8)
            mask[30:60, 40 + index : 80 + index] = 255
            image = np.full((96, 128, 3), (30, 40, 20), np.uint8)  # BGR
            image[mask > 0] = (20, 30, 230)
            for suffix, array in (("jpg", image), ("png", mask)):
                cv2.imwrite(str(tmp_path / "videos" / name / f"{index:05d}.{suffix}"), array)
    return tmp_path / "videos"


def test_a_real_video(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "speed.json"
    assert run("--masks", videos, "--sequence", "cow", "--first", 1, "--output", output) == 0
    assert "cow: 4 frames of 128 x 96" in capsys.readouterr().out
    document = json.loads(output.read_text())
    assert document["clip"] == {"frames": 4, "first": 1, "size": [128, 96], "init": "mask", "sequence": "cow"}
    assert len(document["track_ms"]["dmb"]) == 3
    assert run("--masks", videos, "--frames", 3, "--first", 1) == 0
    assert "bus: 3 frames" in capsys.readouterr().out


def test_a_video_that_cannot_be_timed(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", videos) == 1
    assert "has 4 frames, and the first that counts is frame 10; lower --first" in capsys.readouterr().err
    assert run("--masks", videos, "--first", 1, "--sequence", "dog") == 1
    assert "there is no sequence 'dog'" in capsys.readouterr().err
    cv2.imwrite(str(videos / "bus" / "00000.png"), np.zeros((96, 128), np.uint8))
    assert run("--masks", videos, "--first", 1) == 1
    assert "the first mask of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--masks", "x", "--size", 64, 64), "--size is that of the drawn clip"), (("--sequence", "x"), "give --masks")],
)
def test_options_that_do_not_go_together(
    words: tuple[object, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(*words)
    assert end.value.code == 2 and told in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--frames", 2), ("--first", 0), ("--first", 100), ("--size", 641, 480)])
def test_wrong_usage(wrong: tuple[object, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*wrong)
    assert end.value.code == 2 and wrong[0] in capsys.readouterr().err  # type: ignore[operator]


def test_it_is_a_benchmark() -> None:
    assert BENCHMARKS["speed"]() is main
