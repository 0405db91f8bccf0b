"""Completion scripts: bash's is run by bash; all know every command and its options."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tracker.cli import completion
from tracker.cli.main import COMMANDS, main


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash, as the command prints it."""
    path = tmp_path_factory.mktemp("completion") / "dmb.bash"
    with path.open("w") as file:
        subprocess.run([sys.executable, "-m", "tracker.cli.main", "completion", "bash"], stdout=file, check=True)
    return path


def complete(script: Path, line: str, folder: Path) -> list[str]:
    """What bash offers behind a line that ends in an unfinished word."""
    words = line.split(" ")
    code = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        'function=$(complete -p dmb | sed -E "s/.* -F (\\S+) .*/\\1/"); $function dmb; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "--norc", "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dmb doc", ["doctor"]),
        ("dmb ", list(COMMANDS)),
        ("dmb doctor --", ["--help", "--fast", "--json"]),
        ("dmb completion ", ["bash", "zsh", "fish"]),
        ("dmb weights ", ["convert", "info"]),
        ("dmb weights convert --o", ["--output"]),
        ("dmb validate --vot-", ["--vot-sequences"]),
        ("dmb track --po", ["--polygon", "--position"]),
        ("dmb train --trunk x --repo", ["--report-every"]),
        ("dmb score davis --ma", ["--masks"]),
        ("dmb benchmark got10k --sp", ["--split"]),
        ("dmb benchmark got10k --split te", ["test"]),
        ("dmb vot ana", ["analysis"]),
        ("dmb vot analysis --format h", ["html"]),
        ("dmb vot analysis --format ", ["html", "json", "latex", "plots", "yaml"]),
        ("dmb vot report --format ", ["html", "latex", "plots"]),
        ("dmb vot report --w", ["--workspace"]),
        ("dmb vot test --w", []),
    ],
)
def test_bash_completes(script: Path, tmp_path: Path, line: str, expected: list[str]) -> None:
    found = complete(script, line, tmp_path)
    if line == "dmb ":
        assert set(expected) <= set(found)
    elif line.endswith("--"):
        assert sorted(found) == sorted(expected)
    else:
        assert sorted(set(found) - {"-h", "--help"}) == sorted(expected)


def test_bash_completes_files_and_folders(script: Path, tmp_path: Path) -> None:
    (tmp_path / "kite.mp4").touch()
    (tmp_path / "kites").mkdir()
    assert sorted(complete(script, "dmb track kit", tmp_path)) == ["kite.mp4", "kites"]
    assert complete(script, "dmb ablate --output kit", tmp_path) == ["kites"]


def test_bash_accepts_the_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_every_command_has_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    whole = completion.whole_parser(COMMANDS)
    assert capsys.readouterr().err == "", "a command without _parser()"
    (below,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    assert list(below.choices) == list(COMMANDS)
    for name, parser in below.choices.items():
        nested = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
        assert nested or any("--help" in action.option_strings for action in parser._actions), name
        assert nested or len(parser._actions) > 1, name


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in (*COMMANDS, "vot-sequences", "sampling-interval", "got10k"))
    assert printed.startswith({"zsh": "#compdef dmb", "fish": ""}[shell]) and "dmb" in printed
    interpreter = shutil.which(shell)
    if interpreter is not None:
        subprocess.run([interpreter, "-n"], input=printed, text=True, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts for zsh and fish, named as these shells look for them."""
    path = tmp_path_factory.mktemp("shells")
    for shell, name in (("zsh", "_dmb"), ("fish", "dmb.fish")):
        with (path / name).open("w") as file:
            subprocess.run([sys.executable, "-m", "tracker.cli.main", "completion", shell], stdout=file, check=True)
    return path


# a shell on a terminal of its own: what a user types, then a tab, and what the line becomes
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1='> '; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D; print RE''ADY"
zpty -r -m shell text '*READY*'
zpty -w -n shell "$2"$'\\t'
zpty -r -m shell text "*$3*"
print -r -- "$text"
zpty -d shell
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("dmb trac", "dmb track"),
        ("dmb doctor --fa", "dmb doctor --fast"),
        ("dmb track --ove", "dmb track --overwrite"),
        ("dmb benchmark got10k --split te", "dmb benchmark got10k --split test"),
    ],
)
def test_zsh_completes(folder: Path, tmp_path: Path, typed: str, line: str) -> None:
    program = tmp_path / "type.zsh"
    program.write_text(ZSH)
    words = ["zsh", "-f", str(program), str(folder), typed, line]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 0 and line in done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("dmb tr", ["track", "train"]),
        ("dmb doctor --", ["--fast", "--help", "--json"]),
        ("dmb track --po", ["--polygon", "--position"]),
        ("dmb benchmark got10k --split te", ["test"]),
    ],
)
def test_fish_completes(folder: Path, tmp_path: Path, typed: str, expected: list[str]) -> None:
    code = f"source {shlex.quote(str(folder / 'dmb.fish'))}; complete -C {shlex.quote(typed)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = [text.split("\t") for text in done.stdout.splitlines()]
    assert sorted(words[0] for words in found) == expected
    assert all(len(words) == 2 and words[1] for words in found)  # each with its explanation


def test_summaries_are_whole() -> None:
    text = "Tracks a thing\nat 50%: fast; well. More.\n\nAnd more."
    assert completion._first_sentence(text) == "Tracks a thing at 50%%"


def test_a_broken_command_keeps_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    def broken():  # type: ignore[no-untyped-def]
        raise OSError("libcudart.so: cannot open shared object file")

    whole = completion.whole_parser({"train": broken, "doctor": COMMANDS["doctor"]})
    assert "options of `dmb train` are left out (libcudart" in capsys.readouterr().err
    assert "train" in whole.format_help() and "doctor" in whole.format_help()


def test_wrong_usage_and_a_missing_library(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "cmd.exe"])
    assert ended.value.code == 2
    monkeypatch.setitem(sys.modules, "shtab", None)
    capsys.readouterr()
    assert main(["completion", "bash"]) == 1
    caught = capsys.readouterr()
    assert not caught.out and "python -m pip install shtab" in caught.err
