"""trackers.ini, as the VOT toolkit reads it: can it be read, and would its trackers start?"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tracker.doctor.files import CHECKOUT, restore
from tracker.doctor.finding import Finding, Status, Surroundings, load, pip
from tracker.settings import SettingsError, complaints, from_environment

NAME = "trackers.ini"
PROTOCOLS = ("trax", "traxpython", "traxmatlab", "traxoctave")
SERVER = "tracker.trax_server"
HERE = Path(__file__).resolve().parents[2]  # what this DMB is imported from
BASELINE = "vot_workspace.opencv_baseline"
IN_EVERY_OPENCV = "MIL"


def registry(surroundings: Surroundings) -> Iterator[Finding]:
    """The registry of the current folder, and the project's own."""
    paths = [path for path in (surroundings.folder / NAME, CHECKOUT / NAME) if path.is_file()]
    if not paths:
        text = f"there is none in '{surroundings.folder}', and this DMB is no checkout; the toolkit needs one"
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
        text = f"'{path}' cannot be read: {' '.join(str(error).split())} (write %% for %)"
        yield Finding(NAME, "problem", text, edit)
        return
    if not entries:
        yield Finding(NAME, "note", f"'{path}' names no tracker")
    for name, entry in entries.items():
        wrong = (
            _command(entry, path.parent)
            or _settings(entry)
            or _weights(entry, path.parent, environ)
            or _misspelt(entry)
            or _opencv(entry)
        )
        if wrong is None:
            yield Finding(f"{NAME} [{name}]", "ok", f"{entry['command']} is there ({path})")
        else:
            status, text, remedy = wrong
            what = f"{text} ({path})"
            yield Finding(f"{NAME} [{name}]", status, what, edit if remedy is None else remedy)


Wrong = tuple[Status, str, str | None]  # status, text, command to type (empty: there is none; None: edit the file)


def _command(entry: Mapping[str, str], root: Path) -> Wrong | None:
    """Does what is to be started exist?"""
    protocol, command = entry.get("protocol", ""), entry.get("command", "").strip()
    if protocol not in PROTOCOLS:
        return "problem", f"the protocol is '{protocol}'; it must be one of {', '.join(PROTOCOLS)}", None
    if not command:
        return "problem", "there is no command", None
    if protocol == "trax":
        try:
            words = shlex.split(command)
        except ValueError as error:
            return "problem", f"the command '{command}' cannot be taken apart ({error}); close its quotes", None
        if words and (shutil.which(words[0]) or (root / words[0]).is_file()):
            return None
        return "problem", f"the program '{words[0] if words else command}' does not exist", None
    if protocol == "traxpython":
        return _python(entry, command, root)
    return None


def _python(entry: Mapping[str, str], command: str, root: Path) -> Wrong | None:
    """Would Python find the module?"""
    python = entry.get("python")
    if python is not None and shutil.which(python) is None:
        return "problem", f"the interpreter '{python}' does not exist", None
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", command):
        try:
            ast.parse(command)
        except SyntaxError:
            return "problem", f"the command '{command}' is neither a module's name nor Python code", None
        return None
    folders = _folders(entry, root)
    parts = command.split(".")
    for folder in folders:
        place = folder.joinpath(*parts)
        if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
            return None
    if python is not None:
        return None  # another interpreter has other packages
    try:
        spec = importlib.util.find_spec(command)
    except Exception:  # the parents are imported, and they may be broken in any way
        spec = None
    if spec is not None:
        return None
    where = ", ".join(f"'{folder}'" for folder in folders)
    return "problem", f"there is no module '{command}' in {where}", None


def _folders(entry: Mapping[str, str], root: Path) -> list[Path]:
    """Where Python is told to look for the module; without paths the registry's own folder."""
    return [root / text for text in entry.get("paths", "").split(os.pathsep)]


def _variables(entry: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that an entry sets, as the toolkit sets them."""
    # configparser turns names into lower case, and the toolkit back into upper case
    chosen = {name.removeprefix("env_").upper(): text for name, text in entry.items() if name.startswith("env_")}
    return {name: os.path.expandvars(text) for name, text in chosen.items()}


def _settings(entry: Mapping[str, str]) -> Wrong | None:
    """Are DMB's settings in it allowed?"""
    try:
        settings = from_environment(_variables(entry))
    except SettingsError as error:
        return "problem", str(error), None
    if settings.weights and not os.path.isfile(os.path.expanduser(settings.weights)):
        return "problem", f"DMB_WEIGHTS is '{settings.weights}', which does not exist; give an absolute path", None
    return None


def _weights(entry: Mapping[str, str], root: Path, environ: Mapping[str, str]) -> Wrong | None:
    """Are the weights that it asks for there, and are they whole?"""
    own = _variables(entry)
    if entry.get("command", "").strip() != SERVER or not (own.get("DMB_WEIGHTS") or _is_this_one(entry, root)):
        return None
    try:
        from tracker.weights import WeightsError, find_weights, read_weights
    except Exception:  # torch, for instance, of which its own check tells
        return None
    try:
        read_weights(find_weights(None, {**environ, **own}))
    except WeightsError as error:
        return "problem", str(error), None if own.get("DMB_WEIGHTS") else restore({**environ, **own})
    return None


def _is_this_one(entry: Mapping[str, str], root: Path) -> bool:
    """Does it start the DMB that asks? Another one has weights of its own."""
    module = Path(*SERVER.split(".")).with_suffix(".py")
    places = [folder / module for folder in _folders(entry, root) if (folder / module).is_file()]
    return places[0].resolve() == HERE / module if places else "python" not in entry


def _misspelt(entry: Mapping[str, str]) -> Wrong | None:
    """Is there what looks like a setting, and is none?"""
    found = complaints(_variables(entry))
    return ("note", " ".join(found), None) if found else None


def _opencv(entry: Mapping[str, str]) -> Wrong | None:
    """Does this OpenCV have the baseline's tracker?"""
    if entry.get("command", "").strip() != BASELINE or "python" in entry:  # another interpreter has another OpenCV
        return None
    name = entry.get("env_opencv_tracker", IN_EVERY_OPENCV).strip().upper()
    try:
        cv2 = load("cv2")
    except Exception:
        return "problem", "OpenCV cannot be imported, see what is said of it", ""
    if hasattr(cv2, f"Tracker{name}_create"):
        return None
    if name == IN_EVERY_OPENCV:
        return "problem", f"OpenCV {cv2.__version__} has no {name} tracker", pip("--upgrade", "opencv-python")
    text = (
        f"OpenCV {cv2.__version__} has no {name} tracker; it is in opencv-contrib-python, which must not be installed "
        "beside opencv-python: evaluate it from an environment of its own, with vot-toolkit, vot-trax and that"
    )
    return "note", text, ""
