"""Right masks beside the answers: overlaps by hand, folders that cannot be used, and `dmb track --truth`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.media.clips import SIZE, StillTracker, answer, scene, square, write_clip
from tracker.cli import track
from tracker.data.masks import write_ids
from tracker.media.frames import Frame, Selection, SourceError
from tracker.media.truth import Truth

HERE, THERE = square(2, 2, 10), square(40)  # two objects that do not touch
FIRST = Frame(0, 0.0, scene(10))


def ids_of(**objects: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Ids H x W of masks by the names id1, id2, ..."""
    ids = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for name, mask in objects.items():
        ids[mask] = int(name.removeprefix("id"))
    return ids


def test_overlaps_by_hand(tmp_path: Path) -> None:
    Image.fromarray(square(10).astype(np.uint8) * 255).save(tmp_path / "00003.png")
    truth, first, second = Truth(tmp_path), answer(square(10)), answer(square(20))
    assert truth.overlaps(3, {1: first}) == {1: 1.0}
    assert truth.overlaps(3, {7: second}) == {7: pytest.approx(10 / 30)}  # 10 of 20 columns in common
    assert truth.overlaps(4, {1: first}) == {}


def test_several_objects_have_ids(tmp_path: Path) -> None:
    ids = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    ids[square(2, 2, 10)], ids[square(40)] = 1, 5
    write_ids(tmp_path / "00000.png", ids)
    answers = {1: answer(square(2, 2, 10)), 5: answer(square(45)), 6: answer(np.zeros(ids.shape, np.bool_))}
    found = Truth(tmp_path).overlaps(0, answers)
    assert found == {1: 1.0, 5: pytest.approx(15 / 24), 6: 1.0}


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SourceError, match=r"which holds no masks; name a folder with 00000\.png"):
            Truth(folder)
    (tmp_path / "00000.png").write_bytes(b"damaged")
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "00001.png")
    truth = Truth(tmp_path)
    with pytest.raises(SourceError, match=r"00000\.png' is damaged or not an image; give a PNG file"):
        truth.overlaps(0, {1: answer(square(3))})
    with pytest.raises(SourceError, match=r"00001\.png' has 6 x 4 pixels, the frame 64 x 48; give masks"):
        truth.overlaps(1, {1: answer(square(3))})


def test_one_object_is_its_own_id_among_several(tmp_path: Path) -> None:
    write_ids(tmp_path / "00000.png", ids_of(id1=HERE))  # alone here: only another frame shows that there are two
    write_ids(tmp_path / "00001.png", ids_of(id1=HERE, id2=THERE))
    write_ids(tmp_path / "00002.png", ids_of(id2=THERE))
    truth = Truth(tmp_path)
    truth.check(FIRST, [1])
    for frame in range(2):
        assert truth.overlaps(frame, {1: answer(HERE)}) == {1: 1.0}
    assert truth.overlaps(2, {1: answer(THERE)}) == {1: 0.0}
    other = Truth(tmp_path)
    assert other.overlaps(1, {2: answer(THERE)}) == {2: 1.0}
    with pytest.raises(SourceError, match=r"hold the ids 1, 2, and the tracked objects are 3; give masks with these"):
        Truth(tmp_path).check(FIRST, [3])


def test_one_object_alone_is_whatever_is_not_0(tmp_path: Path) -> None:
    write_ids(tmp_path / "00000.png", ids_of(id5=HERE))
    truth = Truth(tmp_path)
    truth.check(FIRST, [1])
    assert truth.overlaps(0, {1: answer(HERE)}) == {1: 1.0}
    Image.fromarray(HERE.astype(np.uint8) * 255).save(tmp_path / "00000.png")
    Truth(tmp_path).check(FIRST, [1])
    with pytest.raises(SourceError, match=r"hold the ids 255, and the tracked objects are 1, 2; .* track one object"):
        Truth(tmp_path).check(FIRST, [1, 2])


