"""`dmb track` on many videos: what names them, what each gets, and that one which is broken stops no other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cluster.machines import Machines
from tests.media.clips import StillTracker, load_still, scene, square, write_clip
from tracker.cli import track
from tracker.media.manifest import ManifestError, Row, rows_of
from tracker.settings import Settings

BOX = "10,14,20,20"
TASK = "dmb_task.json"


def load_none(settings: Settings) -> Callable[[], StillTracker]:
    raise AssertionError("nothing is left to track")


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three videos of different lengths, of which one is broken, and a folder of images."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, length in (("cup", 4), ("kite", 2)):
        write_clip(folder / f"{name}.mkv", [scene(10 + index) for index in range(length)])
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("not a video")
    return folder


def main(*words: object, load: object = load_still, code: int = 0) -> None:
    assert track.main([str(word) for word in words], load=load, environ={}) == code  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder but those that hold times."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("summary.csv", "summary.json")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "summary.csv").open() as file:
        return {Path(row["source"]).name: row for row in csv.DictReader(file)}


def test_a_folder_is_tracked_video_by_video_as_each_would_be_alone(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(clips, "--box", BOX, "--masks", "--boxes", code=1)
    out = capsys.readouterr().out
    assert "cup: 4 frames in " in out and "2 of 3 done" in out and "broken: FAILED: " in out
    root = tmp_path / "clips_tracked"
    found = table(root)
    assert [found[name]["result"] for name in ("cup.mkv", "kite.mkv")] == ["done", "done"]
    assert [found[name]["frames"] for name in ("cup.mkv", "kite.mkv", "broken.mp4")] == ["4", "2", "0"]
    assert "broken.mp4" in found["broken.mp4"]["result"]
    main(clips / "cup.mkv", "--box", BOX, "--masks", "--boxes", "--output", tmp_path / "alone")
    made = files(root / "cup")
    assert json.loads(made.pop(TASK))["frames"] == 4
    assert made == files(tmp_path / "alone") and "masks/00003.png" in made
    assert not (root / "broken").exists() and not list(root.glob(".*"))

    (clips / "broken.mp4").unlink()
    before = {name: (root / name / TASK).stat().st_mtime_ns for name in ("cup", "kite")}
    main(clips, "--box", BOX, "--masks", "--boxes", load=load_none)
    assert "2 of 2 videos are finished already" in capsys.readouterr().out
    assert before == {name: (root / name / TASK).stat().st_mtime_ns for name in before}

    main(clips, "--box", "12,14,20,20", "--masks", "--boxes", code=1)
    assert "holds other files, or results of another video, prompts, weights" in capsys.readouterr().out
    (root / "cup" / "mine.txt").write_text("stays")
    main(clips, "--box", "12,14,20,20", "--boxes", "--overwrite")
    assert "mine.txt" in files(root / "cup") and "masks/00003.png" not in files(root / "cup")


@pytest.mark.integration
def test_two_processes_write_what_one_writes(clips: Path, tmp_path: Path) -> None:
    (clips / "broken.mp4").unlink()
    for workers in (1, 2):
        main(clips / "*.mkv", "--box", BOX, "--masks", "--boxes", "--workers", workers, "--output", f"by{workers}")
    one, two = files(tmp_path / "by1"), files(tmp_path / "by2")
    assert one == two and {name.split("/")[0] for name in one} == {"cup", "kite"}


@pytest.mark.slow
def test_a_cluster_writes_what_one_process_writes(clips: Path, tmp_path: Path) -> None:
    (clips / "broken.mp4").unlink()
    cv2.imwrite("first.png", square(10).astype(np.uint8) * 255)
    words = ("clips", "--mask", "first.png", "--masks", "--boxes", "--video", "--output")
    main(*words, "here")
    with Machines(tmp_path / "machines") as machines:
        for name in ("one", "two"):
            machines.worker(name)
        main(*words, "there", "--cluster", machines.file)
    here, there = files(tmp_path / "here"), files(tmp_path / "there")
    assert here.keys() == there.keys() and {"cup/overlay.webm", "kite/masks/00001.png"} <= here.keys()
    assert [name for name in here if here[name] != there[name] and not name.endswith(".webm")] == []  # has random ids


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_manifest_gives_each_its_prompts_and_output(clips: Path, tmp_path: Path, kind: str) -> None:
    rows = [
        {"source": "cup.mkv", "prompts": "--box 10,14,20,20 --at 2 --box 30,20,10,10", "output": "first"},
        {"source": "kite.mkv", "prompts": "--start 1 --box 11,14,20,20", "output": "sub/second"},
        {"source": "cup.mkv", "prompts": "", "output": "third"},
    ]
    path = clips / f"list.{kind}"
    with path.open("w") as file:
        if kind == "csv":
            writer = csv.DictWriter(file, ["source", "prompts", "output"])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n\n" for row in rows)
    main(path, "--boxes", "--box", "5,5,9,9", "--output", "out")
    with (tmp_path / "out" / "first" / "boxes.csv").open() as read:
        assert [(row["frame"], row["object"]) for row in csv.DictReader(read)][-2:] == [("3", "1"), ("3", "2")]
    with (tmp_path / "out" / "sub" / "second" / "boxes.csv").open() as read:
        assert [row["frame"] for row in csv.DictReader(read)] == ["1"]
    with (tmp_path / "out" / "third" / "boxes.csv").open() as read:
        assert next(csv.DictReader(read))["x"] == "5.0"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("source,prompts\ncup.mkv,--boks 1\n", "line 2: unknown option --boks; did you mean --boxes?"),
        ("source,prompts\ncup.mkv,\n", "line 2: nothing says where the object is; give --box"),
        ('source,prompts\ncup.mkv,"--box 1,2,9,9 --masks"\n', "line 2: prompts cannot set --masks"),
        ("source,box\ncup.mkv,1\n", "line 2 has 'box'; its columns are source, prompts"),
        ("source\n", "names no videos"),
        ("source,prompts\na.mkv,--box 1,2,9,9\n", "line 2 has more fields than columns; put what holds commas in"),
        ("source,prompts\na.mkv,--box 1\n", "line 2: --box: '1' is not a box"),
        ("source,output\ncup.mkv,x\nkite.mkv,./x\n", "line 3 has the output 'x' of another line"),
        ('source,prompts\ncup.mkv,"--mask \'a"\n', "line 2: prompts are '--mask 'a' (No closing quotation); give"),
        ('source,prompts\ncup.mkv,"--start 3 --stop 2"\n', "line 2: --stop is 2 and --start 3; stop after the start"),
        ('source,prompts\ncup.mkv,"--object 1 --box 1,2,9,9"\n', "line 2: --object 1 says whose region follows after"),
        ("source\nm\udcfcll.mkv\n", "cannot be read ('utf-8' codec can't decode byte 0xfc"),
    ],
)
def test_a_mistake_in_a_manifest_is_one_sentence_and_nothing_is_tracked(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    (clips / "list.csv").write_bytes(content.encode(errors="surrogateescape"))
    main(clips / "list.csv", "--output", "out", code=1)
    error = capsys.readouterr().err
    assert f"list.csv'{', ' if told.startswith('line') else ' '}{told}" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_differs_in_anything_is_tracked_again(clips: Path, tmp_path: Path) -> None:
    """Patterns of one name, pictures of the same sizes with other contents, and options that change results."""
    for number, folder in enumerate(("one", "two", "three")):
        (tmp_path / folder / "color").mkdir(parents=True)
        for index in range(2):
            cv2.imwrite(str(tmp_path / folder / "color" / f"{index}.bmp"), scene(10 + number))
    sources = {"one": "one/color/*.bmp", "two": "two/color/*.bmp", "three": "three/color"}
    lines = [f"{source},{output}\n" for output, source in sources.items()]
    (tmp_path / "list.csv").write_text("source,output\n" + "".join(lines))
    (tmp_path / "weights").touch()
    main("list.csv", "--box", BOX, "--boxes", "--output", "out", "--weights", "weights")
    assert {row["result"] for row in table(tmp_path / "out").values()} == {"done"}
    main("*/color", "--box", BOX, "--boxes", "--output", "all")
    assert [row["result"] for row in csv.DictReader((tmp_path / "all" / "summary.csv").open())] == ["done"] * 3
    for option in ("--backwards", "--realtime"):
        later = ("--at", "1", "--box", BOX) if option == "--backwards" else ()
        main(clips / "*.mkv", "--box", BOX, *later, "--boxes", "--output", option[2:])
        main(clips / "*.mkv", "--box", BOX, *later, "--boxes", option, "--output", option[2:], "--overwrite")
        assert {row["result"] for row in table(tmp_path / option[2:]).values()} == {"done"}


def test_results_of_a_single_run_in_the_folder_are_not_taken_for_those_of_many(clips: Path, tmp_path: Path) -> None:
    (clips / "broken.mp4").unlink()
    many = ("clips", "--box", BOX, "--boxes", "--output", "out")
    main(*many)
    main(clips / "cup.mkv", "--box", "1,2,9,9", "--boxes", "--output", "out/cup", "--overwrite")
    main(*many, code=1)
    assert "holds other files" in table(tmp_path / "out")["cup.mkv"]["result"]


def test_a_mask_that_is_given_is_not_overwritten(clips: Path, tmp_path: Path) -> None:
    given = tmp_path / "out" / "cup" / "masks" / "00000.png"
    given.parent.mkdir(parents=True)
    cv2.imwrite(str(given), square(10).astype(np.uint8) * 255)
    before = given.read_bytes()
    (clips / "broken.mp4").unlink()
    main(clips, "--mask", given, "--masks", "--output", "out", "--overwrite", code=1)
    assert given.read_bytes() == before
    assert "lies where results would be overwritten" in table(tmp_path / "out")["cup.mkv"]["result"]


def test_what_is_one_video_and_what_are_many(clips: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("00000.jpg", "00001.jpg"):
        (images / name).touch()
    assert rows_of(str(images)) is None and rows_of(str(images / "*.jpg")) is None
    assert rows_of(str(clips / "cup.mkv")) is None and rows_of("0") is None and rows_of("rtsp://there") is None
    found = rows_of(str(tmp_path))
    assert found == [Row(str(images), (), "images")], "a folder of folders of images"
    (clips / "cup.mp4").touch()
    assert [row.output for row in rows_of(str(clips)) or ()] == ["broken", "cup.mkv", "cup.mp4", "kite"]
    (clips / "._kite.mkv").touch()
    assert len(rows_of(str(clips)) or ()) == 4, "what macOS puts beside a video is none"
    for folder in ("one", "two"):
        (tmp_path / folder / "color").mkdir(parents=True)
        (tmp_path / folder / "color" / "1.jpg").touch()
    found = rows_of(str(tmp_path / "*" / "color"))
    assert [row.output for row in found or ()] == ["one/color", "two/color"], "each has a folder of its own"
    (tmp_path / "list.jsonl").write_text("[1]\n")
    with pytest.raises(ManifestError, match="line 1 is no JSON object"):
        rows_of(str(tmp_path / "list.jsonl"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cup.mkv", "--box", BOX, "--workers", "2"], "--workers and --cluster are for several videos"),
        ([".", "--box", BOX, "--workers", "0"], "--workers is 0; it must be at least 1"),
        ([".", "--box", BOX, "--page", "--truth", "x"], "--truth is for a single video"),
    ],
)
def test_wrong_usage_ends_with_2(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    monkeypatch.chdir(clips)
    with pytest.raises(SystemExit) as stop:
        main(*words)
    assert stop.value.code == 2 and told in capsys.readouterr().err
