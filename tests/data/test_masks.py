"""What the numbers and colors in a mask's file mean, for every kind of file, and for every command that reads masks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.cli.test_ablate import Toolkit, call, toolkit, weights  # noqa: F401  # fixtures
from tests.data.mask_files import (
    BOTH,
    NOBODY,
    ONE,
    REFUSED,
    SEVERAL,
    SHAPE,
    SINGLE,
    TWO,
    encoded,
    ids,
)  # fmt: skip
from tests.media.clips import StillTracker, answer
from tracker.cli import ablate, benchmark_failures, track, validate
from tracker.data.masks import VOID, MaskError, MaskReader, covers_edges, objects_of, write_ids
from tracker.data.sequences import LabelledFrame, MaskSequence, open_sequences
from tracker.media.truth import Truth

KINDS = {**SEVERAL, **SINGLE}
Record = list[tuple[int, int]]  # pixels of the object and of void, frame by frame


def sequence(folder: Path, content: bytes, count: int = 3) -> Path:
    """The same mask for every picture of a sequence, in the layout of `--masks`."""
    (folder / "one").mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.full((*SHAPE, 3), 90, np.uint8)).save(folder / "one" / f"{index:05d}.jpg")
        (folder / "one" / f"{index:05d}.png").write_bytes(content)
    return folder


@pytest.mark.parametrize("kind", SEVERAL)
def test_two_objects_and_void_in_any_file(kind: str) -> None:
    notes: list[str] = []
    read = MaskReader(notes.append).decode(SEVERAL[kind](), "it")
    small, large = objects_of(read)
    first, second = (large, small) if kind == "a large id beside a small one" else (small, large)
    assert np.array_equal(read == first, ids(1, 0) > 0) and np.array_equal(read == second, ids(0, 2) > 0)
    assert (read == VOID).sum() == 64 and np.all(read[NOBODY] == VOID) and not notes
    if "large id" in kind:
        assert (first, second) == ((300, 2) if "beside" in kind else (1001, 2001))
    else:
        assert (first, second) == (1, 2)


@pytest.mark.parametrize("kind", SINGLE)
def test_one_object_in_any_file(kind: str) -> None:
    read = MaskReader().decode(SINGLE[kind](), "it")
    assert len(objects_of(read)) == 1 and np.array_equal(read > 0, BOTH)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_mask_is_one_sentence(kind: str) -> None:
    make, words = REFUSED[kind]
    with pytest.raises(MaskError, match=rf"^mask 'a.png' .*{words}") as error:
        MaskReader(print).decode(make(), "mask 'a.png'")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("one", "two", "palette", "transparent", "told"),
    [
        (0, 0, [[255] * 3, [0] * 3], None, "index 1 is black and index 0 is not"),
        (0, 2, [[200, 30, 30], [0] * 3, [30, 200, 30]], None, "index 1 is black and index 0 is not"),
        (0, 0, [[255, 200, 200], [60] * 3], 1, "index 1 is transparent and index 0 is not"),
    ],
)
def test_a_background_that_is_not_index_0_is_told(
    one: int, two: int, palette: list[list[int]], transparent: int | None, told: str
) -> None:
    """An image tool's "convert to indexed" numbers the colors as it likes."""
    indices = np.ones(SHAPE, np.uint8)
    indices[ONE], indices[TWO] = one, two
    image, stream = Image.fromarray(indices), io.BytesIO()
    image.putpalette(np.array(palette, np.uint8).tobytes())
    image.save(stream, "png", **({} if transparent is None else {"transparency": transparent}))
    notes: list[str] = []
    read = MaskReader(notes.append).decode(stream.getvalue(), "it")
    assert np.array_equal(read > 0, BOTH) and len(objects_of(read)) == len({one, two})
    assert len(notes) == 1 and told in notes[0]
    with pytest.raises(MaskError, match=rf"{told}.*; save it as an indexed PNG"):
        MaskReader().decode(stream.getvalue(), "it")


