"""Sequences in the toolkit's format are found in folders and tar files, and provided as folders."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from vot_workspace.dataset import DatasetError, choose, provide, sequence_names, with_anchors


def write(folder: Path, *, facts: bool = True) -> Path:
    (folder / "color").mkdir(parents=True)
    (folder / "color" / "00000001.png").write_bytes(b"image")
    (folder / "groundtruth.txt").write_text("0,0,9,9\n1,1,9,9\n\n")
    if facts:
        (folder / "sequence").write_text("channels.color=color/%08d.png\n")
    return folder


def pack(folder: Path, path: Path, name: str) -> Path:
    with tarfile.open(path, "w") as tar:
        tar.add(folder, name)
    return path


@pytest.mark.parametrize("below", [".", "sequences"])
def test_a_folder_is_used_where_it_is(tmp_path: Path, below: str) -> None:
    source = tmp_path / "vot"
    folders = {name: write(source / below / name) for name in ("ball", "car")}
    (source / below / "list.txt").write_text("ball\ncar\n")
    assert sequence_names(source) == ["ball", "car"]
    made = tmp_path / "made"
    made.mkdir()
    assert provide(source, ["car"], made) == {"car": folders["car"].resolve()}
    assert not list(made.iterdir())


@pytest.mark.parametrize("prefix", [".", "vot/sequences"])
def test_a_tar_file_is_extracted(tmp_path: Path, prefix: str) -> None:
    for name in ("ball", "car"):
        write(tmp_path / "vot" / name, facts=name == "ball")
    source = pack(tmp_path / "vot", tmp_path / "vot.tar", prefix)
    assert choose(source, None) == ["ball", "car"]
    made = tmp_path / "made"
    made.mkdir()
    folders = provide(source, ["car"], made)
    assert folders == {"car": made.resolve() / "car"} and [path.name for path in made.iterdir()] == ["car"]
    assert (made / "car" / "color" / "00000001.png").read_bytes() == b"image"
    (made / "car" / "color" / "00000001.png").write_bytes(b"kept")
    provide(source, ["car", "ball"], made)
    assert (made / "car" / "color" / "00000001.png").read_bytes() == b"kept"
    assert (made / "ball").is_dir()


def test_what_the_toolkit_must_know_is_written_where_it_is_missing(tmp_path: Path) -> None:
    folder = write(tmp_path / "vot" / "car", facts=False)
    made = tmp_path / "made"
    made.mkdir()
    for _ in range(2):  # a workspace that is continued has it already
        provided = provide(tmp_path / "vot", ["car"], made)["car"]
    assert "channels.color=color/%08d.png" in (provided / "sequence").read_text()
    assert (provided / "color" / "00000001.png").is_file() and (provided / "groundtruth.txt").is_file()
    assert not (folder / "sequence").exists()
    (folder / "color" / "00000001.png").unlink()
    with pytest.raises(DatasetError, match="neither a file 'sequence' nor images"):
        provide(tmp_path / "vot", ["car"], tmp_path / "made")


def test_starts_are_written_where_they_are_missing(tmp_path: Path) -> None:
    folder = write(tmp_path / "car")
    (folder / "groundtruth.txt").write_text("0\n1,1,9,9\nNaN,NaN,NaN,NaN\n" + "2,2,9,9\n" * 60)
    for _ in range(2):  # a workspace that is continued has them already
        made = with_anchors(folder, tmp_path / "links")
    assert made == tmp_path / "links" and (made / "color" / "00000001.png").is_file()
    values = [int(line) for line in (made / "anchor.value").read_text().split()]
    assert {index: value for index, value in enumerate(values) if value} == {1: 1, 50: -1, 62: -1} and len(values) == 63
    assert not (folder / "anchor.value").exists()
    assert with_anchors(folder, folder) == folder and (folder / "anchor.value").is_file()
    (folder / "anchor.value").write_text("1\n")
    assert with_anchors(folder, tmp_path / "others") == folder and not (tmp_path / "others").exists()


def test_nothing_starts_where_no_target_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "car")
    (folder / "groundtruth.txt").write_text("0\n0\n")
    with pytest.raises(DatasetError, match=r"no frame of sequence .* shows its target"):
        with_anchors(folder, tmp_path / "links")


def test_a_tar_file_cannot_write_elsewhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for name in ("../out/groundtruth.txt", f"{tmp_path}/abs/groundtruth.txt", "car/groundtruth.txt"):
            member = tarfile.TarInfo(name)
            member.size = 8
            tar.addfile(member, io.BytesIO(b"0,0,9,9\n"))
        link = tarfile.TarInfo("car/color")
        link.type, link.linkname = tarfile.SYMTYPE, "../.."
        tar.addfile(link)
    assert sequence_names(tmp_path / "evil.tar") == ["car"]
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(DatasetError, match="cannot be read"):
        provide(tmp_path / "evil.tar", ["car"], made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar", "made"] and not list(made.iterdir())


def test_wrong_sources_and_names_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no tar file")
    (tmp_path / "none").mkdir()
    for name, text in (("missing", "does not exist"), ("text.tar", "not a readable"), ("none", "no VOT sequences")):
        with pytest.raises(DatasetError, match=text):
            sequence_names(tmp_path / name)
    write(tmp_path / "vot" / "car")
    with pytest.raises(DatasetError, match=r"no sequence 'bus' in .*; it holds: car"):
        choose(tmp_path / "vot", ["bus"])
