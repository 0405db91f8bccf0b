"""What makes a folder a workspace: read by the toolkit, and completed without a loss."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import clean_environment
from vot_workspace.configuration import write_configuration, write_workspace
from vot_workspace.layout import read_yaml
from vot_workspace.writer import REGISTRY, STACKS, WorkspaceError


def test_paths_are_quoted_as_yaml_wants_it(tmp_path: Path) -> None:
    registry = tmp_path / "é: #1" / "trackers.ini"
    registry.parent.mkdir()
    registry.write_text("")
    write_workspace(tmp_path / "w", stack="dev.yaml", sequences=["a"], registry=registry)
    raw = (tmp_path / "w" / "config.yaml").read_bytes()
    content = yaml.load(raw.decode("utf-8"), Loader=yaml.BaseLoader)  # as the toolkit does
    assert content == {"registry": ["../é: #1/trackers.ini"], "stack": "dev.yaml", "sequences": "sequences"}


def test_ours_and_the_users_registry_are_named(tmp_path: Path) -> None:
    write_workspace(tmp_path, stack="dev.yaml", sequences=["a", "/b"])
    users, ours = read_yaml(tmp_path / "config.yaml")["registry"]
    assert (tmp_path / ours).resolve() == REGISTRY and users == "./trackers.ini"
    assert (tmp_path / "sequences" / "list.txt").read_text() == "a\n/b\n" and (tmp_path / "results").is_dir()


def test_only_a_workspace_that_is_renewed_loses_changes(tmp_path: Path) -> None:
    write_workspace(tmp_path, stack="dev.yaml", sequences=["a"])
    as_made = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text("stack: dev.yaml\n")
    (tmp_path / "dev.yaml").write_text("experiments: {}\n")
    write_workspace(tmp_path, stack="dev.yaml", sequences=["a", "b"])
    assert (tmp_path / "config.yaml").read_text() == "stack: dev.yaml\n"
    assert (tmp_path / "dev.yaml").read_text() == "experiments: {}\n"
    assert (tmp_path / "sequences" / "list.txt").read_text() == "a\nb\n"
    write_workspace(tmp_path, stack="dev.yaml", sequences=["a"], renew=True)
    assert (tmp_path / "config.yaml").read_text() == as_made
    assert (tmp_path / "dev.yaml").read_bytes() == (STACKS / "dev.yaml").read_bytes()


def test_a_workspace_of_another_stack_and_a_missing_registry_are_told(tmp_path: Path) -> None:
    write_configuration(tmp_path, "vot2018/shortterm")
    with pytest.raises(WorkspaceError, match="is a workspace of the stack 'vot2018/shortterm'; name another folder"):
        write_workspace(tmp_path, stack="dev.yaml", sequences=["a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "results"]
    with pytest.raises(WorkspaceError, match="is missing; make workspaces from a checkout"):
        write_workspace(tmp_path, stack="dev.yaml", sequences=["a"], registry=tmp_path / "none.ini")


def test_what_fails_leaves_a_folder_that_can_be_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: str | bytes) -> None:
        raise OSError(28, os.strerror(28), str(path))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("vot_workspace.configuration.replace_file", full)
        write_workspace(tmp_path, stack="dev.yaml", sequences=["a"])
    assert not list(tmp_path.iterdir())
    write_configuration(tmp_path, "dev.yaml")  # as if it had ended before the stack was there
    write_workspace(tmp_path, stack="dev.yaml", sequences=["a"])
    assert (tmp_path / "dev.yaml").is_file()


@pytest.mark.end_to_end
def test_the_toolkit_does_without_the_users_registry(tmp_path: Path) -> None:
    write_workspace(tmp_path, stack="dev.yaml", sequences=["a"])
    folder = tmp_path / "sequences" / "a"
    (folder / "color").mkdir(parents=True)
    (folder / "color" / "00000001.jpg").write_bytes(b"")
    (folder / "groundtruth.txt").write_text("0,0,9,9\n")
    (folder / "sequence").write_text("channels.color=color/%08d.jpg\nlength=1\nname=a\nwidth=9\nheight=9\n")
    code = "import sys; from vot.workspace import Workspace; print(*Workspace.load(sys.argv[1]).registry.identifiers())"
    words = [sys.executable, "-c", code, str(tmp_path)]
    for mine in ([], ["Mine"]):
        done = subprocess.run(words, env=clean_environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
        assert {"DMB", "MIL"} <= set(done.stdout.split()) and ("Mine" in done.stdout.split()) == bool(mine)
        (tmp_path / "trackers.ini").write_text("[Mine]\nlabel = Mine\nprotocol = traxpython\ncommand = mine\n")
