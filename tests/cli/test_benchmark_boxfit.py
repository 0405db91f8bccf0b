"""`dmb benchmark boxfit` on generated sequences, with a tracker that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.polygon_sequences import SHAPE, BrightTracker, polygon, write_sequence
from tracker.cli import benchmark_boxfit
from tracker.geometry.region import polygon_to_mask
from tracker.settings import Settings

CHECKSUM = "c0ffee" + 58 * "0"


@pytest.fixture
def vot(tmp_path: Path) -> Path:
    """Two sequences with polygons."""
    for name, frames in (("ball", 4), ("car", 6)):
        write_sequence(tmp_path / "vot" / name, frames)
    return tmp_path / "vot"


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """One sequence with masks."""
    folder = tmp_path / "davis" / "box"
    folder.mkdir(parents=True)
    for index in range(3):
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.zeros((*SHAPE, 3), np.uint8))
        mask = polygon_to_mask(polygon(index), SHAPE)
        cv2.imwrite(str(folder / f"{index:05d}.png"), 255 * mask.astype(np.uint8))
    return tmp_path / "davis"


class Command:
    """The command with a weights file that is not looked into; counts how often the tracker is loaded."""

    def __init__(self, weights: Path) -> None:
        self.weights, self.loads = weights, 0

    def __call__(self, *arguments: object, **environ: str) -> int:
        def load(settings: Settings) -> BrightTracker:
            self.loads += 1
            return BrightTracker()

        words = [str(argument) for argument in arguments]
        return benchmark_boxfit.main(words, load=load, environ={"DMB_WEIGHTS": str(self.weights)} | environ)  # type: ignore[arg-type]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    weights = tmp_path / "best.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr("tracker.weights.read_weights", lambda path: ({}, {"checksum": CHECKSUM}))
    return Command(weights)


def test_both_parts_make_one_table(
    vot: Path, davis: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "table.md"
    assert command("--vot", vot, "--davis", davis, "--output", output) == 0
    text = output.read_text()
    assert text in capsys.readouterr().out
    assert "vot, all frames of 2 sequences; 8 masks segmented on 10 frames with 0 failures" in text
    assert f"best.safetensors, weights {CHECKSUM[:12]}, parameters " in text
    assert "davis, all frames of 1 sequences; 3 masks" in text
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert {"min_area", "moments", "ellipse", "greedy", "optimise", "ball", "car"} <= set(rows)
    assert " - " not in rows["optimise"]
    assert str(tmp_path) not in text  # no paths of this machine
    assert command.loads == 1


def test_one_part_alone_and_fewer_frames(
    vot: Path, davis: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--davis", davis, "--frames", "2") == 0
    assert "the first 2 frames of each of 1 sequences; 2 masks" in capsys.readouterr().out
    assert command.loads == 0
    assert command("--vot", vot, "--frames", "3") == 0
    assert "the first 3 frames of each of 2 sequences; 4 masks segmented on 6 frames" in capsys.readouterr().out


def test_stored_masks_need_no_tracker_and_belong_to_weights_and_settings(
    vot: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "masks"
    for _ in range(2):
        assert command("--vot", vot, "--masks-cache", cache) == 0
    assert command.loads == 1 and sorted(path.name for path in cache.iterdir()) == ["ball.npz", "car.npz"]
    (cache / "car.npz").unlink()  # as if interrupted
    capsys.readouterr()
    assert command("--vot", vot, "--masks-cache", cache) == 0
    assert command.loads == 2 and capsys.readouterr().out.splitlines()[0].split()[0] == "car"
    assert command("--vot", vot, "--masks-cache", cache, DMB_GATE="relative") == 1
    assert "made with other weights or parameters" in capsys.readouterr().err
    monkeypatch.setattr("tracker.weights.read_weights", lambda path: ({}, {"checksum": 64 * "a"}))
    assert command("--vot", vot, "--masks-cache", cache) == 1
    error = capsys.readouterr().err
    assert "remove them or name another folder" in error and error.count("\n") == 1


def test_the_parameters_of_the_masks_are_told_apart() -> None:
    several = [Settings(), Settings(gate="relative"), Settings(precision="float16"), Settings(box_fit="moments")]
    assert len({benchmark_boxfit._parameters(settings, settings.tracker_config()) for settings in several}) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--vot", "nowhere"], "'nowhere' does not exist; name a folder of VOT sequences or a tar file"),
        (["--davis", "nowhere"], "'nowhere' does not exist; name a folder of sequences or a tar file"),
        (["--vot", "{vot}", "--output", "nowhere/table.md"], "which is a folder or in none; name a file in a folder"),
        (["--vot", "{vot}", "--weights", "none.safetensors"], "none.safetensors' (named by the weights option"),
    ],
)
def test_wrong_input_is_one_sentence_and_1(
    arguments: list[str], sentence: str, vot: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*(argument.format(vot=vot) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb benchmark boxfit: error: ") and sentence in error and error.count("\n") == 1


def test_a_damaged_image_and_a_bad_setting_are_one_sentence_and_1(
    vot: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (vot / "car" / "color" / "00000002.png").write_bytes(b"image")
    assert command("--vot", vot) == 1
    assert "error: image '00000002.png' of sequence 'car' is missing or damaged" in capsys.readouterr().err
    assert command("--vot", vot, DMB_GATE="open") == 1
    assert "DMB_GATE is 'open'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give --vot, --davis or both"),
        (["--davis", "a", "--masks-cache", "b"], "--masks-cache has no effect without --vot"),
        (["--vot", "a", "--frames", "1"], "--frames is 1; it must be at least 2"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], sentence: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command(*arguments)
    assert stop.value.code == 2 and sentence in capsys.readouterr().err


def test_an_interruption_is_no_traceback(
    vot: Path, command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: BrightTracker, image: np.ndarray) -> None:
        raise KeyboardInterrupt

    track: Callable[..., object] = interrupt
    monkeypatch.setattr(BrightTracker, "track", track)
    assert command("--vot", vot) == 130
    assert capsys.readouterr().err == "dmb benchmark boxfit: interrupted\n"
