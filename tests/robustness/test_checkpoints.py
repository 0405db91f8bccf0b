"""Weights files of every kind of damage are refused in one sentence, and no code in them is ever run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.robustness.checks import assert_sentence
from tracker.checkpoints.weights import WeightsError, checksum, load_weights, read_weights
from tracker.cli.main import main

MARK = "code was run"


class Code:
    """Leaves a mark when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.mkdir, (str(self.folder / MARK),)  # type: ignore[return-value]


def safetensors(header: bytes, length: int | None = None, body: bytes = b"") -> bytes:
    """A file by hand: eight bytes of length, header, numbers."""
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def entry(dtype: str = "F16", shape: tuple[int, ...] = (2,), offsets: tuple[int, int] = (0, 4)) -> bytes:
    return json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


def saved(content: object, **options: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=options.get("zipped", True))
    return stream.getvalue()


def good(**changes: str) -> bytes:
    """A small file with the format's name and a true checksum, of another network."""
    from safetensors.torch import save

    tensors = {"decoder.predict.bias": torch.zeros(2, dtype=torch.float16), "x": torch.ones(3)}
    facts = {"format": "dmb-1", "stride_on": "3x3", "coarse_prediction": "yes", "checksum": checksum(tensors)}
    return bytes(save(tensors, metadata=facts | changes))


