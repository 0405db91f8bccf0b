"""Turns a folder of sequences with masks (DAVIS style) into a workspace.

    python -m vot_workspace.from_masks FOLDER WORKSPACE [--form vot2018|vot2020] [--sequences NAME ...]

FOLDER holds one folder per sequence with images and masks of the same name (`00000.jpg` or `.webp`, `00000.png`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tracker.benchmarks.masks import SequenceError, frames
from vot_workspace.writer import Annotated, WorkspaceError, write_sequence, write_workspace

FORMS = {"vot2018": ("dev.yaml", "polygon"), "vot2020": ("masks.yaml", "mask")}


def _annotated(folder: Path) -> Iterator[Annotated]:
    for image, mask in frames(folder):
        yield Annotated(image, mask)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vot_workspace.from_masks", description="Masks to a workspace.")
    parser.add_argument("folder", type=Path, help="folder of sequences")
    parser.add_argument("workspace", type=Path, help="folder to write")
    parser.add_argument("--form", choices=sorted(FORMS), default="vot2020", help="evaluation and region format")
    parser.add_argument("--sequences", nargs="+", help="names (default: all)")
    options = parser.parse_args(arguments)
    names = options.sequences or sorted(path.name for path in options.folder.glob("*") if path.is_dir())
    stack, kind = FORMS[options.form]
    try:
        if not names:
            raise SequenceError(f"'{options.folder}' holds no sequences; name the folder that holds their folders")
        write_workspace(options.workspace, stack=stack, sequences=names)
        for name in names:
            write_sequence(options.workspace / "sequences" / name, _annotated(options.folder / name), kind=kind)
            print(f"wrote {name}")
    except (SequenceError, WorkspaceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
