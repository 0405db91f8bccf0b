"""`dmb weights`: what a weights file holds, the mean of several, and other projects' checkpoints turned into ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cli.ending import FAILURE, command, complain
from tracker.cli.parsing import Parser

if TYPE_CHECKING:
    from tracker.checkpoints.conversion import Description

DESCRIPTION = """\
Weights files.

dmb weights convert SOURCE turns a checkpoint of the DMB authors' release, STM's public checkpoint or a full torchvision
ResNet-50 (.pth, .pth.tar, .tar) into a safetensors file. dmb weights info [FILE] tells what a file holds. dmb weights
average FILE FILE ... writes their mean. Details are in docs/TRAINING.md.
"""
CONVERT = """\
Turns a checkpoint of another project into a safetensors file: DMB weights (for --weights), or from a ResNet-50 a trunk
that a training starts from (dmb train PLAN --trunk FILE). No code that a checkpoint holds is run.
"""
AVERAGE = """\
Writes the mean of weights files, number by number: of branches of one training, which often track better together than
each alone. Averaging files of different trainings gives nonsense.
"""
INFO = """\
Tells what a file holds: parameters, architecture, stride convention, stage, checksum, and of an incompatible file the
first names that differ. The exit code is 1 where it cannot be used.
"""
SUFFIXES = (".pth.tar", ".pth", ".pt", ".tar")  # of checkpoints; they give way to .safetensors


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dmb weights", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="convert | info | average")
    convert = commands.add_parser("convert", description=CONVERT, help="a checkpoint into safetensors")
    convert.add_argument("source", type=Path, metavar="SOURCE", help="file written by torch.save")
    output = "file to write (default: beside SOURCE, with the suffix .safetensors)"
    convert.add_argument("--output", type=Path, metavar="FILE", help=output)
    convert.add_argument("--force", action="store_true", help="replace the file to write if it exists")
    info = commands.add_parser("info", description=INFO, help="what a file holds")
    known = "file to describe (default: DMB_WEIGHTS, or the project's own)"
    info.add_argument("file", nargs="?", type=Path, metavar="FILE", help=known)
    average = commands.add_parser("average", description=AVERAGE, help="the mean of several files")
    average.add_argument("files", nargs="+", type=Path, metavar="FILE", help="two DMB weights files or more")
    average.add_argument("--output", type=Path, required=True, metavar="FILE", help="file to write")
    average.add_argument("--force", action="store_true", help="replace the file to write if it exists")
    return parser


def default_output(source: Path) -> Path:
    """Beside the source, with the suffix .safetensors in place of a checkpoint's."""
    for suffix in SUFFIXES:
        if source.name.endswith(suffix) and source.name != suffix:
            return source.with_name(source.name.removesuffix(suffix) + ".safetensors")
    return source.with_name(source.name + ".safetensors")


def _check_target(sources: Sequence[Path], target: Path, force: bool) -> None:
    """Raise OSError where the file to write is not one that may be written."""
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise OSError(f"the output '{target}' is a folder or in none; name a file in a folder with --output")
    if target.exists() and target.resolve() in [source.resolve() for source in sources]:
        which = "the" if len(sources) == 1 else "a"
        raise OSError(f"the output '{target}' is {which} source; name another file with --output")
    if target.exists() and not force:
        raise OSError(f"the output '{target}' exists; name another file with --output, or replace it with --force")


def _convert(source: Path, target: Path, force: bool) -> None:
    from tracker.checkpoints.conversion import TRUNK_FORMAT, convert

    if source.exists():  # else the complaint is about the source
        _check_target([source], target, force)
    facts = convert(source, target)
    trunk = facts["format"] == TRUNK_FORMAT
    kind, option = ("a trunk", "dmb train PLAN --trunk") if trunk else ("DMB weights", "--weights or DMB_WEIGHTS")
    print(f"'{target}' holds {kind} for {option}: stride on {facts['stride_on']}, checksum {facts['checksum']}")


def _average(sources: Sequence[Path], target: Path, force: bool) -> None:
    from tracker.checkpoints.averaging import average_weights

    _check_target(sources, target, force)
    facts = average_weights(sources, target)
    print(f"'{target}' holds the mean of {len(sources)} files: checksum {facts['checksum']}")


def _printable(text: str) -> str:
    """Text of a file that is not ours, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def lines(path: Path, found: Description) -> list[str]:
    """What `dmb weights info` prints."""
    from tracker.checkpoints.conversion import Kind
    from tracker.network import Architecture

    rows = [("file", str(path)), ("holds", str(found.kind)), ("size", f"{found.size / 1e6:.1f} MB")]
    rows += [(f"parameters, {part}", f"{count:,}") for part, count in found.parts.items()]
    rows += [("parameters, total", f"{sum(found.parts.values()):,}"), ("numbers", ", ".join(found.dtypes))]
    stated = "" if "stride_on" in found.metadata else " (assumed: the file has no stride_on)"
    rows.append(("stride on", found.stride_on + stated))
    if found.kind is Kind.DMB and "architecture" not in found.metadata:
        rows.append(("architecture", f"{Architecture().text} (assumed: the file states none)"))
    verdict = {True: "verified", False: "DIFFERS from the contents", None: ""}[found.verified]
    rows.append(("checksum", f"{found.metadata.get('checksum', 'none')} {verdict}".rstrip()))
    # what names the network comes first, what is long last
    known = ("format", "architecture", "coarse_prediction", "position", "spatial_map", "stage", "steps")
    further = sorted(found.metadata.keys() - {*known, "stride_on", "checksum"})
    rows += [(name, found.metadata[name]) for name in (*known, *further) if name in found.metadata]
    return [f"{_printable(name)}: {_printable(text)}" for name, text in rows]


def _info(path: Path) -> int:
    from tracker.checkpoints.conversion import describe

    found = describe(path)
    for line in lines(path, found):
        print(line)
    if found.complaint:
        complain("dmb weights", _printable(found.complaint))
        return FAILURE
    if found.kind.foreign:
        print(f"`dmb weights convert {path}` makes it usable.")
    return 0


@command("dmb weights")
def main(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> int:
    """Convert, or tell what a file holds; `environ` names the one that is described by default."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "average" and len(options.files) < 2:
        parser.error("the mean of one file is that file; name two weights files or more")
    from tracker.checkpoints.weights import WeightsError, find_weights

    try:
        if options.command == "info":
            return _info(options.file or find_weights(None, environ))
        if options.command == "average":
            _average(options.files, options.output, options.force)
            return 0
        _convert(options.source, options.output or default_output(options.source), options.force)
    except (WeightsError, OSError) as error:
        complain("dmb weights", _printable(str(error)))
        return FAILURE
    return 0
