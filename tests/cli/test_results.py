"""`dmb results`: what it writes, and that a mistake leaves what was written before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.benchmarks import results_sources as made
from tracker.benchmarks import validation
from tracker.cli.main import main

PAGE = "tracker.benchmarks.results_page.page"  # its drawings take time
ROOT = Path(__file__).resolve().parents[2]
ENTRY = {"benchmark": "got10k", "tracker": "DMB", "scores": {"AO": 0.5}, "date": "2026-11-20"}


def test_three_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = made.measured(tmp_path / "kept.json", ENTRY, about="of the server")
    assert main(["results", str(source), "--output", str(tmp_path / "new" / "out")]) == 0
    out = tmp_path / "new" / "out"
    assert sorted(path.name for path in out.iterdir()) == ["RESULTS.md", "results.csv", "results.html"]
    assert "**50.0**" in (out / "RESULTS.md").read_text() and "50.0" in (out / "results.html").read_text()
    assert not any(str(tmp_path) in path.read_text() for path in out.iterdir())  # no folders of this machine
    printed = capsys.readouterr().out
    assert "1 of the 23" in printed and "of the server" in printed


def test_a_mistake_is_one_sentence_and_leaves_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PAGE, lambda *arguments: "a page")
    source = made.measured(tmp_path / "kept.json", ENTRY)
    assert main(["results", str(source), "--output", str(tmp_path / "out")]) == 0
    before = (tmp_path / "out" / "RESULTS.md").read_text()
    wrong = made.write(tmp_path / "wrong.json", {"a": 1})
    capsys.readouterr()
    assert main(["results", str(source), str(wrong), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb results: error: ") and "wrong.json" in error and error.count("\n") == 1
    assert (tmp_path / "out" / "RESULTS.md").read_text() == before
    assert main(["results", str(source), "--output", str(source)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["results"], ["results", "x"], ["results", "--output", "x"]):
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        assert ending.value.code == 2
    assert "--output" in capsys.readouterr().err


def test_the_document_of_the_repository_is_what_the_command_makes_of_its_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "docs" / "results", tmp_path / "docs" / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PAGE, lambda *arguments: "a page")
    assert main(["results", "docs/results", "--output", "docs"]) == 0
    wanted = (tmp_path / "docs" / "RESULTS.md").read_text()
    assert (ROOT / "docs" / "RESULTS.md").read_text() == wanted, "run: dmb results docs/results --output docs"


def test_a_measurement_names_the_commit_of_a_checkout_only(tmp_path: Path) -> None:
    assert validation.commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert validation.commit(tmp_path) is None  # nothing is committed
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert validation.commit(tmp_path) == head[:12]
    (tmp_path / "file").write_text("2")
    assert validation.commit(tmp_path) == f"{head[:12]}-dirty"
