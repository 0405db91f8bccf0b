"""Makes ready workspaces for the VOT challenges: the toolkit's stack, its sequences, and our trackers.

Sequences are downloaded by the toolkit itself, run as a process in a folder beside them; those that are on the disk
already are linked instead.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from vot_workspace.configuration import (
    OWN_TRACKERS,
    SEQUENCES,
    check_registry,
    is_workspace,
    write_configuration,
)
from vot_workspace.dataset import FACTS, provide, sequence_names, with_facts
from vot_workspace.layout import LIST, read_list, toolkit_stacks
from vot_workspace.toolkit import read_log, vot_command
from vot_workspace.writer import STACKS, WorkspaceError

SHORT_NAMES = {
    "vot2015": "vot2015/rgb",
    "vot2016": "vot2016/rgb",
    **{f"vot{year}": f"vot{year}/shortterm" for year in range(2018, 2023)},
}
OWN_NAMES = {"vot2018-dev": "dev.yaml"} | {name: f"{name}.yaml" for name in ("dev", "realtime", "masks", "polygons")}
PROGRESS = re.compile(r"[^\r\n]*\d%[^\r\n]*")  # a line of the toolkit's progress bar
UNREACHABLE = re.compile(r"Failed to resolve|Connection refused|unreachable|timed out|Unable to connect to proxy")


@dataclass(frozen=True)
class Stack:
    """A stack.

    Attributes:
        name: what the configuration calls it.
        file: where it is described.
        own: whether it is ours and must be copied into the workspace.
        title: for people.
        dataset: where its sequences are downloaded from; None: they must be given.
    """

    name: str
    file: Path
    own: bool
    title: str
    dataset: str | None


def _files() -> dict[str, tuple[str, Path, bool]]:
    """What the configuration calls a stack, its file, and whether it is ours, by the name to type."""
    root = toolkit_stacks()
    names = {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.yaml"))}
    known = {name: (name, path, False) for name, path in names.items() if not name.startswith("tests/")}
    short = {name: known[full] for name, full in SHORT_NAMES.items() if full in known}
    return {**short, **{name: (file, STACKS / file, True) for name, file in OWN_NAMES.items()}, **known}


def _read(name: str, path: Path, own: bool) -> Stack:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return Stack(name, path, own, str(content.get("title") or ""), content.get("dataset") or None)


def list_stacks() -> dict[str, Stack]:
    """All stacks by the name to type: short names, ours, full names.

    Raises:
        WorkspaceError: the toolkit is not installed.
    """
    return {typed: _read(*entry) for typed, entry in _files().items()}


def find_stack(name: str) -> Stack:
    """A stack by its short or full name.

    Raises:
        WorkspaceError: there is no such stack; the message lists the short names.
    """
    files = _files()
    if name not in files:
        short = ", ".join([*(key for key in SHORT_NAMES if key in files), *OWN_NAMES])
        raise WorkspaceError(f"there is no stack '{name}'; use one of {short}, or one of `dmb workspace --list`")
    return _read(*files[name])


def make_workspace(
    stack: Stack,
    directory: Path,
    *,
    sequences: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Make a workspace, or complete one that was begun with the same stack. Results that are there stay.

    Args:
        stack: what is evaluated.
        directory: where to.
        sequences: folder or tar file of sequences to use instead of a download.
        environ: environment of the toolkit.
        say: is called with a line for every step.

    Returns:
        The number of sequences.

    Raises:
        WorkspaceError: the folder holds another workspace, no sequences were given or could be downloaded.
        DatasetError: the sequences that were given are not usable.
    """
    check_registry()
    _check_free(directory, stack)
    folder = directory / SEQUENCES
    if sequences is not None:
        link_sequences(sequences, folder, say)
    elif (folder / LIST).is_file():
        say(f"using the sequences in '{folder}'")
    elif stack.dataset is None:
        raise WorkspaceError(f"'{stack.title}' has no sequences of its own; give yours: --sequences FOLDER")
    else:
        _download(stack, folder, environ, say)
    found = read_list(folder)
    write_configuration(directory, stack.name, file=stack.file if stack.own else None)
    return len(found)


