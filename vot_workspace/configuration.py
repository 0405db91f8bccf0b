"""Writes what makes a folder a workspace: its configuration, its stack, its list of sequences.

A workspace that is completed keeps what its user has changed: registries that were added, a stack's bounds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from tracker.files import replace_file
from vot_workspace.layout import CONFIGURATION, LIST, read_yaml
from vot_workspace.writer import REGISTRY, STACKS, WorkspaceError

OWN_TRACKERS = "./trackers.ini"  # in the workspace, for those of the user
SEQUENCES = "sequences"


def is_workspace(directory: Path, stack: str) -> bool:
    """Whether a folder is a workspace of a stack already, by the name in its configuration.

    Raises:
        WorkspaceError: it is one of another stack, or its configuration cannot be read.
    """
    if not (directory / CONFIGURATION).is_file():
        return False
    name = read_yaml(directory / CONFIGURATION).get("stack")
    if name != stack:
        raise WorkspaceError(f"'{directory}' is a workspace of the stack '{name}'; name another folder")
    return True


def check_registry(registry: Path = REGISTRY) -> None:
    """Raises WorkspaceError where a registry is missing; ours is only in a checkout."""
    if not registry.is_file():
        raise WorkspaceError(f"'{registry}' is missing; make workspaces from a checkout of the repository")


def write_configuration(
    directory: Path, stack: str, *, file: Path | None = None, registry: Path = REGISTRY, renew: bool = False
) -> None:
    """Make a folder a workspace, or write what it lacks of one. What is there stays.

    Args:
        directory: the workspace.
        stack: what its configuration calls the stack.
        file: the stack where it is one of ours: it is copied, since the toolkit looks for it there; None for the
            toolkit's own.
        registry: a trackers.ini. Before ours, the workspace's own is named for trackers of the user; the toolkit
            passes over it as long as it is not there.
        renew: write the configuration and the stack anew.

    Raises:
        WorkspaceError: the registry is missing; the folder is a workspace of another stack.
    """
    check_registry(registry)
    complete = not renew and is_workspace(directory, stack)
    directory.mkdir(parents=True, exist_ok=True)
    if not complete:  # first: without it, the next call would take what is here for something else
        places = [os.path.relpath(registry, directory.resolve())]
        if registry == REGISTRY:
            places.insert(0, OWN_TRACKERS)  # first: of two trackers with one name the toolkit takes the first
        content = {"registry": places, "stack": stack, "sequences": SEQUENCES}
        replace_file(directory / CONFIGURATION, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    if file is not None and (renew or not (directory / stack).is_file()):
        replace_file(directory / stack, file.read_bytes())
    (directory / "results").mkdir(exist_ok=True)


def write_workspace(
    directory: Path, *, stack: str, sequences: Iterable[str], registry: Path = REGISTRY, renew: bool = False
) -> None:
    """Write what a workspace of one of our stacks lacks, and its list of sequences.

    Args:
        directory: the workspace; results that are there already stay.
        stack: name of a file in vot_workspace/stacks.
        sequences: names of its sequences, or absolute paths of sequences that lie elsewhere.
        registry, renew: see `write_configuration`.

    Raises:
        WorkspaceError: see `write_configuration`.
    """
    write_configuration(directory, stack, file=STACKS / stack, registry=registry, renew=renew)
    (directory / SEQUENCES).mkdir(exist_ok=True)
    replace_file(directory / SEQUENCES / LIST, "".join(f"{name}\n" for name in sequences))
