"""Archives for the servers: what is written passes the check, what the servers would refuse does not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tracker.benchmarks.boxes import TrackedBoxes
from tracker.benchmarks.submission import check_archive, got10k_files, trackingnet_files, write_archive

LENGTHS = {"a": 2, "b": 3}


def tracked(name: str) -> TrackedBoxes:
    count = LENGTHS[name]
    boxes = np.arange(4.0 * count).reshape(-1, 4) + 0.25
    seconds = np.linspace(0.5, 1, count)
    return TrackedBoxes(name, boxes, boxes, np.ones(count, np.bool_), (9, 9), seconds)


def files(benchmark: str) -> dict[str, str]:
    texts = got10k_files if benchmark == "got10k" else trackingnet_files
    return texts(tracked("a")) | texts(tracked("b"))


def check(tmp_path: Path, benchmark: str, texts: dict[str, str]) -> list[str]:
    write_archive(tmp_path / "x.zip", texts)
    return check_archive(tmp_path / "x.zip", benchmark, LENGTHS)


def test_archives_are_as_the_servers_want_them(tmp_path: Path) -> None:
    assert list(files("got10k")) == ["a/a_001.txt", "a/a_time.txt", "b/b_001.txt", "b/b_time.txt"]
    assert files("got10k")["a/a_001.txt"] == "0.250,1.250,2.250,3.250\n4.250,5.250,6.250,7.250\n"
    assert files("got10k")["a/a_time.txt"] == "0.50000000\n1.00000000\n"
    assert list(files("trackingnet")) == ["a.txt", "b.txt"]
    for benchmark in ("got10k", "trackingnet"):
        assert check(tmp_path, benchmark, files(benchmark)) == []
        before = (tmp_path / "x.zip").read_bytes()
        write_archive(tmp_path / "x.zip", files(benchmark))
        assert (tmp_path / "x.zip").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1,2,3,4\n", "'a.txt' has 1 lines; its sequence has 2 frames, write a line for each"),
        ("1,2,3,4\n\n", "line 2 of 'a.txt' is empty; write a line for each frame"),
        ("1 2 3 4\n1 2 3 4\n", "line 1 of 'a.txt' is '1 2 3 4', whose numbers are not separated by commas"),
        ("1\t2\t3\t4\n", "not separated by commas; write x,y,w,h with commas"),
        ("1;2;3;4\n", "not separated by commas"),
        ("1,2,3,4\n1,2,3\n", "line 2 of 'a.txt' holds 3 numbers instead of 4; write x,y,w,h"),
        ("1,2,3,4\n1,nan,3,4\n", "line 2 of 'a.txt' holds 'nan', which is not finite"),
        ("1,2,inf,4\n", "holds 'inf', which is not finite"),
        ("x,y,w,h\n", "line 1 of 'a.txt' holds 'x', which is not a number"),
        ("1,2,-3,4\n", "line 1 of 'a.txt' holds -3 as a size; it must not be negative"),
    ],
)
def test_texts_that_a_server_would_refuse(tmp_path: Path, text: str, complaint: str) -> None:
    (found,) = check(tmp_path, "trackingnet", files("trackingnet") | {"a.txt": text})
    assert complaint in found


def test_boxes_may_lie_outside_the_image_and_blanks_beside_commas(tmp_path: Path) -> None:
    assert check(tmp_path, "trackingnet", files("trackingnet") | {"a.txt": "-1, -2, 3, 4\r\n1,2,0,4"}) == []


def test_missing_and_foreign_sequences(tmp_path: Path) -> None:
    texts = files("trackingnet")
    del texts["b.txt"]
    found = check(tmp_path, "trackingnet", texts | {"c.txt": "1,2,3,4\n"})
    assert found == ["sequence 'b' is missing: there is no 'b.txt'", "'c.txt' belongs to no sequence; take it out"]
    texts = files("got10k")
    del texts["b/b_001.txt"], texts["a/a_time.txt"]
    found = check(tmp_path, "got10k", texts)
    assert found == [
        "'a/a_time.txt' is missing; write the seconds of each frame, a line per frame",
        "sequence 'b' is missing: there is no 'b/b_001.txt'",
    ]


def test_repetitions_of_got10k(tmp_path: Path) -> None:
    texts = files("got10k")
    texts["a/a_002.txt"] = texts["a/a_001.txt"]
    (found,) = check(tmp_path, "got10k", texts)
    assert found.startswith("line 1 of 'a/a_time.txt' holds 1 number instead of 2")
    assert check(tmp_path, "got10k", texts | {"a/a_time.txt": "0.1,0.2\n0.1,0.2\n"}) == []
    texts["a/a_003.txt"] = texts.pop("a/a_002.txt")
    found = check(tmp_path, "got10k", texts | {"a/a_time.txt": "0.1,-0.2\n0.1,0.2\n"})
    assert found == [
        "'a/a_002.txt' is missing, yet there is 'a/a_003.txt'; number repetitions without a gap",
        "line 1 of 'a/a_time.txt' holds -0.2 as a time; it must not be negative",
    ]


@pytest.mark.parametrize("benchmark", ["got10k", "trackingnet"])
def test_a_folder_around_everything(tmp_path: Path, benchmark: str) -> None:
    (found,) = check(tmp_path, benchmark, {f"DMB/{name}": text for name, text in files(benchmark).items()})
    assert found.startswith("everything lies in the folder 'DMB' of the archive")


def test_what_macos_adds_is_passed_over(tmp_path: Path) -> None:
    assert check(tmp_path, "trackingnet", files("trackingnet") | {"__MACOSX/._a.txt": "", ".DS_Store": ""}) == []


def test_no_archive(tmp_path: Path) -> None:
    (found,) = check_archive(tmp_path / "none.zip", "got10k", LENGTHS)
    assert "none.zip' does not exist; name the zip file to check" in found
    (tmp_path / "text.zip").write_text("no zip")
    (found,) = check_archive(tmp_path / "text.zip", "got10k", LENGTHS)
    assert "text.zip' is not a readable zip file" in found
    write_archive(tmp_path / "x.zip", files("got10k"))
    content = bytearray((tmp_path / "x.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        start = archive.infolist()[0].header_offset
    content[start + 45] ^= 0xFF  # inside the first file's data
    (tmp_path / "x.zip").write_bytes(bytes(content))
    (found,) = check_archive(tmp_path / "x.zip", "got10k", LENGTHS)
    assert "is not a readable zip file" in found
