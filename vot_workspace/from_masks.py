"""Turns a folder of sequences with masks (DAVIS style) into a workspace.

    python -m vot_workspace.from_masks FOLDER WORKSPACE [--form vot2018|vot2020] [--sequences NAME ...]

FOLDER (or a tar file) holds one folder per sequence with images and masks of the same name (`00000.jpg` or `.webp`,
`00000.png`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tracker.benchmarks.sequences import MaskSequence, SequenceError, choose, open_sequences
from vot_workspace.writer import Annotated, WorkspaceError, write_sequence, write_workspace

FORMS = {"vot2018": ("dev.yaml", "polygon"), "vot2020": ("masks.yaml", "mask")}


def _annotated(sequence: MaskSequence) -> Iterator[Annotated]:
    for frame in sequence.frames():
        yield Annotated(frame.image, frame.mask)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vot_workspace.from_masks", description="Masks to a workspace.")
    parser.add_argument("folder", type=Path, help="folder of sequences, or a tar file of them")
    parser.add_argument("workspace", type=Path, help="folder to write")
    parser.add_argument("--form", choices=sorted(FORMS), default="vot2020", help="evaluation and region format")
    parser.add_argument("--sequences", nargs="+", help="names (default: all)")
    options = parser.parse_args(arguments)
    stack, kind = FORMS[options.form]
    try:
        with open_sequences(options.folder) as sequences:
            chosen = choose(sequences, options.sequences, options.folder)
            write_workspace(options.workspace, stack=stack, sequences=[sequence.name for sequence in chosen])
            for sequence in chosen:
                folder = options.workspace / "sequences" / sequence.name
                write_sequence(folder, _annotated(sequence), kind=kind)
                print(f"wrote {sequence.name}")
    except (SequenceError, WorkspaceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
