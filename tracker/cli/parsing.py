"""The command line's parser: help that fits the terminal, and one sentence for what is misspelt or missing."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from tracker.cli.ending import USAGE

WIDEST = 100  # columns of help on a wide terminal
HELP_COLUMN = 26  # where the explanation of an option begins
NEAR = 0.7  # likeness of what may have been meant, 0 to 1
NUMBERS: dict[object, str] = {int: "whole number", float: "number"}
COLUMN = re.compile(r"(?:-(?= )|\S.*?\S {2,}|\S+ {2,})(?= *\S)")  # a bullet, or what stands left of an explanation


def help_width() -> int:
    """Columns that help may have here."""
    return max(40, min(WIDEST, shutil.get_terminal_size().columns - 2))


def reflow(text: str, width: int) -> str:
    """Fit text to a width.

    Lines that begin at the left margin flow into paragraphs. An indented line is an entry of its own; what does not
    fit, and more deeply indented lines below it, hang under its explanation.
    """
    filled: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        entries: list[tuple[str, int, str]] = []  # indentation, hanging indentation, words
        for line in block.split("\n"):
            words = line.strip()
            indent = len(line) - len(line.lstrip())
            before = entries[-1] if entries else None
            if before is not None and (indent == before[1] > 0 or indent == 0 == len(before[0])):
                entries[-1] = (before[0], before[1], f"{before[2]} {words}")
                continue
            hang = indent
            if indent:
                head = COLUMN.match(words)
                hang += (2 if head[0] == "-" else head.end()) if head else 2
            entries.append((" " * indent, hang, words))
        for indentation, hang, words in entries:
            hanging = " " * (hang if hang <= width // 2 else len(indentation) + 2)
            filled += textwrap.wrap(
                words, width, initial_indent=indentation, subsequent_indent=hanging,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        filled.append("")
    return "\n".join(filled[:-1])


def meant(word: str, known: Iterable[str]) -> str:
    """The one of the known words that a misspelt one may stand for; empty where none is near."""
    names = list(known)
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    near = begun or difflib.get_close_matches(word.lower(), names, n=1, cutoff=NEAR)
    return near[0] if near else ""


def advice(word: str, known: Iterable[str]) -> str:
    """What to type instead of a word that is none of the known ones."""
    names = list(known)
    near = meant(word, names)
    return f"did you mean {near}?" if near else f"use one of: {', '.join(names)}"


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Fits descriptions to the terminal, and shows the default of every option that has one."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=HELP_COLUMN, width=help_width())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.indent(reflow(text, width - len(indent)), indent)

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shown = action.default not in (None, False, argparse.SUPPRESS) and action.default != []
        return f"{text} (default: %(default)s)" if action.option_strings and shown and "default" not in text else text


class Parser(argparse.ArgumentParser):
    """As argparse's, but names are never abbreviated, and mistakes are one sentence, with what may have been meant."""

    def __init__(self, **options: Any) -> None:
        usual: dict[str, Any] = {"formatter_class": Formatter, "allow_abbrev": False}
        super().__init__(**usual | options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and end the process."""
        message = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        if missing:
            message = f"{missing[1]} must be given; see {self.prog} --help"
        self.exit(USAGE, f"{self.prog}: error: {message}\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Read the command line. Misspelt options come first: a missing one may be just that."""
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        if self._subparsers is None and not {"-h", "--help"} & set(options):
            for word in options:
                if word.startswith("--") and word.partition("=")[0] not in self._option_string_actions:
                    self._refuse(word)
        return super().parse_known_args(words, namespace)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Read the command line; whatever is wrong with it ends the process."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            self._refuse(rest[0])
        return found

    def _refuse(self, word: str) -> NoReturn:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            self.error(f"'{word}' is one argument too many; see {self.prog} --help")
        near = meant(name, (option for option in self._option_string_actions if option.startswith("--")))
        self.error(f"unknown option {name}; " + (f"did you mean {near}?" if near else f"see {self.prog} --help"))

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            kind = NUMBERS.get(action.type)
            if kind is None:
                raise
            raise argparse.ArgumentError(action, f"'{arg_string}' is not a {kind}") from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        told = advice(str(value), map(str, action.choices))
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, f"there is no command '{value}'; {told}")
        raise argparse.ArgumentError(action, f"'{value}' is not possible; {told}")
