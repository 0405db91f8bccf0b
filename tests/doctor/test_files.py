"""Weights that are damaged, registries that name nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import CHECKOUT
from tests.doctor.findings import only
from tracker.checkpoints.weights import save_weights
from tracker.doctor import files, registry
from tracker.doctor.finding import Finding, Surroundings
from tracker.network import Architecture, DMBNet


def test_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    checksum = save_weights(DMBNet(), path)["checksum"]
    surroundings = Surroundings({"DMB_WEIGHTS": str(path)}, tmp_path)
    found = only(files.weights(surroundings))
    assert found.status == "ok" and checksum[:12] in found.text
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    found = only(files.weights(surroundings))
    assert found.status == "problem" and "its checksum differs" in found.text and found.remedy == "unset DMB_WEIGHTS"
    path.unlink()
    assert "does not exist" in only(files.weights(surroundings)).text

    monkeypatch.setattr("tracker.checkpoints.weights.weights_directories", lambda: (tmp_path, tmp_path))
    monkeypatch.setattr(files, "CHECKOUT", tmp_path)
    assert only(files.weights(Surroundings({}, tmp_path))).status == "problem"
    (tmp_path / ".git").mkdir()
    remedy = only(files.weights(Surroundings({}, tmp_path))).remedy
    assert remedy == f"git -C {tmp_path} checkout -- weights/dmb_r50.safetensors"
    compact = only(files.weights(Surroundings({"DMB_MODEL": "Compact"}, tmp_path)))
    assert compact.remedy == f"git -C {tmp_path} checkout -- weights/dmb_compact.safetensors"


def test_the_projects_own_registry(tmp_path: Path) -> None:
    found = list(registry.registry(Surroundings({}, tmp_path)))
    assert len(found) == 6 and {one.status for one in found} == {"ok"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[A]\nprotocol = traxpython\ncommand = tracker.trax_server\n", None),  # installed, though not in paths
        ("[A]\nprotocol = traxpython\ncommand = mine.server\npaths = sub\n", None),
        ("[A]\nprotocol = traxpython\ncommand = import mine; mine.run()\n", None),
        ("[A]\nprotocol = trax\ncommand = ./start.sh --fast\n", None),
        ("[A]\nprotocol = traxpython\ncommand = mine.other\npaths = sub\n", "no module 'mine.other'"),
        ("[A]\nprotocol = traxpython\ncommand = tracker.trax_server\nenv_DMB_WEIGHTS = ~no-such/w\n", "~no-such"),
        ("[A]\nprotocol = traxpython\n", "there is no command"),
        ("[A]\nprotocol = traxpython\ncommand = tracker.trax_server\nenv_DMB_GATE = maybe\n", "DMB_GATE is 'maybe'"),
        ("[A]\nprotocol = traxpython\ncommand = tracker.trax_server\nenv_DMB_WEIGHTS = /no/file\n", "'/no/file'"),
        ("[A]\nprotocol = traxpython\ncommand = tracker.trax_server\nenv_DMB_WEIGHTS = INI\n", "not a readable"),
        ("[A]\nprotocol = traxpython\ncommand = 100%\n", "write %% for %"),
        ("[A]\nlabel = one\n[A]\nlabel = two\n", "already exists"),
        ("protocol = trax\n", "no section headers"),
    ],
)
def test_a_registry_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str | None) -> None:
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path / "nowhere")
    (tmp_path / "trackers.ini").write_text(text.replace("INI", str(tmp_path / "trackers.ini")))
    (tmp_path / "sub" / "mine").mkdir(parents=True)
    (tmp_path / "sub" / "mine" / "server.py").touch()
    (tmp_path / "start.sh").touch()
    found = only(registry.registry(Surroundings({}, tmp_path)))
    assert found.status == ("ok" if words is None else "problem")
    assert str(tmp_path / "trackers.ini") in found.text and (words is None or words in found.text)
    assert words is None or found.remedy == f"${{EDITOR:-nano}} {tmp_path / 'trackers.ini'}"


def test_without_any_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path)
    assert only(registry.registry(Surroundings({}, tmp_path))).status == "note"


COMPACT = "env_DMB_MODEL = compact\n"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that holds the full model's weights alone."""
    monkeypatch.setattr(
        "tracker.checkpoints.weights.weights_directories", lambda: (tmp_path / "weights", tmp_path / "weights")
    )
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setattr(files, "CHECKOUT", tmp_path)
    for name in ("weights", ".git"):
        (tmp_path / name).mkdir()
    torch.manual_seed(0)
    save_weights(DMBNet(), tmp_path / "weights" / "dmb_r50.safetensors")
    return tmp_path


def entries(folder: Path, *added: str, paths: Path = CHECKOUT, **environ: str) -> list[Finding]:
    """What is found of a registry with an entry for each text that is added to the usual one."""
    usual = f"protocol = traxpython\ncommand = tracker.trax_server\npaths = {paths}\n"
    text = "".join(f"[{number}]\n{usual}{more}" for number, more in enumerate(added))
    (folder / "trackers.ini").write_text(text)
    return list(registry.registry(Surroundings(environ, folder)))


def test_the_weights_of_every_tracker_are_looked_at(small: Path) -> None:
    full, compact = entries(small, "", COMPACT)
    assert full.status == "ok" and compact.status == "problem"
    assert "dmb_compact.safetensors' does not exist" in compact.text and str(small / "trackers.ini") in compact.text
    assert compact.remedy == f"git -C {small} checkout -- weights/dmb_compact.safetensors"
    path = small / "weights" / "dmb_compact.safetensors"
    save_weights(DMBNet(architecture=Architecture.parse("blocks 2-3-4, values 256, decoder 128")), path)
    assert [one.status for one in entries(small, "", COMPACT)] == ["ok", "ok"]
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    full, compact = entries(small, "", COMPACT)
    assert full.status == "ok" and "its checksum differs" in compact.text and compact.remedy.endswith(path.name)


def test_a_tracker_gets_the_environment_too(small: Path) -> None:
    full = str(small / "weights" / "dmb_r50.safetensors")
    plain, compact = entries(small, "", COMPACT, DMB_WEIGHTS=full)
    assert plain.status == "ok" and "holds a full network, and the compact model" in compact.text
    assert compact.remedy == "unset DMB_WEIGHTS"


def test_another_dmb_has_weights_of_its_own(small: Path) -> None:
    (small / "other" / "tracker").mkdir(parents=True)
    (small / "other" / "tracker" / "trax_server.py").touch()
    assert only(entries(small, COMPACT, paths=small / "other")).status == "ok"
    assert only(entries(small, f"{COMPACT}python = {sys.executable}\n", paths=small / "none")).status == "ok"


def test_without_torch_the_rest_of_a_registry_is_looked_at(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tracker.checkpoints.weights", None)
    assert [one.status for one in entries(small, COMPACT, "env_DMB_GATE = maybe\n")] == ["ok", "problem"]


def test_a_misspelt_setting_is_a_note(small: Path) -> None:
    found = only(entries(small, "env_DMB_DEVISE = cpu\n"))
    assert found.status == "note" and "DMB_DEVISE is not a setting of DMB and has no effect" in found.text
    assert "did you mean DMB_DEVICE?" in found.text and found.remedy.endswith("trackers.ini")
