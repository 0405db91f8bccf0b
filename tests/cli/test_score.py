"""`dmb score davis` on masks of which the score is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.data.davis_folders import square, two_squares, write_davis, write_masks
from tracker.cli.main import main

FRAMES = 6


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    frames = [two_squares(index) for index in range(FRAMES)]
    return write_davis(tmp_path / "DAVIS", {"one": frames, "two": frames})


def score(root: Path, masks: Path, *arguments: str, year: int = 2017) -> int:
    return main(["score", "davis", "--root", str(root), "--year", str(year), "--masks", str(masks), *arguments])


def test_the_truth_and_a_wrong_answer(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = davis / "Annotations" / "480p"
    assert score(davis, masks) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "J&F 1.000" and [line.split()[0] for line in lines[1:-2]] == ["one", "one", "two", "two"]
    wrong = tmp_path / "wrong"
    write_masks(wrong / "one", [two_squares(index) for index in range(FRAMES)])
    write_masks(wrong / "two", [square(0, value=0)] * FRAMES)
    assert score(davis, wrong, "--output", str(tmp_path / "scores")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "J&F 0.500"
    document = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert document["all"]["J&F-Mean"] == 0.5 and document["masks"] == "wrong"
    assert score(davis, wrong, "--sequences", "one") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "J&F 1.000"


def test_black_and_white_masks_are_understood_for_2016(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "masks" / "one"
    folder.mkdir(parents=True)
    for index in range(FRAMES):
        white = 255 * (two_squares(index) > 0).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index:05d}.png"), white)
    assert score(davis, tmp_path / "masks", "--sequences", "one", year=2016) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "J&F 1.000"
    assert score(davis, tmp_path / "masks", "--sequences", "one", year=2017) == 1
    assert "00001.png' holds the id 255, but sequence 'one' has 2 objects" in capsys.readouterr().err


def test_fewer_frames_are_scored_on_demand(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_masks(tmp_path / "masks" / "one", [two_squares(index) for index in range(4)])
    assert score(davis, tmp_path / "masks", "--sequences", "one", "--frames", "4") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "J&F 1.000"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "00002.png").unlink(), "one/00002.png' is missing"),
        (lambda folder: cv2.imwrite(str(folder / "00002.png"), np.zeros((80, 120), np.uint8)),
         "one/00002.png' has 120 x 80 pixels, its label has 60 x 40"),
        (lambda folder: (folder / "00002.png").write_bytes(b"mask"), "one/00002.png' is damaged or not an image"),
        (lambda folder: folder.rename(folder.with_name("three")), "there is no folder '"),
        (lambda folder: folder.parent.rename(folder.parent.with_name("gone")), "is not a folder; name one that holds"),
    ],
)  # fmt: skip
def test_wrong_masks_are_one_sentence_and_1(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, sentence: str
) -> None:
    masks = tmp_path / "masks"
    spoil(write_masks(masks / "one", [two_squares(index) for index in range(FRAMES)]))
    assert score(davis, masks, "--sequences", "one") == 1
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("dmb score: error: ")]
    assert len(errors) == 1 and sentence in errors[0] and "Traceback" not in captured.err and not captured.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frames", "2"], "--frames is 2; it must be at least 3"),
        (["--split", "val", "--sequences", "one"], "not allowed with argument"),
    ],
)
def test_wrong_usage_ends_with_2(
    davis: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        score(davis, davis, *arguments)
    assert stop.value.code == 2 and sentence in capsys.readouterr().err
