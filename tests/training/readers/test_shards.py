"""Tar shards: what is damaged is reported and left out, and everything before it is used."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.training.pictures import gray_png, image, labels, palette_png, write_tar
from tracker.training.readers.shards import find_shards, read_instances, read_pairs, read_stills, read_videos

MASK = gray_png(labels(255))


def stills(*keys: str, suffix: str = ".jpg") -> dict[str, bytes]:
    return {f"{key}{end}": data for key in keys for end, data in ((suffix, image(suffix)), (".png", MASK))}


def names(frames: list) -> list[str]:
    return [frame.name for frame in frames]


@pytest.mark.parametrize("suffix", [".webp", ".jpg", ".jpeg", ".JPG"])
def test_stills_are_read_in_their_order(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {"README.txt": b"text", "./._b.jpg": b"left by macOS", **stills("./b", "a.1", suffix=suffix)}
    data = read_stills([write_tar(tmp_path / "stills-0.tar", files), write_tar(tmp_path / "s.tar", stills("c"))])
    assert names(data.stills) == ["b", "a.1", "c"]
    assert not caplog.records
    assert all(np.array_equal(frame.decode()[1], labels(1)) for frame in data.stills)


@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 4])
def test_a_shard_that_is_cut_short_is_reported_and_its_complete_pairs_used(
    tmp_path: Path, pieces: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tar(tmp_path / "stills-7.tar", stills("a", "b", "c"))
    sizes = [512 + (len(data) + 511) // 512 * 512 for data in stills("a", "b", "c").values()]
    # within the first header, within a member's data, within a header, between two members, at the end mark
    length = (200, sum(sizes[:4]) + 600, sum(sizes[:4]) + 300, sum(sizes[:4]), sum(sizes))[pieces]
    path.write_bytes(path.read_bytes()[:length])
    found = names(read_pairs(path))
    assert found == [[], ["a", "b"], ["a", "b"], ["a", "b"], ["a", "b", "c"]][pieces]
    [message] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "stills-7.tar' is damaged or cut short" in message and f"only its {len(found)} complete pairs" in message


def test_a_damaged_header_in_the_middle_does_not_pass_for_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tar(tmp_path / "stills-7.tar", stills("a", "b"))
    data = bytearray(path.read_bytes())
    start = data.index(b"b.jpg")
    for damage in (b"\xff" * 400, bytes(512)):  # zeros are what a hole in a download leaves
        data[start : start + len(damage)] = damage
        path.write_bytes(data)
        caplog.clear()
        assert names(read_pairs(path)) == ["a"]
        assert "only its 1 complete pairs" in caplog.text


def test_what_is_no_tar_file_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "stills-000.tar"
    path.write_bytes(b"not a tar file")
    assert read_pairs(path) == read_pairs(tmp_path / "stills-001.tar") == []
    assert "stills-000.tar" in caplog.text and "stills-001.tar" in caplog.text


def test_samples_without_a_partner_are_reported_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {**stills("a"), "lonely.jpg": image(), **stills("b"), "maskonly.png": MASK}
    assert names(read_pairs(write_tar(tmp_path / "stills-0.tar", files))) == ["a", "b"]
    [message] = [record.message for record in caplog.records]
    assert "stills-0.tar': skipped 2 samples" in message and "'lonely'" in message


def video(sequence: str, *frames: str, mask: bytes = MASK) -> dict[str, bytes]:
    return {f"{sequence}/{frame}{end}": data for frame in frames for end, data in ((".webp", image()), (".png", mask))}


def test_videos_are_ordered_and_held_out_ones_left_out(tmp_path: Path) -> None:
    files = {**video("set/b", "00002", "00000"), **video("set/kept", "00000"), **video("a", "00000")}
    first = write_tar(tmp_path / "a-video.tar", files)
    second = write_tar(tmp_path / "b-video.tar", {**video("b", "00001"), **video("kept", "00001")})
    data = read_videos([first, second], held_out=["kept", "elsewhere"])
    assert list(data.videos) == ["a", "b"] and data.held_out == 1
    assert [name.rpartition("/")[2] for name in names(data.videos["b"])] == ["00000", "00001", "00002"]


def test_frames_that_came_before_or_belong_to_no_sequence_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = write_tar(tmp_path / "davis2016.tar", video("b", "0", "1"))
    second = write_tar(tmp_path / "davis2017.tar", {**video("b", "1", "2"), **stills("loose")})
    data = read_videos([first, second])
    assert names(data.videos["b"]) == ["b/0", "b/1", "b/2"] and list(data.videos) == ["b"]
    assert "davis2017.tar': skipped 1 frames whose sequence and name came before" in caplog.text
    assert "davis2017.tar': skipped 1 frames without a folder" in caplog.text and "'loose'" in caplog.text


def test_255_is_void_beside_ids_and_otherwise_the_object(tmp_path: Path) -> None:
    files = {
        **video("ids", "0", mask=palette_png(labels(2, 255))),
        **video("ids", "1"),
        **video("alone", "0", mask=gray_png(labels())),
        **video("alone", "1"),
    }
    data = read_videos([write_tar(tmp_path / "davis.tar", files)])
    assert np.array_equal(data.videos["ids"][0].ids(), labels(2, 255))
    assert np.array_equal(data.videos["ids"][1].ids(), labels(255))
    assert np.array_equal(data.videos["alone"][0].ids(), labels())
    assert np.array_equal(data.videos["alone"][1].ids(), labels(1))


def test_shards_are_known_by_their_names(tmp_path: Path) -> None:
    names = ("stills-1.tar", "stills-0.tar", "davis-x.tar", "my-video-2.tar", "stills-video.tar", "vot.tar")
    for name in (*names, "instances.tar", "instances-video.tar"):
        write_tar(tmp_path / name, {})
    found = [[path.name for path in paths] for paths in find_shards(tmp_path)]
    assert found == [
        ["stills-0.tar", "stills-1.tar", "stills-video.tar"],
        ["instances-video.tar", "instances.tar"],
        ["davis-x.tar", "my-video-2.tar"],
    ]


def test_instances_keep_their_ids_and_255_is_void(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"a.webp": image(".webp"), "a.png": gray_png(labels(1, 7, 255)), **stills("b")}
    path = write_tar(tmp_path / "instances-0.tar", files)
    whole = path.read_bytes()
    data = read_instances([path])
    assert names(data.instances) == ["a", "b"] and not data.stills and not caplog.records
    assert np.array_equal(data.instances[0].decode()[1], labels(1, 7, 255))
    assert np.array_equal(data.instances[1].ids(), labels(255)), "nobody's, not an object"
    path.write_bytes(whole[: whole.index(b"b.jpg") + 600])
    found = names(read_instances([path, tmp_path / "instances-1.tar"]).instances)
    assert found == ["a"] and "instances-0.tar' is damaged" in caplog.text and "instances-1.tar' is" in caplog.text
