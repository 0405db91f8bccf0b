"""What the documents tell people to type exists: commands, their options, and nothing that was left to be filled in.

Every command is run (tests/end_to_end/test_documents.py), or says what it needs (tests/documents.py).
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.documents import (
    BUILT_IN,
    FENCED,
    PROGRAMS,
    PYTHON,
    SHELLS,
    Block,
    Command,
    DocumentError,
    documents,
    markdown,
    read_blocks,
)
from tests.parsers import whole_parser
from tracker.cli import workspace
from tracker.cli.main import COMMANDS

PLAINLY = {r"\bcuda\b": "a GPU", r"\bdmb track \d+\b": "a camera"}  # what a command needs whatever its comment says
INLINE = re.compile(r"`(dmb\s[a-z-][^`]*)`")
PASSED_ON = ("vot",)  # the toolkit's own command line


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
    code = "".join(block for _, language, block in FENCED.findall(text) if language.strip() in SHELLS)
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
        if rest[:1] == [workspace.FROM_MASKS]:
            parser = workspace._masks_parser()
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


@pytest.mark.parametrize("path", markdown(), ids=lambda path: path.relative_to(CHECKOUT).as_posix())
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
    assert sum(len(blocks(path.read_text())) for path in markdown()) > 60

    def said(line: str) -> list[str]:
        return complaints(parser, line.split(), complete=True)

    assert said("benchmark davis --root D --year 2016") == ["dmb benchmark davis --root D --year 2016: lacks --output"]
    assert said("trakc x") == ["dmb trakc x: there is no trakc"]
    assert said("benchmark devis") == ["dmb benchmark devis: there is no devis"]
    assert said("track x --boxs=1,2") == ["dmb track x --boxs=1,2: there is no --boxs"]
    assert not said("vot anything --at all") and not said("workspace --help") and not said("benchmark ...")


def unready(block: Block) -> list[str]:
    """What keeps a block from being run, and is not said in it."""
    if block.language == PYTHON:
        try:
            compile(block.code, str(block), "exec")
        except SyntaxError as error:
            return [f"{block}: {error}"]
        return []
    targets = re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), re.M)
    found = []
    for command in block.commands:
        place = f"{block.document}:{command.line}"
        read = subprocess.run(["bash", "-n", "-c", command.text], capture_output=True, text=True)
        if read.returncode:
            found.append(f"{place}: bash does not understand it: {read.stderr}")
            continue
        words = command.words
        names = [word.rpartition("/")[2] for word in words]
        downloads = "pip" in names and "check" not in names
        if not command.needs and (downloads or not names or names[0] not in (*PROGRAMS, *BUILT_IN)):
            found.append(f"{place}: '{command.text}' is run by no test; say what it needs: # needs the network")
        for pattern, need in PLAINLY.items():
            if re.search(pattern, command.text) and need not in command.needs:
                found.append(f"{place}: '{command.text}' needs {need}; say so: # needs {need}")
        if names[:1] == ["make"]:
            asked = [word for word in words[1:] if "=" not in word]
            found += [f"{place}: there is no make {target}" for target in asked if target not in targets]
    return found


def test_every_command_is_run_or_says_what_it_needs() -> None:
    found = documents()
    wrong = [text for blocks in found.values() for block in blocks for text in unready(block)]
    assert not wrong, "\n".join(wrong)
    assert {"README.md", "CONTRIBUTING.md", "vot_workspace/README.md", "weights/MODEL_CARD.md"} < found.keys()
    shells = [block for blocks in found.values() for block in blocks if block.language in SHELLS]
    assert sum(not command.needs for block in shells for command in block.commands) > 60


def shell(*lines: str) -> Block:
    """The block that these lines are, in a document of a title and an empty line."""
    (block,) = read_blocks("\n".join(["# Title", "", "```sh", *lines, "```", ""]), "a.md")
    return block


def test_what_a_command_needs_is_read_from_its_comment() -> None:
    block = shell(
        "DMB_THREADS=1 dmb track x \\",
        "  --box '1 # 2'  # a box",
        "# a comment of its own",
        "dmb track 0   # needs a camera and a display: the first one",
        "pip install x # from PyPI; needs the network",
        "dmb train x # needs external data, a GPU, and hours",
    )
    assert str(block) == "a.md:4"
    assert block.commands == [
        Command(4, "DMB_THREADS=1 dmb track x \\\n  --box '1 # 2'", ()),
        Command(7, "dmb track 0", ("a camera", "a display")),
        Command(8, "pip install x", ("the network",)),
        Command(9, "dmb train x", ("external data", "a GPU", "hours")),
    ]
    assert block.commands[0].words == ["dmb", "track", "x", "--box", "1 # 2"]
    (script,) = read_blocks("- x\n  ```python\n  # needs a GPU\n  print(1)\n  ```\n", "a.md")
    assert script.needs == ("a GPU",) and script.code == "# needs a GPU\nprint(1)\n" and script.line == 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```sh\ndmb x # needs a screen\n```", "a.md:2: '# needs a screen' needs 'a screen'; name some of: a camera"),
        ("```sh\ndmb x # needs\n```", "a.md:2: '# needs' needs ''"),
        ("```sh\n# needs a GPU\ndmb x\n```", "a.md:2: '# needs a GPU' stands alone"),
        ("```sh\ndmb x \\\n```", "a.md:2: the last line ends with a backslash"),
        ("\n```fish\ndmb x\n```", "a.md:3: ```fish; write one of: sh"),
        ("```\ndmb x\n```", "a.md:2: commands in a block without a language"),
        ("```\nDMB_X=1 .venv/bin/dmb x\n```", "a.md:2: commands in a block without a language"),
        ("```text\n$ make x\n```", "a.md:2: commands in a block without a language"),
        ("```sh\ndmb x", "a.md:1: a block begins here and does not end"),
        ("text\n\n    dmb x\n", "a.md:3: 'dmb x' is an indented block"),
    ],
)
def test_a_block_that_would_slip_through_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(DocumentError) as error:
        for block in read_blocks(f"{text}\n", "a.md"):
            _ = block.commands
    assert str(error.value).startswith(complaint), error.value


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("curl -O https://a.b/c", "is run by no test; say what it needs"),
        ("python -m pip install x", "is run by no test"),
        (".venv/bin/pip install x", "is run by no test"),
        ("python -m venv x && x/bin/pip install y", "is run by no test"),
        ("make toast", "there is no make toast"),
        ("DMB_DEVICE=cuda dmb track x --box 1,2,3,4", "say so: # needs a GPU"),
        ("dmb track 0 --box 1,2,3,4", "say so: # needs a camera"),
        ("dmb 'x", "bash does not understand it"),
    ],
)
def test_a_command_that_no_test_can_run_must_say_so(line: str, complaint: str) -> None:
    (found,) = unready(shell(line))
    assert found.startswith("a.md:4: ") and complaint in found
    if "needs" in complaint:
        assert not unready(shell(f"{line}  # needs the network, a GPU and a camera"))


def test_every_file_of_the_tracker_has_a_room() -> None:
    text = (CHECKOUT / "docs" / "ARCHITECTURE.md").read_text()
    rooms = {name for line in text.splitlines() if line.startswith("| `") for name in line.split("|")[1].split("`")}
    files = {path.name for path in (CHECKOUT / "tracker").glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in (CHECKOUT / "tracker").glob("*/__init__.py")}
    assert files <= rooms and folders - {"_weights/"} <= rooms, sorted((files | folders) - rooms)
