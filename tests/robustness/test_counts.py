"""The tables of docs/RELIABILITY.md say what the tests hold, and every test that they and the document name exists."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.conftest import CHECKOUT
from tests.robustness.counts import FAULTS, GROUPS, injected, own_tests, tables
from tests.robustness.test_disks import KINDS

DOCUMENT = CHECKOUT / "docs" / "RELIABILITY.md"
FOLDER = CHECKOUT / "tests" / "robustness"


def test_the_document_has_these_tables() -> None:
    assert tables() in DOCUMENT.read_text(), "copy what `python -m tests.robustness.counts` prints"


def test_there_are_as_many_as_were_asked_for() -> None:
    assert sum(len(group.kinds) for group in GROUPS) >= 60
    assert sum(len(group.kinds) * group.ways for group in GROUPS) >= 500
    for group in GROUPS:
        assert len({str(kind) for kind in group.kinds}) == len(group.kinds)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_injected_by_a_test(fault: str) -> None:
    assert injected(fault) > 0


def test_cases_are_counted_as_pytest_does() -> None:
    assert injected("weights cannot be written: five errors at three places") == 5 * 3
    assert injected("SIGTERM and SIGINT, at four moments") == 2 * 4
    assert injected("the disk is full: weights") == len(KINDS)


def test_every_file_and_test_that_the_document_names_exists() -> None:
    text = DOCUMENT.read_text()
    files = set(re.findall(r"`((?:test_)?\w+\.py)`", text))
    assert len(files) > 10 and not {name for name in files if not (FOLDER / name).exists()}
    modules = [path.stem for path in FOLDER.glob("test_*.py")]
    every = {part for module in modules for name in own_tests(module) for part in name.split(".")}
    for module in modules:
        every |= set(vars(import_module(f"tests.robustness.{module}")))
    named = set(re.findall(r"`((?:Test|test_)\w+)`", text)) | set(re.findall(r"`([A-Z_]{5,})`", text))
    assert named - {"SOAK_OUTPUT", "DMB_THREADS"} <= every