def _check_free(directory: Path, stack: Stack) -> None:
    """Refuse folders that hold something else, or a damaged configuration."""
    if is_workspace(directory, stack.name):
        return
    if directory.is_dir():
        expected = (SEQUENCES, Path(OWN_TRACKERS).name)
        others = [path.name for path in directory.iterdir() if path.name not in expected and path.name[0] != "."]
        if others:
            raise WorkspaceError(f"'{directory}' holds other files ({min(others)}); name a new folder")
    elif directory.exists():
        raise WorkspaceError(f"'{directory}' is not a folder; name another one")


def link_sequences(source: Path, folder: Path, say: Callable[[str], None]) -> None:
    """Link sequences that are on the disk into a workspace's folder of sequences; those of a tar file are extracted.

    Raises:
        WorkspaceError: its list names sequences that are not there; or the folder has other sequences already.
        DatasetError: no such folder or file, or no sequences in it.
    """
    if (folder / LIST).is_file():
        raise WorkspaceError(f"'{folder}' has sequences already; leave out --sequences, or name a new workspace")
    root = source / SEQUENCES if (source / SEQUENCES).is_dir() else source
    if (root / LIST).is_file():
        found = {name: path.resolve() for name, path in read_list(root).items()}
        # what the toolkit cannot read as it is gets a description, like the sequences of a folder without a list
        bare = [name for name, path in found.items() if not (path / FACTS).is_file() and (path / "color").is_dir()]
        folder.mkdir(parents=True, exist_ok=True)
        found |= {name: with_facts(found[name], folder.resolve() / name) for name in bare}
    else:
        names = sequence_names(source)
        folder.mkdir(parents=True, exist_ok=True)
        found = provide(source, names, folder)
        if source.is_dir():
            say(f"'{source}' has no '{LIST}'; taking all {len(names)} sequences in it")
    lines = []
    for name, path in found.items():
        target = folder / name
        if path != target.absolute() and not target.exists():
            try:
                target.symlink_to(path)
            except OSError:  # a file system without links: the toolkit's list may hold absolute paths
                lines.append(f"{path}\n")
                continue
        lines.append(f"{name}\n")
    (folder / LIST).write_text("".join(lines), encoding="utf-8")
    say(f"{'linked' if source.is_dir() else 'extracted'} {len(found)} sequences of '{source}'")


def _download(stack: Stack, folder: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Let the toolkit download; sequences that an interrupted download has finished are not loaded again."""
    folder.mkdir(parents=True, exist_ok=True)
    say(f"downloading the sequences of {stack.name} from {stack.dataset}; this may be gigabytes")
    with tempfile.TemporaryDirectory(prefix=".download_", dir=folder.parent) as scratch:
        place = Path(scratch, "workspace")
        place.mkdir()
        (place / SEQUENCES).symlink_to(folder.absolute())
        log = Path(scratch, "log")
        words = vot_command("initialize", stack.name, "--workspace", str(place))
        environment = {**environ, "TMPDIR": scratch}
        with (
            subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            ) as process,
            log.open("wb") as file,
        ):
            assert process.stdout is not None
            try:
                while chunk := process.stdout.read1():  # type: ignore[attr-defined]
                    file.write(chunk)
                    bars = PROGRESS.findall(chunk.decode("utf-8", errors="replace"))
                    print(*(f"\r{bar}" for bar in bars[-1:]), end="", file=sys.stderr, flush=True)
            except BaseException:
                process.terminate()
                raise
        if not (folder / LIST).is_file():
            raise WorkspaceError(
                f"the sequences of {stack.name} could not be downloaded from {stack.dataset} ({_reason(log)}); check "
                "the network and run this again, which continues where it stopped, or link your own sequences with "
                "--sequences FOLDER"
            )


def _reason(log: Path) -> str:
    """The last thing that the toolkit has said, in plain words where it means the network."""
    lines = read_log(log)
    if any(map(UNREACHABLE.search, lines)):
        return "the server cannot be reached"
    return lines[-1][:300] if lines else "no reason was given"
