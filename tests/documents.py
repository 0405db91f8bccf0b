"""What the documents tell people to type: code blocks, the commands in them, and what a command needs.

A command runs as it stands (tests/end_to_end/test_documents.py), unless the comment at its end says what it needs:

    pip install -e .   # needs the network
    dmb track 0        # needs a camera and a display: the first camera; draw a box

What is needed is one or several of `NEEDS`, and ends with the comment or one of ":", ";", ".". In Python the first line
of a block says so for the whole block.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.conftest import CHECKOUT

NEEDS = ("a camera", "a display", "the network", "external data", "a GPU", "hours")
SHELLS = ("sh", "bash", "console")
PYTHON = "python"
PROGRAMS = ("dmb", "vot", "python", "pip", "make")  # that the reader of tests/end_to_end/reader.py has
BUILT_IN = (".",)  # of the shell; `. .venv/bin/activate`
NOT_RUN = ("", "text", "ini", "toml", "yaml", "json", "bibtex")  # languages of trees, logs and files
PASSED_OVER = ("build", "demo", "runs")  # folders of the checkout whose Markdown is nobody's document

FENCED = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1``` *$", re.M | re.S)  # indentation, language, code
NEEDED = re.compile(r"\bneeds\b\s*([^:;.]*)")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
TYPED = re.compile(r"(?:^|[|&;$] *)(?:\w+=\S* +)*(?:\.venv/bin/)?(?:dmb|vot|python3?|make|pip) +[\w.'-]", re.M)


class DocumentError(ValueError):
    """A block or comment that is not understood; the message names file, line and remedy."""


@dataclass(frozen=True)
class Command:
    """A command of a shell block."""

    line: int  # in the document, from 1
    text: str  # as it is written, over one or several lines, without its comment
    needs: tuple[str, ...]  # what keeps it from being run

    @property
    def words(self) -> list[str]:
        """The words, without variables that are set before the program's name."""
        words = shlex.split(self.text.replace("\\\n", " "))
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        return words


@dataclass(frozen=True)
class Block:
    """A code block of a document."""

    document: str  # path from the checkout
    line: int  # of its first line of code, from 1
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> list[Command]:
        """The commands of a shell block.

        Raises:
            DocumentError: a comment asks for what is none of `NEEDS`, or belongs to no command.
        """
        found, lines, first = [], [], self.line
        for number, whole in enumerate(self.code.splitlines(), self.line):
            text, comment = split_comment(whole)
            first = first if lines else number
            lines.append(text)
            if text.endswith("\\") and not comment:
                continue
            needs = read_needs(comment, f"{self.document}:{number}")
            command, lines = "\n".join(lines).strip(), []
            if command:
                found.append(Command(first, command, needs))
            elif needs:
                raise DocumentError(f"{self.document}:{number}: '{comment}' stands alone; write it behind its command")
        if lines:
            raise DocumentError(f"{self.document}:{first}: the last line ends with a backslash; complete the command")
        return found

    @property
    def needs(self) -> tuple[str, ...]:
        """What a block of Python needs, by its first line."""
        return read_needs(split_comment(self.code.split("\n", 1)[0])[1], str(self))


def split_comment(line: str) -> tuple[str, str]:
    """A line's code and its comment, which a # outside of quotes begins at a word's start."""
    quote = ""
    for index, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (index == 0 or line[index - 1].isspace()):
            return line[:index].rstrip(), line[index:]
    return line.rstrip(), ""


def read_needs(comment: str, place: str) -> tuple[str, ...]:
    """What a comment says is needed; nothing, where it does not speak of it.

    Raises:
        DocumentError: it names what is none of `NEEDS`.
    """
    needs = []
    for listed in NEEDED.findall(comment):
        for name in re.split(r",\s*(?:and\s+)?|\s+and\s+", listed.strip()):
            if name not in NEEDS:
                raise DocumentError(f"{place}: '{comment}' needs '{name}'; name some of: {', '.join(NEEDS)}")
            needs.append(name)
    return tuple(needs)


def read_blocks(text: str, document: str) -> Iterator[Block]:
    """The code blocks of a document, indented ones without their indentation.

    Raises:
        DocumentError: the language of one is unknown, or commands stand where none are looked for.
    """
    for match in FENCED.finditer(text):
        language, code = match[2].strip(), dedent(match[3])
        block = Block(document, text.count("\n", 0, match.start()) + 2, language, code)
        if language in (*SHELLS, PYTHON):
            yield block
        elif language not in NOT_RUN:
            raise DocumentError(f"{block}: ```{language}; write one of: {', '.join((*SHELLS, PYTHON, *NOT_RUN[1:]))}")
        elif TYPED.search(code):
            raise DocumentError(f"{block}: commands in a block without a language; write ```sh")
    # the other way to write a block
    prose = FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
    for number, line in enumerate(prose.splitlines(), 1):
        if "```" in line:
            raise DocumentError(f"{document}:{number}: a block begins here and does not end as it begins")
        if line.startswith("    ") and TYPED.match(line.strip()):
            raise DocumentError(f"{document}:{number}: '{line.strip()}' is an indented block; write ```sh around it")


def markdown() -> list[Path]:
    """All Markdown files of the checkout, but none of an environment, a cache or a run in it."""
    folders = [path for path in CHECKOUT.iterdir() if path.is_dir() and path.name[0] != "."]
    inside = [path for folder in folders if folder.name not in PASSED_OVER for path in folder.rglob("*.md")]
    return sorted([*CHECKOUT.glob("*.md"), *inside])


def documents() -> dict[str, list[Block]]:
    """The blocks of all documents that have some, by the documents' paths from the checkout."""
    found = {}
    for path in markdown():
        name = path.relative_to(CHECKOUT).as_posix()
        if blocks := list(read_blocks(path.read_text(), name)):
            found[name] = blocks
    return found


def runnable(block: Block) -> bool:
    """Whether anything of a block is run."""
    return not block.needs if block.language == PYTHON else any(not command.needs for command in block.commands)
