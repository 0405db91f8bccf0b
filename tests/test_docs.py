"""What the documents tell people to type exists: commands, their options, and nothing that was left to be filled in."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tracker.cli.completion import whole_parser
from tracker.cli.main import COMMANDS

DOCUMENTS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)  # language, lines
INLINE = re.compile(r"`(dmb\s[a-z-][^`]*)`")
SHELLS = ("sh", "bash", "console")
PASSED_ON = ("vot",)  # the toolkit's own command line


def markdown() -> list[Path]:
    """All Markdown files of the checkout, but none of an environment, a cache or a run in it."""
    folders = [path for path in CHECKOUT.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "runs"]
    return [*CHECKOUT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]


def commands(line: str) -> Iterator[list[str]]:
    """The words behind every `dmb` in a line of shell, without comments; what is in quotes is one word."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
    words.whitespace_split = True
    found: list[str] | None = None
    for word in [*words, ";"]:
        if set(word) <= set("|;&<>()"):
            if found is not None:
                yield found
            found = None
        elif found is not None:
            found.append(word)
        elif Path(word).name == "dmb":
            found = []


def blocks(text: str) -> list[list[str]]:
    """The commands in code blocks, which are complete."""
    code = "".join(block for language, block in FENCED.findall(text) if language in SHELLS)
    lines = code.replace("\\\n", " ").splitlines()
    return [words for line in lines if re.search(r"\bdmb ", line) for words in commands(line)]


def spans(text: str) -> list[list[str]]:
    """The commands between backticks in running text, which may be shortened."""
    prose = FENCED.sub("", text)
    return [words for span in INLINE.findall(prose) for words in commands(" ".join(span.split()))]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return whole_parser(COMMANDS)


def complaints(parser: argparse.ArgumentParser, words: list[str], *, complete: bool) -> list[str]:
    """What is wrong with a command."""
    line, rest = shlex.join(["dmb", *words]), list(words)
    while below := [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]:
        name = rest.pop(0) if rest else "..."
        if name in PASSED_ON or name.startswith(("-", "...")):
            return []  # --help, --version, or the command in general
        if name not in below[0].choices:
            return [f"{line}: there is no {name}"]
        parser = below[0].choices[name]
    options = {option: action for action in parser._actions for option in action.option_strings}
    given = {word.partition("=")[0] for word in rest if word.startswith("--") and word != "--"}
    found = [f"{line}: there is no {option}" for option in sorted(given - options.keys())]
    if complete and "..." not in rest and not given & {"--help", "--list"}:
        missing = [action.option_strings for action in parser._actions if action.required and action.option_strings]
        found += [f"{line}: lacks {names[0]}" for names in missing if not given & set(names)]
    return found


def test_nothing_was_left_to_be_filled_in() -> None:
    found = markdown()
    assert CHECKOUT / "README.md" in found and CHECKOUT / "weights" / "MODEL_CARD.md" in found
    left = [f"{path}: {line}" for path in found for line in path.read_text().splitlines() if "@@" in line]
    assert not left, "\n".join(left)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_exists(parser: argparse.ArgumentParser, path: Path) -> None:
    text = path.read_text()
    wrong = [text for words in blocks(text) for text in complaints(parser, words, complete=True)]
    wrong += [text for words in spans(text) for text in complaints(parser, words, complete=False)]
    assert not wrong, "\n".join(wrong)


def test_the_documents_are_read_as_meant(parser: argparse.ArgumentParser) -> None:
    block = "```sh\nffmpeg - | .venv/bin/dmb track - \\\n  --box 1,2  # dmb tracks\ncp a b && dmb vot x\n```\n"
    text = f"`dmb score\ndavis --masks`\n{block}"
    assert blocks(text) == [["track", "-", "--box", "1,2"], ["vot", "x"]]
    assert spans(text) == [["score", "davis", "--masks"]]
    assert sum(len(blocks(path.read_text())) for path in DOCUMENTS) > 20

    def said(line: str) -> list[str]:
        return complaints(parser, line.split(), complete=True)

    assert said("benchmark davis --root D --year 2016") == ["dmb benchmark davis --root D --year 2016: lacks --output"]
    assert said("trakc x") == ["dmb trakc x: there is no trakc"]
    assert said("benchmark devis") == ["dmb benchmark devis: there is no devis"]
    assert said("track x --boxs=1,2") == ["dmb track x --boxs=1,2: there is no --boxs"]
    assert not said("vot anything --at all") and not said("workspace --help") and not said("benchmark ...")
