"""The tracked clip: what is measured, and what is called broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.test_videos import clip
from tests.doctor.findings import only
from tests.doubles import InfiniteTracker, StillTracker
from tests.robustness.tiny import tiny_tracker
from tracker import DMB
from tracker.doctor import self_test
from tracker.doctor.finding import Surroundings
from tracker.settings import Settings
from vot_workspace.writer import Annotated


def annotated() -> list[Annotated]:
    return [Annotated(frame, (frame[:, :, 0] > 200) & (frame[:, :, 1] < 60)) for frame in clip(4)]


def test_the_self_test_measures_and_judges() -> None:
    followed = self_test.measure(tiny_tracker(), annotated())
    assert followed.finite and followed.overlap > 0.75 and followed.milliseconds > 0  # its cells are coarse
    found = self_test.judge(followed, "cpu, float32")
    assert found.status == "ok" and f"{followed.overlap:.2f}" in found.text and "ms per frame" in found.text

    still = self_test.measure(StillTracker(), annotated())  # type: ignore[arg-type]
    assert still.finite and still.overlap < self_test.LEAST_OVERLAP
    found = self_test.judge(still, "cpu, float32")
    assert found.status == "problem" and "is not followed" in found.text and found.remedy

    infinite = self_test.measure(InfiniteTracker(), annotated())  # type: ignore[arg-type]
    found = self_test.judge(infinite, "cpu, float16")
    assert not infinite.finite and found.status == "problem" and "DMB_PRECISION=float32" in found.remedy
    assert self_test.judge(self_test.Measured(True, float("nan"), 1.0), "cpu").status == "problem"


def test_the_self_test_tracks_the_demo_with_the_weights_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = only(self_test.self_test(Surroundings({"DMB_WEIGHTS": "/no/file"}, tmp_path)))
    assert missing.status == "note" and "/no/file" in missing.text
    asked: list[Settings] = []

    def load(settings: Settings) -> DMB:
        asked.append(settings)
        return tiny_tracker()

    def render(name: str, script: object, frames: int, size: tuple[int, int]):  # type: ignore[no-untyped-def]
        assert (name, frames, size) == ("cat", 45, (320, 240))
        yield from annotated()

    monkeypatch.setattr("tracker.api.loading.load_tracker", load)
    monkeypatch.setattr("vot_workspace.demo.render", render)
    environ = {"DMB_PRECISION": "float32", "DMB_MAX_FRAMES": "3"}
    found = only(self_test.self_test(Surroundings(environ, tmp_path)))
    assert found.status == "ok" and "cpu, float32" in found.text and asked[0].precision == "float32"
    assert asked[0].max_frames == 3