def bomb() -> bytes:
    """A zip archive that unpacks to a thousand times its size."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(20_000_000))
    return stream.getvalue()


def truncated(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


# kind: contents of the file, given the folder in which code would leave its mark
DAMAGED: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda folder: b"",
    "one byte": lambda folder: b"\x00",
    "eight bytes": lambda folder: bytes(8),
    "zeros": lambda folder: bytes(5000),
    "text": lambda folder: b"these are no weights\n" * 30,
    "Git LFS pointer": lambda folder: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "HTML": lambda folder: b"<!doctype html><title>404</title>",
    "random bytes": lambda folder: random.Random(0).randbytes(3000),
    "header of 2^63 bytes": lambda folder: safetensors(b"{}", 2**63),
    "header of 2^64 - 1 bytes": lambda folder: safetensors(b"{}", 2**64 - 1),
    "header of 100 gigabytes": lambda folder: safetensors(b"{}", 10**11),
    "header longer than the file": lambda folder: safetensors(b"{}", 500),
    "header of no bytes": lambda folder: safetensors(b""),
    "header that is no JSON": lambda folder: safetensors(b"{nothing"),
    "header that is a list": lambda folder: safetensors(b"[]"),
    "header that is no UTF-8": lambda folder: safetensors(b'{"\xff": 1}'),
    "header nested a thousand times": lambda folder: safetensors(b'{"x":' * 1000 + b"1" + b"}" * 1000),
    "no tensors": lambda folder: safetensors(b"{}"),
    "unknown type": lambda folder: safetensors(entry("F999"), body=bytes(4)),
    "shape beyond the bytes": lambda folder: safetensors(entry(shape=(2000,)), body=bytes(4)),
    "shape that overflows": lambda folder: safetensors(entry(shape=(2**40, 2**40)), body=bytes(4)),
    "negative shape": lambda folder: safetensors(entry(shape=(-2,)), body=bytes(4)),
    "offsets beyond the file": lambda folder: safetensors(entry(offsets=(0, 10**12)), body=bytes(4)),
    "offsets reversed": lambda folder: safetensors(entry(offsets=(4, 0)), body=bytes(4)),
    "safetensors of something else": lambda folder: safetensors(entry(), body=bytes(4)),
    "half of a file": lambda folder: truncated(good(), 0.5),
    "a file but its last byte": lambda folder: good()[:-1],
    "a byte too many": lambda folder: good() + b"\0",
    "a flipped bit in the numbers": lambda folder: good()[:-1] + b"\x41",
    "another format": lambda folder: good(format="dmb-99"),
    "unknown stride": lambda folder: good(stride_on="5x5"),
    "unknown position": lambda folder: good(position="multiply"),
    "unknown spatial map": lambda folder: good(spatial_map="color"),
    "checksum of something else": lambda folder: good(checksum="0" * 64),
    "checksum that is none": lambda folder: good(checksum=""),
    "another network": lambda folder: good(),
    "steering characters in the facts": lambda folder: good(format="\x1b[2J\x07\n"),
    "pickle with code": lambda folder: pickle.dumps({"state_dict": Code(folder)}),
    "pickle with code, protocol 0": lambda folder: pickle.dumps(Code(folder), protocol=0),
    "checkpoint with code": lambda folder: saved({"state_dict": {"a": torch.ones(1)}, "x": Code(folder)}),
    "old checkpoint with code": lambda folder: saved({"x": Code(folder)}, zipped=False),
    "checkpoint of something else": lambda folder: saved({"a": torch.ones(2)}),
    "checkpoint of a number": lambda folder: saved(3),
    "checkpoint of nothing": lambda folder: saved({}),
    "checkpoint of text": lambda folder: saved({"state_dict": "none"}),
    "half a checkpoint": lambda folder: truncated(saved({"a": torch.ones(2000)}), 0.5),
    "endless pickle": lambda folder: b"\x80\x02" + b"(" * 5000,
    "pickle that asks for memory": lambda folder: b"\x80\x04\x8e" + struct.pack("<Q", 2**62),
    "zip without a checkpoint": lambda folder: _zip({"readme.txt": b"hello"}),
    "zip that climbs out of its folder": lambda folder: _zip({"../../" + MARK: b"x", "archive/data.pkl": b"x"}),
    "zip that unpacks to a thousand times": lambda folder: bomb(),
}


# words of the loader's reason; of all other kinds: that it is not a safetensors file
REASONS = {
    "no tensors": "is not a DMB weights file",
    "safetensors of something else": "is not a DMB weights file",
    "another format": "is not a DMB weights file .*'dmb-99'",
    "steering characters in the facts": "is not a DMB weights file",
    "a flipped bit in the numbers": "checksum differs",
    "checksum of something else": "checksum differs",
    "checksum that is none": "checksum differs",
    "unknown stride": "stride convention '5x5'",
    "unknown position": "'multiply', which this version of DMB does not know",
    "unknown spatial map": "'color' .*this version of DMB does not know",
    "another network": "belongs to another network",
}


def _zip(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def no_code_was_run(folder: Path) -> bool:
    return not any(MARK in str(path) for path in folder.rglob("*")) and not (folder.parent / MARK).exists()


def test_the_code_would_leave_its_mark(tmp_path: Path) -> None:
    pickle.loads(DAMAGED["pickle with code"](tmp_path))
    assert not no_code_was_run(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_loading_refuses_in_one_sentence(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(DAMAGED[kind](tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    reason = REASONS.get(kind, "is not a readable safetensors file")
    assert_sentence(caught.value, rf"weights file '.*weights{suffix}' ", reason)
    assert no_code_was_run(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("command", ["info", "convert"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_the_commands_refuse_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, command: str, suffix: str
) -> None:
    path, target = tmp_path / f"weights{suffix}", tmp_path / "out.safetensors"
    path.write_bytes(DAMAGED[kind](tmp_path))
    target.write_bytes(b"old")
    options = ["--output", str(target), "--force"] if command == "convert" else []
    assert main(["weights", command, str(path), *options]) == 1
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("dmb weights: error: ")
    assert_sentence(line, rf"'.*weights{suffix}'")
    assert output.out.replace("\n", "").isprintable()
    assert target.read_bytes() == b"old" and sorted(os.listdir(tmp_path)) == ["out.safetensors", path.name]
    assert no_code_was_run(tmp_path)


@pytest.mark.parametrize("command", ["info", "convert"])
@pytest.mark.parametrize("kind", ["missing", "folder", "loop", "too long"])
def test_a_path_without_a_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, command: str
) -> None:
    path = tmp_path / ("x" * 300 if kind == "too long" else kind)
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    assert main(["weights", command, str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert_sentence(line.replace(str(path), "PATH"), "^dmb weights: error: .*PATH")
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert_sentence(str(caught.value).replace(str(path), "PATH"), "PATH")


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64])
def test_numbers_of_another_type(tmp_path: Path, dtype: torch.dtype) -> None:
    """Whatever the type, the checksum is verified and the file is of another network: nothing is half loaded."""
    tensors: dict[str, Tensor] = {"x": torch.ones(3).to(dtype)}
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path, {"format": "dmb-1", "stride_on": "3x3", "checksum": checksum(tensors)})
    assert read_weights(path)[0]["x"].dtype == dtype
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert_sentence(caught.value, r"belongs to another network than one of blocks .* \(missing")


def with_flipped(bit: int, path: Path) -> None:
    content = bytearray(good())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def header_end() -> int:
    return 8 + int(struct.unpack("<Q", good()[:8])[0])


def test_every_flipped_bit_of_the_numbers_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    bits = range(8 * header_end(), 8 * len(good()))
    assert len(bits) == 8 * (2 * 2 + 3 * 4)
    for bit in bits:
        with_flipped(bit, path)
        with pytest.raises(WeightsError, match="checksum differs"):
            read_weights(path)


def test_a_flipped_bit_of_the_header_is_refused_or_leaves_names_and_numbers_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(good())
    expected = checksum(read_weights(path)[0])
    for bit in random.Random(0).sample(range(8 * header_end()), 300):
        with_flipped(bit, path)
        try:
            tensors, _ = read_weights(path)
        except WeightsError as error:
            assert_sentence(error, "weights.safetensors")
        else:
            assert checksum(tensors) == expected