def test_colors_keep_their_numbers_through_a_sequence() -> None:
    colors = np.array([(0, 0, 0), (250, 10, 10), (10, 250, 10), (10, 10, 250)], np.uint8)
    notes: list[str] = []
    reader = MaskReader(notes.append)
    first = reader.decode(encoded(colors[ids(1, 2)]), "first")
    assert np.all(first[ONE] == 2) and np.all(first[TWO] == 1), "numbered by their values"
    later = reader.decode(encoded(colors[ids(3, 1)]), "later")
    assert np.all(later[ONE] == 3) and np.all(later[TWO] == 2)
    assert "every color is an object: #0afa0a is 1, #fa0a0a is 2" in notes[0] and "#0a0afa is 3" in notes[1]


def test_stored_numbers_of_few_bits_are_the_ids() -> None:
    """Optimizers of PNG files store gray in 2 or 4 bits, where they can."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = ids(1, 3).reshape(SHAPE[0], -1, 4)
    packed = rows[..., 0] << 6 | rows[..., 1] << 4 | rows[..., 2] << 2 | rows[..., 3]
    lines = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in packed)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 2, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    assert objects_of(MaskReader().decode(content, "it")) == [1, 3]


def test_ids_and_their_colors_are_in_the_file(tmp_path: Path) -> None:
    numbers = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_ids(tmp_path / "00000.png", numbers)
    assert [path.name for path in tmp_path.iterdir()] == ["00000.png"]
    with Image.open(tmp_path / "00000.png") as image:
        assert image.mode == "P" and image.format == "PNG"
        assert np.array_equal(np.asarray(image), numbers)
        colors = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert colors[[0, 1, 2, 9, 21]].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [191, 0, 0], [128, 64, 128]]
    assert colors[[22, 200, 255]].tolist() == [[22] * 3, [200] * 3, [255] * 3]


def test_large_ids_are_written_and_read(tmp_path: Path) -> None:
    write_ids(tmp_path / "1.png", ids(1001, 2001, dtype=np.int32))
    assert np.array_equal(MaskReader().read(tmp_path / "1.png"), ids(1001, 2001, dtype=np.int32))


def test_a_mask_of_the_background_covers_the_edges() -> None:
    assert covers_edges(~BOTH) and not covers_edges(BOTH)
    touching = np.zeros(SHAPE, np.bool_)
    touching[20:] = True  # an object that the image cuts off on three sides
    assert not covers_edges(touching)


# every command that reads masks


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Record:
    """What the commands get to see of a sequence's masks."""
    record: Record = []
    frames = MaskSequence.frames

    def watched(self: MaskSequence, *arguments: Any) -> Iterator[LabelledFrame]:
        for frame in frames(self, *arguments):
            record.append((int(frame.mask.sum()), 0 if frame.void is None else int(frame.void.sum())))
            yield frame

    monkeypatch.setattr(MaskSequence, "frames", watched)
    return record


