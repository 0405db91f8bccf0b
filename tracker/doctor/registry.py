"""trackers.ini, as the VOT toolkit reads it: can it be read, and would DMB's trackers start?"""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tracker.doctor.files import CHECKOUT, restore
from tracker.doctor.finding import Finding, Surroundings
from tracker.settings import SettingsError, complaints, from_environment

NAME = "trackers.ini"
SERVER = "tracker.trax_server"
HERE = Path(__file__).resolve().parents[2]  # what this DMB is imported from
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def registry(surroundings: Surroundings) -> Iterator[Finding]:
    """The registry of the current folder, and the project's own."""
    paths = [path for path in (surroundings.folder / NAME, CHECKOUT / NAME) if path.is_file()]
    if not paths:
        text = f"there is none in '{surroundings.folder}', and this DMB is not a checkout; the toolkit needs one"
        yield Finding(NAME, "note", text)
    for path in dict.fromkeys(path.resolve() for path in paths):
        yield from _file(path, surroundings.environ)


def _file(path: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """One registry; its trackers get the environment, too."""
    parser = configparser.ConfigParser()
    edit = shlex.join(["${EDITOR:-nano}", str(path)]).replace("'${EDITOR:-nano}'", "${EDITOR:-nano}")
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
        entries = {name: dict(parser.items(name)) for name in parser.sections()}
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        remedy = "save it as UTF-8 without a byte order mark" if "\\ufeff" in told else "write %% for %"
        text = f"'{path}' cannot be read: {told} ({remedy})"
        yield Finding(NAME, "problem", text, edit)
        return
    if not entries:
        yield Finding(NAME, "note", f"'{path}' names no tracker")
    for name, entry in entries.items():
        wrong = _module(entry, path.parent) or _settings(entry)
        remedy = edit
        if wrong is None:
            wrong, remedy = _weights(entry, path.parent, environ) or (None, edit)
        misspelt = complaints(_variables(entry))
        if wrong is not None:
            yield Finding(f"{NAME} [{name}]", "problem", f"{wrong} ({path})", remedy or edit)
        elif _needs_quotes(entry):
            text = f"`vot evaluate` cannot start '{sys.executable}', as its path holds a space; use `dmb vot evaluate`"
            text += f", or add: python = {shlex.quote(sys.executable)} ({path})"
            yield Finding(f"{NAME} [{name}]", "note", text)
        elif misspelt:
            yield Finding(f"{NAME} [{name}]", "note", f"{' '.join(misspelt)} ({path})", edit)
        else:
            yield Finding(f"{NAME} [{name}]", "ok", f"{entry['command']} is there ({path})")


def _module(entry: Mapping[str, str], root: Path) -> str | None:
    """Is there something to start, and would Python find it?"""
    command = entry.get("command", "").strip()
    if not command:
        return "there is no command"
    if entry.get("protocol") != "traxpython" or "python" in entry or not MODULE.fullmatch(command):
        return None  # another program, another interpreter, or code: the toolkit's own business
    folders = _folders(entry, root)
    places = [folder.joinpath(*command.split(".")) for folder in folders]
    if any(place.with_suffix(".py").is_file() or (place / "__init__.py").is_file() for place in places):
        return None
    try:
        spec = importlib.util.find_spec(command)
    except Exception:  # the parents are imported, and they may be broken in any way
        spec = None
    if spec is not None:
        return None
    return f"there is no module '{command}' in {', '.join(repr(str(folder)) for folder in folders)}"


def _needs_quotes(entry: Mapping[str, str]) -> bool:
    """Would the toolkit take this Python's path apart at a space?"""
    quoted = shlex.quote(sys.executable) != sys.executable
    return quoted and entry.get("protocol") == "traxpython" and "python" not in entry


def _folders(entry: Mapping[str, str], root: Path) -> list[Path]:
    """Where Python is told to look for the module; without paths the registry's own folder."""
    return [root / text for text in entry.get("paths", "").split(os.pathsep)]


def _variables(entry: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that an entry sets, as the toolkit sets them."""
    # configparser turns names into lower case, and the toolkit back into upper case
    chosen = {name.removeprefix("env_").upper(): text for name, text in entry.items() if name.startswith("env_")}
    return {name: os.path.expandvars(text) for name, text in chosen.items()}


def _settings(entry: Mapping[str, str]) -> str | None:
    """Are DMB's settings in it allowed?"""
    try:
        from_environment(_variables(entry))
    except SettingsError as error:
        return str(error)
    return None


def _weights(entry: Mapping[str, str], root: Path, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with the weights that it asks for, and the command against it ("": edit the file)."""
    own = _variables(entry)
    if entry.get("command", "").strip() != SERVER or not (own.get("DMB_WEIGHTS") or _is_this_one(entry, root)):
        return None
    try:
        from tracker.checkpoints.weights import WeightsError, find_weights, read_weights
    except Exception:  # torch, for instance, of which its own check tells
        return None
    try:
        read_weights(find_weights(None, {**environ, **own}))
    except WeightsError as error:
        return str(error), "" if own.get("DMB_WEIGHTS") else restore({**environ, **own})
    return None


def _is_this_one(entry: Mapping[str, str], root: Path) -> bool:
    """Does it start the DMB that asks? Another one has weights of its own."""
    module = Path(*SERVER.split(".")).with_suffix(".py")
    places = [folder / module for folder in _folders(entry, root) if (folder / module).is_file()]
    return places[0].resolve() == HERE / module if places else "python" not in entry
