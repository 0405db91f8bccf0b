"""`dmb track --at`: objects that start later, and corrections in the middle."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import LEFTS, Command, rows
from tests.media.clips import SIZE, scene, square
from tracker.metrics.masks import overlap

LATER = (
    "--box", "10,14,20,20", "--at", "2", "--box", "40,4,16,16", "--at", "3", "--object", "1", "--box", "13,14,20,20",
)  # fmt: skip


def test_objects_start_later_and_are_corrected(command: Command, clip: Path, tmp_path: Path) -> None:
    assert command(clip, *LATER, "--output", "out") == 0
    found = [(row["frame"], row["object"], float(row["x"])) for row in rows(tmp_path / "out")]
    assert found == [
        ("0", "1", 10), ("1", "1", 10), ("2", "1", 10), ("2", "2", 40), ("3", "1", 13), ("3", "2", 40),
        ("4", "1", 13), ("4", "2", 40),
    ]  # fmt: skip
    records = (tmp_path / "out" / "result.jsonl").read_text().splitlines()
    assert len(records) == len(found)
    lines = (tmp_path / "out" / "polygons_2.txt").read_text().splitlines()
    assert lines[:2] == ["0", "0"] and all("," in line for line in lines[2:]) and len(lines) == 5
    ids = [set(np.unique(np.asarray(Image.open(path)))) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert ids == [{0, 1}, {0, 1}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}]
    with av.open(str(tmp_path / "out" / "overlay.webm")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 5


def test_before_the_first_object_masks_are_empty(command: Command, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    for index in (1, 3):
        Image.fromarray(square(13).astype(np.uint8) * 255).save(tmp_path / "right" / f"{index:05d}.png")
    later = ("--at", "2", "--box", "13,14,20,20", "--page", "--truth", "right", "--video", "--masks", "--boxes")
    assert command(clip, *later, "--output", "out") == 0
    assert [row["frame"] for row in rows(tmp_path / "out")] == ["2", "3", "4"]
    masks = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert len(masks) == 5 and not masks[0].any() and not masks[1].any() and masks[0].shape == (SIZE[1], SIZE[0])
    assert np.array_equal(masks[2] > 0, square(13))
    with av.open(str(tmp_path / "out" / "overlay.webm")) as video:
        drawn = [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(video=0)]
    assert np.abs(drawn[0] - scene(LEFTS[0])).mean() < 5 < np.abs(drawn[2] - scene(LEFTS[2])).mean()
    text = (tmp_path / "out" / "page.html").read_text()
    assert '"frames":[0,1,2,3,4]' in text and '"at":[2,3,4]' in text


@pytest.mark.integration
def test_the_real_tracker_is_corrected(real: Command, clip: Path, tmp_path: Path) -> None:
    correction = ("--at", "2", "--object", "1", "--box", "13,14,20,20")
    assert real(clip, "--box", "0,0,12,12", *correction, "--masks", "--output", "out") == 0
    for index in (2, 3, 4):
        mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{index:05d}.png"))
        assert overlap(mask == 1, square(LEFTS[index])) > 0.7


def test_a_frame_beyond_the_end_is_told_and_the_rest_is_complete(
    command: Command, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(clip, "--box", "10,14,20,20", "--at", "9", "--box", "1,2,20,20", "--output", "out") == 1
    captured = capsys.readouterr()
    told = f"dmb track: error: the last frame of '{clip}' is 4; there is no frame 9 for --at 9 --box 1,2,20,20\n"
    assert captured.err == told and "5 frames in" in captured.out
    assert len(rows(tmp_path / "out")) == 5
    assert command(clip, "--at", "9", "--box", "1,2,20,20", "--page", "--output", "none") == 1
    assert "page.html" not in capsys.readouterr().out and not (tmp_path / "none" / "page.html").exists()


def test_clicks_are_options_and_in_the_middle(command: Command, clip: Path, tmp_path: Path) -> None:
    """Clicks that follow each other are of one object; the tracker sees 8 x 8 pixels around their middle."""
    first = ("--point", "20,24", "--point", "22,26", "--point", "5,5:neg", "--at", "0", "--point", "50,10")
    later = ("--at", "3", "--object", "1", "--point", "24,24")
    assert command(clip, *first, *later, "--boxes", "--output", "out") == 0
    found = [(row["frame"], row["object"], float(row["x"]), float(row["y"])) for row in rows(tmp_path / "out")]
    assert found[:2] == [("0", "1", 17, 21), ("0", "2", 46, 6)] and found[6:8] == [
        ("3", "1", 20, 20),
        ("3", "2", 46, 6),
    ]


@pytest.mark.integration
def test_the_real_tracker_starts_from_a_click(real: Command, clip: Path, tmp_path: Path) -> None:
    assert real(clip, "--point", "20,24", "--masks", "--output", "out") == 0
    for index in (0, 2, 4):
        mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{index:05d}.png"))
        assert overlap(mask == 1, square(LEFTS[index])) > 0.6


@pytest.mark.parametrize(
    ("point", "code", "told"),
    [
        ("20", 2, "'20' is not a point; give x,y on the object or x,y:neg beside it"),
        ("20,24:maybe", 2, "is not a point"),
        ("-20,24", 1, "--point -20,24: the point -20, 24 lies outside the image of 64 x 48 pixels"),
        ("20,24:neg", 1, "--point 20,24:neg: no point is on the target"),
    ],
)
def test_other_clicks_are_one_sentence(
    command: Command, clip: Path, capsys: pytest.CaptureFixture[str], point: str, code: int, told: str
) -> None:
    try:
        assert command(clip, "--point", point) == code
    except SystemExit as stop:
        assert stop.code == code
    assert told in capsys.readouterr().err


def test_backwards_every_frame_has_the_nearest_region(command: Command, clip: Path, tmp_path: Path) -> None:
    """Object 1 is given in frames 0 and 3, object 2 in frame 3; the tracker stands still where it is put."""
    later = ("--at", "3", "--object", "1", "--box", "13,14,20,20", "--box", "40,4,16,16", "--backwards")
    assert command(clip, "--box", "10,14,20,20", *later, "--masks", "--boxes", "--page", "--output", "out") == 0
    found = [(row["frame"], row["object"], float(row["x"])) for row in rows(tmp_path / "out")]
    assert found == [
        (str(frame), str(number), x)
        for frame in range(5)
        for number, x in ((1, 10.0 if frame < 2 else 13.0), (2, 40.0))
    ]
    masks = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert len(masks) == 5 and np.array_equal(masks[2] == 1, square(13)) and masks[0][5, 45] == 2


@pytest.mark.integration
def test_the_real_tracker_goes_backwards(real: Command, clip: Path, tmp_path: Path) -> None:
    given = ("--at", "4", "--box", f"{LEFTS[4]},14,20,20", "--backwards")
    assert real(clip, *given, "--masks", "--output", "out") == 0
    for index, left in enumerate(LEFTS):
        mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{index:05d}.png"))
        assert overlap(mask == 1, square(left)) > 0.7


def test_backwards_without_a_later_frame_is_wrong_usage(
    command: Command, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command(clip, "--box", "10,14,20,20", "--backwards")
    assert stop.value.code == 2 and "--backwards has no effect without --at" in capsys.readouterr().err
    beyond = ("--at", "9", "--box", "10,14,20,20", "--backwards", "--output", "out")
    assert command(clip, *beyond) == 1
    assert "the last frame of 'clip.mkv' is 4" in capsys.readouterr().err.replace(str(tmp_path) + "/", "")
