"""The parsers of all commands in one, so that documents can be held against them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tracker.cli.benchmark import BENCHMARKS


def whole_parser(commands: Mapping[str, Callable[[], Callable[..., int]]]) -> argparse.ArgumentParser:
    """A parser with all commands below it; those without a parser of their own are there by name.

    Args:
        commands: as `tracker.cli.main.COMMANDS`.
    """
    whole = argparse.ArgumentParser(prog="dmb")
    whole.add_argument("--version", action="store_true")
    below = whole.add_subparsers()
    for name, load in commands.items():
        if name == "benchmark":
            deeper = below.add_parser(name).add_subparsers()
            for key, inner in BENCHMARKS.items():
                _add(deeper, key, inner())
        else:
            _add(below, name, load())
    return whole


def _add(below: Any, name: str, main: Callable[..., int]) -> None:
    function, given = (main.func, main.args) if isinstance(main, partial) else (main, ())
    module = sys.modules[function.__module__]
    make = getattr(module, "_parser", None) or getattr(module, "parser", None)
    if make is None:
        below.add_parser(name)
        return
    made = make(*(module.BENCHMARKS[key] for key in given))
    _copy(below, name, made[0] if isinstance(made, tuple) else made)


def _copy(below: Any, name: str, parser: argparse.ArgumentParser) -> None:
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        below.add_parser(name, parents=[parser], add_help=False)
        return
    deeper = below.add_parser(name).add_subparsers()
    for key, child in nested[0].choices.items():
        _copy(deeper, key, child)