def run_validate(folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("tracker.checkpoints.weights.read_weights", lambda path: ({}, {"checksum": "c0ffee"}))
    (output / "w.safetensors").write_bytes(b"weights")
    environ = {"DMB_WEIGHTS": str(output / "w.safetensors"), "DMB_DEVICE": "cpu"}
    load: Any = lambda settings: StillTracker()  # noqa: E731
    return validate.main(["--masks", str(folder), "--init", "mask"], load=load, environ=environ)


def run_failures(folder: Path, output: Path, _: object) -> int:
    load: Any = lambda settings: StillTracker()  # noqa: E731
    return benchmark_failures.main(["--masks", str(folder), "--output", str(output)], load=load, environ={})


@pytest.mark.parametrize("command", [run_validate, run_failures])
@pytest.mark.parametrize("kind", KINDS)
def test_benchmarks_see_the_objects_without_void(
    tmp_path: Path, kind: str, command: Callable[..., int], seen: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(sequence(tmp_path / "masks", KINDS[kind]()), tmp_path, monkeypatch) == 0
    assert seen == [(200, 64 if kind in SEVERAL else 0)] * 3


def test_an_ablation_sees_the_objects_without_void(
    tmp_path: Path,
    toolkit: Toolkit,  # noqa: F811
    call: list[str],  # noqa: F811
    seen: Record,
) -> None:
    masks = sequence(tmp_path / "masks", SEVERAL["indexed"]())
    load: Any = lambda settings: StillTracker()  # noqa: E731
    assert ablate.main([*call[:-1], "--masks", str(masks)], environ={}, load=load) == 0
    assert seen and set(seen) == {(200, 64)}


@pytest.mark.parametrize("kind", REFUSED)
def test_benchmarks_refuse_what_is_no_mask(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = REFUSED[kind]
    assert run_validate(sequence(tmp_path / "masks", make()), tmp_path, monkeypatch) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb validate: error: mask '") and words in error and error.count("\n") == 1


def test_void_alone_in_a_frame_stays_void(tmp_path: Path) -> None:
    """The object has left, and what is marked is nobody's."""
    folder = sequence(tmp_path / "masks", SEVERAL["indexed"]())
    write_ids(folder / "one" / "00002.png", ids(0, 0, VOID))
    with open_sequences(folder) as sequences:
        frames = list(sequences["one"].frames())
    assert not frames[2].mask.any() and frames[2].void is not None and frames[2].void.sum() == 64


def test_an_inverted_mask_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_sequences(sequence(tmp_path / "masks", encoded((~BOTH).astype(np.uint8) * 255))) as sequences:
        list(sequences["one"].frames())
    note = capsys.readouterr().err
    assert "covers the image's edges; is the object marked, and not the background?" in note and note.count("\n") == 1


def run_track(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, truth: bytes = b""
) -> tuple[int, dict[str, NDArray]]:
    """`dmb track --mask` of a still tracker; its exit code, and the masks that it writes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    for index in range(2):
        Image.fromarray(np.full((*SHAPE, 3), 90, np.uint8)).save(tmp_path / "frames" / f"{index}.jpg")
    (tmp_path / "mask.png").write_bytes(content)
    words = ["frames", "--mask", "mask.png", "--output", "out", "--masks", "--boxes"]
    code = track.main(words, load=lambda settings: StillTracker, environ={})  # type: ignore[arg-type, return-value]
    files = sorted((tmp_path / "out" / "masks").iterdir()) if code == 0 else []
    return code, {path.name: MaskReader().read(path) for path in files}


@pytest.mark.parametrize("kind", KINDS)
def test_track_follows_every_object_by_its_id(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, masks = run_track(tmp_path, KINDS[kind](), monkeypatch)
    assert code == 0 and list(masks) == ["00000.png", "00001.png"]
    expected = {"large ids": (1001, 2001), "large ids as RGB": (1001, 2001), "a large id beside a small one": (300, 2)}
    for mask in masks.values():
        if kind in SINGLE:
            assert np.array_equal(mask, BOTH.astype(int))
        else:
            assert np.array_equal(mask, ids(*expected.get(kind, (1, 2)), dtype=np.int32))


@pytest.mark.parametrize("kind", REFUSED)
def test_track_refuses_what_is_no_mask(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_track(tmp_path, REFUSED[kind][0](), monkeypatch)[0] == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb track: error: --mask mask.png: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_truth_scores_every_object_without_void(tmp_path: Path, kind: str) -> None:
    (tmp_path / "0.png").write_bytes(KINDS[kind]())
    truth = Truth(tmp_path, note=print)
    void = np.zeros(SHAPE, np.bool_)
    void[NOBODY] = kind in SEVERAL  # an answer there counts neither for nor against
    if kind in SINGLE:
        assert truth.overlaps(0, {1: answer(BOTH | void)}) == {1: 1.0}
        return
    one, two = objects_of(MaskReader().read(tmp_path / "0.png"))
    right = {one: ids(1, 0) > 0, two: ids(0, 2) > 0}
    if kind == "a large id beside a small one":
        right = {one: right[two], two: right[one]}
    answers = {one: answer(right[one] | void), two: answer(right[one])}
    assert truth.overlaps(0, answers) == {one: 1.0, two: 0.0}
