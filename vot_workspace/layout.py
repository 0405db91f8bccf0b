"""Reads a workspace as the VOT toolkit does: its stack, its sequences, the trackers that it knows.

The toolkit is GPLv3 and run as a process; of it, only the stacks (YAML files) are read here.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vot_workspace.toolkit import toolkit_folder
from vot_workspace.writer import WorkspaceError

CONFIGURATION = "config.yaml"
LIST = "list.txt"
TRACKER_FILES = ("trackers.yaml", "trackers.ini")  # what the toolkit looks for in a folder, in this order


@dataclass(frozen=True)
class Layout:
    """A workspace.

    Attributes:
        directory: absolute path.
        registry: absolute paths of files and folders that register trackers.
        stack: the stack's file, absolute; or its experiments where the configuration holds them itself.
        experiments: entries of the stack by name.
        sequences: absolute paths of the sequences' folders by name, in the order of the list.
    """

    directory: Path
    registry: list[Path]
    stack: str | dict[str, Any]
    experiments: dict[str, dict[str, Any]]
    sequences: dict[str, Path]


def toolkit_stacks() -> Path:
    """Folder of the stacks that come with the installed toolkit.

    Raises:
        ToolkitMissingError: the toolkit is not installed.
    """
    return toolkit_folder() / "stack"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a configuration or a stack.

    Raises:
        WorkspaceError: it cannot be read, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WorkspaceError(f"'{path}' cannot be read ({' '.join(str(error).split())}); restore it") from error
    if not isinstance(content, dict):
        raise WorkspaceError(f"'{path}' holds no configuration; restore it")
    return content


def read_workspace(directory: Path) -> Layout:
    """Read a workspace.

    Raises:
        WorkspaceError: no workspace, no such stack, no sequences; the message says what to do.
    """
    directory = directory.resolve()
    if not (directory / CONFIGURATION).is_file():
        raise WorkspaceError(
            f"'{directory}' is not a workspace: it has no '{CONFIGURATION}'; make one with `dmb workspace STACK DIR`"
        )
    configuration = read_yaml(directory / CONFIGURATION)
    stack = configuration.get("stack")
    if isinstance(stack, str):
        candidates = [directory / stack, toolkit_stacks() / f"{stack}.yaml"]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise WorkspaceError(
                f"'{directory / CONFIGURATION}' names the stack '{stack}', which is neither a file beside it nor one "
                "of the toolkit's; name another one"
            )
        stack, content = str(path), read_yaml(path)
    elif isinstance(stack, dict):
        content = stack
    else:
        raise WorkspaceError(f"'{directory / CONFIGURATION}' names no stack; add a line: stack: vot2018/shortterm")
    experiments = content.get("experiments")
    if not isinstance(experiments, dict) or not experiments:
        raise WorkspaceError(f"the stack of '{directory}' has no experiments; name another one in '{CONFIGURATION}'")
    places = configuration.get("registry") or []
    registry = [directory / str(place) for place in (places if isinstance(places, list) else [places])]
    folder = directory / str(configuration.get("sequences", "sequences"))
    return Layout(directory, registry, stack, experiments, read_list(folder))


def read_list(folder: Path) -> dict[str, Path]:
    """Sequences that the list of a folder names: absolute paths by name, in its order.

    Raises:
        WorkspaceError: no list, an empty one, or it names folders that are not there or have no ground truth.
    """
    try:
        lines = (folder / LIST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise WorkspaceError(
            f"there are no sequences: '{folder / LIST}' is missing; link those that you have with `dmb workspace "
            "STACK DIR --sequences FOLDER`, or let it download them"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"'{folder / LIST}' cannot be read ({error}); restore it") from error
    paths = [folder / line.strip() for line in lines if line.strip()]
    if not paths:
        raise WorkspaceError(f"there are no sequences: '{folder / LIST}' is empty; write their names into it")
    absent = [path.name for path in paths if not any(path.glob("groundtruth*.txt"))]
    if absent:
        names = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        raise WorkspaceError(
            f"{len(absent)} of the {len(paths)} sequences in '{folder / LIST}' have no folder with 'groundtruth.txt': "
            f"{names}; restore them or remove them from the list"
        )
    return {path.name: path.absolute() for path in paths}


def check_truths(layout: Layout) -> None:
    """Read the ground truth of all sequences, see `check_truth`; without resets and starts, the first region is enough.

    Raises:
        WorkspaceError: a line is not a region, or there are more or fewer lines than frames.
    """
    first_is_enough = all(experiment.get("type") == "unsupervised" for experiment in layout.experiments.values())
    for sequence in layout.sequences.values():
        check_truth(sequence, first_is_enough=first_is_enough)


def check_truth(sequence: Path, *, first_is_enough: bool = False) -> None:
    """Read a sequence's ground truth as the toolkit does, which tells neither the file nor the line of a mistake.

    Where lines are missing it counts failures in those frames, and where there are too many its analysis fails.

    Args:
        sequence: its folder.
        first_is_enough: whether a file may hold the first frame's region alone, as where the others are kept secret.

    Raises:
        WorkspaceError: a line is not a region (the message names it), or there are more or fewer lines than frames.
    """
    frames, told = _frames(sequence)
    for path in sorted(sequence.glob("groundtruth_*.txt")) or sorted(sequence.glob("groundtruth*.txt")):
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WorkspaceError(f"'{path}' cannot be read ({error}); save it as plain text in UTF-8") from error
        if text.startswith("\ufeff"):
            raise WorkspaceError(f"'{path}' begins with a byte order mark; save it as UTF-8 without one")
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                raise WorkspaceError(f"'{path}', line {number} is empty; write nan,nan,nan,nan where nothing is seen")
            if not _is_region(line.strip()):
                raise WorkspaceError(
                    f"'{path}', line {number}: '{line.strip()[:60]}' is not a region; write x,y,w,h or a polygon's "
                    "x1,y1,x2,y2,x3,y3, ... with commas between the numbers, or a mask"
                )
        if frames and len(lines) != frames and not (first_is_enough and len(lines) == 1):
            raise WorkspaceError(
                f"'{path}' has {len(lines)} lines, but the sequence has {frames} frames ({told}); write one region "
                "for each frame, nan,nan,nan,nan where nothing is seen"
            )


def _is_region(line: str) -> bool:
    try:
        numbers = [float(word) for word in line.removeprefix("m").split(",")]
    except ValueError:
        return False
    if line.startswith("m"):
        return len(numbers) > 4 and all(map(float.is_integer, numbers))
    return len(numbers) in (1, 4) or (len(numbers) >= 6 and len(numbers) % 2 == 0)


def _facts(sequence: Path) -> dict[str, str]:
    """What a sequence's file of facts says."""
    path = sequence / "sequence"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}


