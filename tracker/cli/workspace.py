"""`dmb workspace`: a ready workspace for the VOT toolkit, of a challenge or of sequences with masks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracker.cli.ending import command
from tracker.cli.parsing import Parser

DESCRIPTION = """\
Make a workspace for the VOT toolkit that knows our trackers (trackers.ini; add your own to DIR/trackers.ini).

  dmb workspace vot2018 DIR            the stack vot2018/shortterm
  dmb workspace from-masks SOURCE DIR  from videos with masks, see `dmb workspace from-masks --help`

The toolkit downloads the sequences of a challenge; with --sequences FOLDER those that you have are linked instead, and
nothing is copied or downloaded.

STACK is vot2016, vot2018, vot2019, vot2020, vot2021, vot2022 and so on for the short-term challenge, the full name of a
stack (vot2018/longterm), or one of ours (vot2018-dev: reset-based, for a handful of short sequences). The same command
continues where a download was interrupted.
"""
MASKS_DESCRIPTION = """\
Turn videos with masks into a workspace for the VOT toolkit.

SOURCE is a folder or tar file of SEQUENCE/00000.jpg (or .webp) with SEQUENCE/00000.png, DAVIS as it is distributed, or
YouTube-VOS (train or valid). Every object becomes a sequence of its own, named SEQUENCE_ID where there are several. It
starts where the object is first seen; later frames without it have an empty ground truth, and are marked in absent.tag.

  --form mask     masks, several starts (as in VOT2020-2022); the default
  --form polygon  rotated boxes of the masks, reset-based (as in VOT2013-2019); an absence counts as a failure, after
                  which the tracker starts again where the object is back
  --form both     both, in DIR/mask and DIR/polygon
"""
FROM_MASKS = "from-masks"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dmb workspace", description=DESCRIPTION)
    parser.add_argument("stack", nargs="?", metavar="STACK", help="what is evaluated")
    parser.add_argument("directory", nargs="?", type=Path, metavar="DIR", help="folder to make")
    parser.add_argument("--sequences", type=Path, metavar="FOLDER", help="link these sequences (folder or tar file)")
    parser.add_argument("--list", action="store_true", help="list all stacks and exit")
    return parser


def _masks_parser() -> argparse.ArgumentParser:
    parser = Parser(prog=f"dmb workspace {FROM_MASKS}", description=MASKS_DESCRIPTION)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder or tar file of videos with masks")
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder to make")
    parser.add_argument("--form", choices=("polygon", "mask", "both"), default="mask", help="see above")
    parser.add_argument("--sequences-only", nargs="+", metavar="NAME", help="which of the videos to use (default: all)")
    rate = "frames per second, for realtime experiments (default: 20)"
    parser.add_argument("--fps", type=int, default=20, metavar="N", help=rate)
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _next(directory: Path) -> None:
    _say(f"next: dmb evaluate --workspace {directory} --workers N DMB MIL")


def _from_masks(arguments: Sequence[str]) -> int:
    parser = _masks_parser()
    options = parser.parse_args(arguments)
    if options.fps < 1:
        parser.error(f"--fps is {options.fps}; it must be at least 1")
    from vot_workspace.mask_workspace import FORMS, make_mask_workspaces

    one = options.form != "both"
    workspaces = {options.form: options.directory} if one else {form: options.directory / form for form in FORMS}
    count = make_mask_workspaces(options.source, workspaces, names=options.sequences_only, fps=options.fps, say=_say)
    for directory in workspaces.values():
        _say(f"'{directory}' has {count} sequences")
        _next(directory)
    return 0


def _challenge(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    from vot_workspace.challenges import find_stack, list_stacks, make_workspace

    if options.list:
        for name, stack in list_stacks().items():
            _say(f"{name:24} {stack.title}")
        return 0
    if options.stack is None or options.directory is None:
        parser.error("name a stack and a folder")
    stack = find_stack(options.stack)
    count = make_workspace(stack, options.directory, sequences=options.sequences, environ=environ, say=_say)
    _say(f"'{options.directory}' is ready: {stack.title}, {count} sequences")
    _next(options.directory)
    return 0


@command("dmb workspace", interrupted="interrupted; the same command continues")
def main(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> int:
    """Make the workspace; `environ` is that of the toolkit."""
    return _from_masks(arguments[1:]) if arguments[:1] == [FROM_MASKS] else _challenge(arguments, environ)
