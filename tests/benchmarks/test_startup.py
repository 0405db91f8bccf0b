"""How a start is timed: in a process of its own, with the settings that were given; warming up costs a CPU little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import tracker.tracker
from tests.conftest import clean_environment
from tracker.benchmarks.startup import Startup
from tracker.cli.benchmark_startup import main
from tracker.config import TrackerConfig
from tracker.trax_server import WARM_UP_SIZE, warm_up


def test_a_start_is_timed(weights_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = clean_environment(DMB_CROP_SIZE="64", DMB_THREADS="1", DMB_DEVICE="cpu")
    assert main(["--starts", "1", "--weights", str(weights_file)], environ=environ) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("start-up: import ") and ", warm-up " in first and ": ready after " in first
    assert second.startswith("then: initialise ") and third.startswith("processor time of all this ")
    assert float(third.split()[-2]) > 200  # MB: torch and the network were there


def test_what_is_wrong_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--starts", "1"], environ=clean_environment(DMB_DEVICE="tpu")) == 1
    assert "DMB_DEVICE" in capsys.readouterr().err
    assert main(["--starts", "1", "--weights", str(tmp_path / "none")], environ=clean_environment()) == 1
    told = capsys.readouterr().err
    assert told.startswith("dmb benchmark startup: error: the tracker does not start: weights file '")
    assert "does not exist" in told and told.count("\n") == 1


def test_the_model_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def measure(environ: dict[str, str], repetitions: int) -> Startup:
        asked.append(environ)
        return Startup(*8 * [1.0])

    monkeypatch.setattr("tracker.benchmarks.startup.measure_startup", measure)
    environ = {"PATH": "/bin", "DMB_MODEL": "full", "DMB_THREADS": "1"}
    assert main(["--model", "compact"], environ=environ) == main([], environ=environ) == 0
    assert asked == [{**environ, "DMB_MODEL": "compact"}, environ]


def test_being_ready_is_all_that_comes_before_the_greeting() -> None:
    startup = Startup(1.5, 0.5, 0.25, 0.75, 9.0, 9.0, 9.0, 700.0)
    assert startup.ready == 3.0 and "ready after 3.0 s" in startup.lines()[0]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_only_a_gpu_is_warmed_up_at_full_size_with_a_full_memory(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[TrackerConfig] = []
    calls: list[str] = []

    def make(_engine: object, config: TrackerConfig) -> SimpleNamespace:
        used.append(config)
        return SimpleNamespace(
            initialize=lambda image, region, *, masks: calls.append("masks" if masks else "boxes"),
            track=lambda image: calls.append("track"),
        )

    monkeypatch.setattr(tracker.tracker, "DMB", make)
    config = TrackerConfig()
    warm_up(SimpleNamespace(device=torch.device(device)), config)  # type: ignore[arg-type]
    crop = used[0].crop
    if device == "cuda":
        assert used == [replace(config, appearance=replace(config.appearance, sampling_interval=1))]
        tracked = config.appearance.max_frames * ["track"]
        assert calls == ["masks", *tracked, "boxes", *tracked]
    else:
        assert crop.size == crop.segment_size == crop.box_size == WARM_UP_SIZE < config.crop.size
        assert used[0].filter == config.filter and used[0].gate == config.gate
        assert calls == ["masks", "track", "track"]