def _frames(sequence: Path) -> tuple[int, str]:
    """Frames of a sequence as the toolkit counts them, and what tells so; 0 where it cannot be told.

    That is the length in the file of facts, or the images from the first number on to the last before a gap.
    """
    facts = _facts(sequence)
    if facts.get("length", "").isdecimal():
        return int(facts["length"]), f"'{sequence / 'sequence'}' says so"
    channels = [facts[key] for key in ("channels.color", "channels.depth", "channels.ir") if key in facts]
    default = "color/%08d.jpg" if (sequence / "sequence").is_file() else "%08d.jpg"
    pattern = PurePosixPath((channels or [default])[0].replace("\\", "/"))
    images = pattern if pattern.suffix else pattern / "%08d.jpg"
    try:
        names = set(os.listdir(sequence / images.parent))
        first_absent = next(number for number in count(1) if images.name % number not in names)
    except (OSError, TypeError, ValueError):  # the toolkit says what is wrong
        return 0, ""
    return first_absent - 1, f"images '{sequence / images}'"


def frame_count(sequence: Path) -> int:
    """Frames of a sequence as far as its files tell: its own word, or the lines of its ground truth."""
    length = _facts(sequence).get("length", "")
    if length.isdecimal():
        return int(length)
    return max((path.read_bytes().count(b"\n") for path in sequence.glob("groundtruth*.txt")), default=0)


def known_trackers(places: Iterable[Path], note: Callable[[str], None] = lambda sentence: None) -> dict[str, str]:
    """Trackers that files and folders register: the name of the folder with their results, by identifier.

    Args:
        places: in the order in which the toolkit reads them; of several trackers with one name it takes the first.
        note: takes a sentence for every tracker that it passes over.

    Raises:
        WorkspaceError: a file is not readable.
    """
    found: dict[str, str] = {}
    homes: dict[str, Path] = {}
    files: list[Path] = []
    for place in places:
        files += [place / name for name in TRACKER_FILES] if place.is_dir() else [place]
    for path in dict.fromkeys(map(Path, map(os.path.normpath, files))):
        if not path.is_file():
            continue
        for name, entry in _entries(path).items():
            home = homes.setdefault(name, path)
            if home != path:
                note(f"[{name}] is in '{home}' and in '{path}'; the toolkit takes the first one, rename the other")
                continue
            version = entry.get("version")
            found[name] = name if version is None else f"{name}@{version}"
    return found


def entry_of(name: str, places: Iterable[Path], *, exact: bool = False) -> Mapping[str, Any]:
    """What the first of the files and folders that knows a tracker says of it; nothing where none does.

    Args:
        name: the tracker's.
        places: files and folders.
        exact: whether keys stay in upper case where they are; else they are all in lower case.
    """
    files: list[Path] = []
    for place in places:
        files += [place / file for file in TRACKER_FILES] if place.is_dir() else [place]
    return next((found[name] for path in files if path.is_file() and name in (found := _entries(path, exact))), {})


def _entries(path: Path, exact: bool = False) -> Mapping[str, Mapping[str, Any]]:
    if path.suffix.lower() == ".yaml":
        return {str(name): entry for name, entry in read_yaml(path).items() if isinstance(entry, dict)}
    registry = configparser.ConfigParser()
    if exact:
        registry.optionxform = str  # type: ignore[assignment]
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):
            raise WorkspaceError(f"'{path}' begins with a byte order mark; save it as UTF-8 without one")
        registry.read_string(text, source=str(path))
        return {name: dict(registry[name]) for name in registry.sections()}
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise WorkspaceError(f"'{path}' registers no trackers ({' '.join(str(error).split())}); fix it") from error


def registry_places(layout: Layout, registry: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """Where the processes of an evaluation find trackers, in their order.

    That is what the workspace names, then the absolute paths in VOT_REGISTRY, then `registry`. The current folder is
    none of them: the toolkit reads a relative path from the workspace, wherever it was started.

    Raises:
        WorkspaceError: none of these exists.
    """
    others = [Path(place) for place in environ.get("VOT_REGISTRY", "").split(os.pathsep) if os.path.isabs(place)]
    places = [*layout.registry, *others, *([] if registry is None else [registry.absolute()])]
    if not any(place.exists() for place in places):
        here = next((name for name in TRACKER_FILES if os.path.isfile(name)), None)
        told = "names no registry"
        if layout.registry:
            told = f"names the registry '{layout.registry[0]}', which does not exist"
        example = f", for instance --registry {here}" if here else ""
        raise WorkspaceError(
            f"'{layout.directory / CONFIGURATION}' {told}; correct it there, or name a trackers.ini with "
            f"--registry FILE{example}"
        )
    return places
