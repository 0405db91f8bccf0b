"""What the tests of `dmb track` share: the command with two trackers, a clip, and a reader of its table."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.media.clips import StillTracker, scene, write_clip
from tests.tracking.scenes import CONFIG, ColorEngine
from tracker import DMB
from tracker.cli import track
from tracker.network import DMBNet
from tracker.settings import Settings

LEFTS = (10, 11, 13, 14, 16)  # of the square in the clip's frames
Command = Callable[..., int]


@pytest.fixture(scope="module")
def engine() -> ColorEngine:
    torch.manual_seed(0)
    return ColorEngine(DMBNet().eval().requires_grad_(False), precision="float32")


@pytest.fixture
def real(engine: ColorEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in an empty folder, with the real tracker."""
    monkeypatch.chdir(tmp_path)

    def load(settings: Settings) -> Callable[[], DMB]:
        return lambda: DMB(engine, CONFIG)

    return lambda *arguments: track.main([str(argument) for argument in arguments], load=load, environ={})


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in an empty folder, with a still tracker; `settings` of it gets what that was made with."""
    monkeypatch.chdir(tmp_path)

    def load(settings: Settings) -> Callable[[], DMB]:
        run.settings.append(settings)  # type: ignore[attr-defined]
        return StillTracker  # type: ignore[return-value]

    def run(*arguments: object, **environ: str) -> int:
        return track.main([str(argument) for argument in arguments], load=load, environ=environ)

    run.settings = []  # type: ignore[attr-defined]
    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Five frames of a moving square, at their own times."""
    return write_clip(tmp_path / "clip.mkv", [scene(left) for left in LEFTS], [0, 40, 200, 240, 300])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "boxes.csv").open() as file:
        return list(csv.DictReader(file))
