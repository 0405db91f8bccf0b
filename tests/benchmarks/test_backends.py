"""The network in other programs: that all of them are asked the same. No test asks how long anything took."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tracker.benchmarks import backends
from tracker.benchmarks.backends import BACK_ENDS, OURS, PARTS, Row, Setup, measure, prepared
from tracker.network import DMBNet
from tracker.onnx_export import ExportError


@pytest.fixture(scope="module")
def setup() -> Iterator[Setup]:
    torch.manual_seed(0)
    network: DMBNet = DMBNet().eval().requires_grad_(False).to(memory_format=torch.channels_last)  # as it is loaded
    with prepared(network, torch.float32, size=64, frames=2) as found:
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without those that compile for long, or are not among the packages that tests have."""
    for name in ("torch.compile", "openvino"):
        monkeypatch.delitem(BACK_ENDS, name)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("part", PARTS)
def test_all_answer_the_same(setup: Setup, part: str) -> None:
    rows = measure(setup, part, repetitions=2)
    assert [row.name for row in rows] == ["plain", "autocast", OURS, "onnxruntime"]
    for row in rows:
        assert len(row.milliseconds) == 2 and row.difference < 1e-3, row
    assert rows[0].difference == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("part", PARTS)
def test_half_precision_is_near(setup: Setup, part: str) -> None:
    half = Setup(setup.model, torch.bfloat16, setup.inputs, setup.files)
    differences = {row.name: row.difference for row in measure(half, part, repetitions=1)}
    assert 0 < differences[OURS] < 0.05 and 0 < differences["autocast"] < 0.05
    assert differences["onnxruntime"] < 1e-3, "it has float32 only"


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_the_compiler_answers_the_same(setup: Setup, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: BACK_ENDS[name] for name in ("plain", "torch.compile")}
    monkeypatch.setattr(backends, "BACK_ENDS", kept)
    compiled = measure(setup, part, repetitions=1)[1]
    if not compiled.milliseconds and shutil.which("c++") is None:
        pytest.skip(compiled.reason)
    assert compiled.difference < 1e-3, compiled


@pytest.mark.usefixtures("quick")
def test_what_does_not_work_is_left_out_with_its_reason(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(setup: Setup, part: str) -> backends.Run:
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401

        raise AssertionError

    def broken(setup: Setup, part: str) -> backends.Run:
        raise ValueError("no kernel for it\nand more")

    monkeypatch.setitem(BACK_ENDS, "absent", absent)
    monkeypatch.setitem(BACK_ENDS, "broken", broken)
    rows = {row.name: row for row in measure(setup, PARTS[0], repetitions=1)}
    assert rows["absent"].line() == "  absent         not measured: the package no_such_package is not installed"
    assert rows["broken"].line() == "  broken         not measured: no kernel for it"
    assert " ms (" in rows[OURS].line()


def test_no_pass_pays_for_another_layout(setup: Setup) -> None:
    for part in PARTS:
        assert all(array.flags.c_contiguous for array in setup.arrays(part).values())


@pytest.mark.usefixtures("quick")
def test_without_onnx_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def export(*arguments: object, **named: object) -> None:
        raise ExportError("onnx cannot be imported")

    monkeypatch.setattr(backends, "export", export)
    with prepared(DMBNet().eval().requires_grad_(False), torch.float32, size=64, frames=1) as setup:
        rows = {row.name: row for row in measure(setup, PARTS[1], repetitions=1)}
    assert rows["onnxruntime"].reason == "needs the packages onnx and onnxruntime" and rows[OURS].milliseconds


def test_files_are_gone_afterwards() -> None:
    pytest.importorskip("onnx")
    with prepared(DMBNet().eval(), torch.float32, size=64, frames=1) as setup:
        folder = setup.files
        assert "decoder.onnx" in {path.name for path in folder.iterdir()}
    assert not Path(folder).exists()


def test_medians_are_told() -> None:
    assert Row("x", (1.0, 2.0, 9.0), 0.125).line() == (
        "  x                   2.0 ms (10% to 90%: 1.2 to 7.6), differs by 0.1250"
    )
