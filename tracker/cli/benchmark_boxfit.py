"""`dmb benchmark boxfit`: how well, and how fast, rotated boxes are fitted to masks."""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import load_tracker, say

if TYPE_CHECKING:
    from tracker.benchmarks.box_fitting import Comparison
    from tracker.config import TrackerConfig as Config
    from tracker.settings import Settings
    from tracker.tracker import DMB

PROG = "dmb benchmark boxfit"
DESCRIPTION = """\
Compare the ways to fit a rotated box to a mask: minimum-area rectangle, moments, ellipse, the greedy rule of the
authors' release, and an optimisation of the weighted overlap. Prints a Markdown table.

With --vot: the tracker follows sequences with ground-truth polygons and starts again after each failure; boxes are
fitted to every mask that it segments, and compared with the polygons. --masks-cache keeps these masks: another run with
the same weights and settings then needs no network, and an interrupted one goes on. With --davis: boxes are fitted to
the given masks, and compared with the masks. Give one of them or both.

Settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    data = parser.add_argument_group("compared on")
    data.add_argument("--vot", type=Path, metavar="SOURCE", help="folder or tar file of sequences in the VOT format")
    data.add_argument("--davis", type=Path, metavar="SOURCE", help="folder or tar file of sequences with masks")
    parser.add_argument("--masks-cache", type=Path, metavar="DIR", help="keep the tracker's masks here")
    add_model(parser)
    data.add_argument("--frames", type=int, metavar="N", help="only the first N frames of each (default: all)")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="write the tables")
    return parser


def _parameters(settings: Settings, config: Config) -> str:
    """What the masks depend on besides the weights, as a short checksum."""
    from tracker.engine import resolve_device, resolve_precision

    device = resolve_device(settings.device)
    facts = (config, device.type, resolve_precision(settings.precision, device))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def _compare_tracked(
    comparison: Comparison, options: argparse.Namespace, settings: Settings, load: Callable[[Settings], DMB]
) -> str:
    """The part with the tracker; returns what was measured on, as a line of text."""
    from tracker.benchmarks.box_fitting import add_tracked
    from tracker.benchmarks.tracked_masks import MaskCache, PolygonSequence, tracked_masks
    from tracker.config import TrackerConfig
    from tracker.weights import architecture_of, find_weights, read_weights
    from vot_workspace.dataset import provide, sequence_names

    # the box's size feeds back into the search region: all methods are compared on the masks that the default one saw
    settings = replace(settings, box_fit=None)
    names = sequence_names(options.vot)
    weights = find_weights(settings.weights, model=settings.model)
    metadata = read_weights(weights)[1]
    config = settings.tracker_config(TrackerConfig.of(architecture_of(metadata, weights).model))
    identity = f"weights {metadata['checksum'][:12]}, parameters {_parameters(settings, config)}"
    frames = failures = 0
    with ExitStack() as resources:
        unpacked, masks_folder = (
            Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="dmb_boxfit_"))) for _ in range(2)
        )
        folders = provide(options.vot, names, unpacked)
        sequences = [PolygonSequence.read(folder, options.frames) for folder in folders.values()]
        cache = MaskCache(options.masks_cache or masks_folder, identity)
        for sequence, masks in tracked_masks(sequences, cache, lambda: load(settings), say):
            add_tracked(comparison, sequence, masks)
            frames, failures = frames + masks.length, failures + len(masks.failures)
    part = f"the first {options.frames} frames of each of" if options.frames else "all frames of"
    return (
        f"Polygons: {options.vot.name}, {part} {len(names)} sequences; {comparison.count} masks segmented on {frames} "
        f"frames with {failures} failures; {weights.name}, {identity}."
    )


def _compare_labelled(comparison: Comparison, options: argparse.Namespace) -> str:
    """The part on given masks; returns what was measured on, as a line of text."""
    from tracker.benchmarks.box_fitting import add_labelled
    from tracker.benchmarks.sequences import open_sequences

    with open_sequences(options.davis) as sequences:
        for sequence in sequences.values():
            add_labelled(comparison, sequence, options.frames)
    part = f"the first {options.frames} frames of each of" if options.frames else "all frames of"
    return f"Masks: {options.davis.name}, {part} {len(sequences)} sequences; {comparison.count} masks."


def _boxfit(options: argparse.Namespace, environ: Mapping[str, str], load: Callable[[Settings], DMB]) -> None:
    from tracker.benchmarks.box_fitting import Comparison, sequence_table, table
    from tracker.benchmarks.validation import processor_name
    from tracker.files import replace_file
    from tracker.settings import from_environment

    if options.output is not None and (options.output.is_dir() or not options.output.absolute().parent.is_dir()):
        raise OSError(f"--output is '{options.output}', which is a folder or in none; name a file in a folder")
    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    config = settings.tracker_config().box_fit
    tracked, labelled = Comparison(config), Comparison(config)
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {processor_name()}; background weight {config.background_weight:g}.", ""]
    if options.vot is not None:
        lines += [_compare_tracked(tracked, options, settings, load), ""]
    if options.davis is not None:
        lines += [_compare_labelled(labelled, options), ""]
    lines += [*table(tracked, labelled), ""]
    if tracked.count:
        lines += ["Overlap with the polygon by sequence:", "", *sequence_table(tracked), ""]
    say("\n".join(lines))
    if options.output is not None:
        replace_file(options.output, "\n".join(lines))


def _check_boxfit(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the process with code 2 where options are missing, have no effect or no sense."""
    if options.vot is None and options.davis is None:
        parser.error("give --vot, --davis or both")
    for name in ("masks_cache", "weights", "model"):
        if options.vot is None and getattr(options, name) is not None:
            parser.error(f"--{name.replace('_', '-')} has no effect without --vot")
    if options.frames is not None and options.frames < 2:
        parser.error(f"--frames is {options.frames}; it must be at least 2")


@command(PROG)
def main(
    arguments: Sequence[str],
    *,
    load: Callable[[Settings], DMB] = load_tracker,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Compare, and print the tables."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_boxfit(parser, options)
    _boxfit(options, environ, load)