@pytest.mark.parametrize("others", [[], [2]])
def test_void_beside_ids_counts_neither_way(tmp_path: Path, others: list[int]) -> None:
    write_ids(tmp_path / "00000.png", ids_of(id255=THERE))  # void alone in its frame
    write_ids(tmp_path / "00001.png", ids_of(id1=HERE, id255=THERE))
    truth = Truth(tmp_path)
    truth.check(FIRST, [1, *others])
    rest = {number: answer(np.zeros_like(HERE)) for number in others}
    assert truth.overlaps(0, {1: answer(np.zeros_like(HERE)), **rest})[1] == 1.0
    assert truth.overlaps(1, {1: answer(HERE), **rest})[1] == 1.0
    assert truth.overlaps(1, {1: answer(HERE | THERE), **rest})[1] == 1.0


@pytest.mark.parametrize("name", ["0.png", "0000.png", "00000000.png"])
def test_files_are_known_by_their_number(tmp_path: Path, name: str) -> None:
    write_ids(tmp_path / name, ids_of(id1=HERE))
    truth = Truth(tmp_path)
    assert truth.overlaps(0, {1: answer(HERE)}) == {1: 1.0} and truth.matched == 1
    write_ids(tmp_path / "000.png", ids_of(id1=HERE))
    with pytest.raises(SourceError, match=rf"'{min('000.png', name)}' and '.*' are both of frame 0; keep one of them"):
        Truth(tmp_path)


def test_colors_and_soft_borders_are_no_ids(tmp_path: Path) -> None:
    Image.fromarray(ids_of(id100=HERE, id255=THERE)).save(tmp_path / "00000.png")
    with pytest.raises(SourceError, match=r"00000\.png' holds values between black and white"):
        Truth(tmp_path).check(FIRST, [1])


def test_masks_of_frames_that_are_not_tracked_are_not_read(tmp_path: Path) -> None:
    for number in (0, 3, 8):
        (tmp_path / f"{number}.png").write_bytes(b"damaged")
    write_ids(tmp_path / "2.png", ids_of(id1=HERE))
    truth = Truth(tmp_path, Selection(2, 8, 2))
    truth.check(FIRST, [1])
    assert truth.overlaps(2, {1: answer(HERE)}) == {1: 1.0} and truth.overlaps(4, {1: answer(HERE)}) == {}
    with pytest.raises(SourceError, match=r"8\.png' is damaged or not an image"):
        Truth(tmp_path, Selection(8)).check(FIRST, [1])


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`dmb track` of three frames into "out" with a still tracker, compared with the masks in "right"."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tracker.media.page.write_page", lambda path, **facts: path.write_text("page"))
    write_clip(tmp_path / "clip.mkv", [scene(10)] * 3)
    (tmp_path / "right").mkdir()
    words = ["clip.mkv", "--box", "10,14,20,20", "--page", "--boxes", "--output", "out", "--truth", "right"]
    load = lambda settings: StillTracker  # noqa: E731
    return lambda *more: track.main([*words, *more], load=load, environ={})  # type: ignore[arg-type, return-value]


def test_a_wrong_truth_costs_no_results(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ids(tmp_path / "right" / "00000.png", ids_of(id1=HERE))
    assert command() == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    for ids, sentence in (
        (np.ones((4, 6), np.uint8), "has 6 x 4 pixels, the frame 64 x 48; give masks of the frames' size"),
        (ids_of(id2=HERE, id3=THERE), "the masks in 'right' hold the ids 2, 3, and the tracked objects are 1"),
    ):
        write_ids(tmp_path / "right" / "00000.png", ids)
        assert command("--overwrite") == 1
        captured = capsys.readouterr()
        assert captured.err.startswith("dmb track: error: ") and sentence in captured.err
        assert captured.err.count("\n") == 1 and not captured.out
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_truth_that_fits_no_frame_is_told(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (7, 12):
        write_ids(tmp_path / "right" / f"{number}.png", ids_of(id1=HERE))
    assert command() == 0
    assert capsys.readouterr().err == (
        "dmb track: warning: no frame that was tracked has a mask in 'right', so there is no IoU; its files are of the "
        "frames 7 to 12, and frames count from 0\n"
    )
    write_ids(tmp_path / "right" / "2.png", ids_of(id1=HERE))
    assert command("--overwrite") == 0 and not capsys.readouterr().err
