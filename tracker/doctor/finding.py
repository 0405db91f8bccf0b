"""What a check has found, and what checks share."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        status: "ok"; "note": works, but worth knowing; "problem": something will fail.
        text: what was found, and in the case of a problem what is wrong.
        remedy: the command to type; empty where there is none.
    """

    name: str
    status: Status
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Surroundings:
    """Where the checks are made: environment variables, and the current folder."""

    environ: Mapping[str, str]
    folder: Path


def pip(*words: str) -> str:
    """A command that installs packages into the environment that runs this."""
    return shlex.join([sys.executable, "-m", "pip", "install", *words])


def installed(distribution: str) -> str | None:
    """Version of an installed distribution; None where there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def load(module: str) -> ModuleType:
    """Import a module; raises whatever that raises. (Tests put other modules in its place.)"""
    return importlib.import_module(module)


def numbers(version: str) -> tuple[int, ...]:
    """The release of a version as numbers: "2.13.0+cpu" is (2, 13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def told(error: BaseException) -> str:
    """An exception in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
