"""Without the VOT toolkit its users say what to install."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from vot_workspace.layout import toolkit_stacks
from vot_workspace.toolkit import ToolkitMissingError, toolkit_folder, vot_command


def test_the_folder_holds_the_toolkit() -> None:
    assert (toolkit_folder() / "__main__.py").is_file()


@pytest.mark.parametrize("ask", [toolkit_folder, toolkit_stacks, vot_command])
def test_a_missing_toolkit_is_one_sentence(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolkitMissingError, match=r"install it: pip install 'dmb-tracker\[vot\]'$"):
        ask()


def test_a_folder_that_happens_to_have_its_name_is_not_the_toolkit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vot").mkdir()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None))
    with pytest.raises(ToolkitMissingError):
        toolkit_folder()
