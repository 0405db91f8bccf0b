"""`dmb benchmark speed`: how long a frame takes here, and where the time goes."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.api.loading import load_tracker
from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import say

if TYPE_CHECKING:
    from tracker.benchmarks.speed import Clip, Stages, Times
    from tracker.settings import Settings
    from tracker.tracking.tracker import DMB

PROG = "dmb benchmark speed"
DESCRIPTION = """\
Times DMB on a clip that the program draws itself (the demo's "cat"): milliseconds per frame and by stage, from the
image's array to mask and rotated box; decoding the image is reported separately. With --masks it is a real video.

With --baseline the same frames also go through a plain variant in the same process, in turn with ours: float32, usual
memory layout, the mask refined everywhere, every frame segmented and remembered, as the authors' release works; crops
and memory are as large. The last line is then "ratio x.xx": the plain variant's median time per frame over ours.

On a GPU (DMB_DEVICE=cuda) the output also reports its peak memory and how many CUDA graphs were used. There the stages
wait for the GPU one by one, so they add up to more than a frame's time.

Let nothing else run meanwhile. Settings come from the environment variables DMB_..., see
`python -m tracker.trax_server --help`.
"""
SEQUENCE = "cat"
SIZE = (640, 480)
MIN_FRAMES = 3


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("--baseline", action="store_true", help="also time the plain variant")
    clip = parser.add_argument_group("the clip")
    clip.add_argument(
        "--frames",
        type=int,
        default=100,
        metavar="N",
        help="length of the clip, of a real video at most (default: 100)",
    )
    clip.add_argument("--first", type=int, default=10, metavar="N", help="first frame that counts (default: 10)")
    clip.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("W", "H"),
        help="of the drawn frames in pixels, 32 32 to 640 480 (default: 640 480)",
    )
    clip.add_argument(
        "--masks",
        type=Path,
        metavar="SOURCE",
        help="a real video instead: a folder or tar file of sequences that have a mask for every frame, "
        "SEQUENCE/00000.jpg or .webp with SEQUENCE/00000.png",
    )
    clip.add_argument("--sequence", metavar="NAME", help="which of them to track (default: the first)")
    clip.add_argument("--init", choices=("mask", "box"), default="mask", help="what to start from (default: mask)")
    add_model(parser)
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write all numbers and conditions")
    return parser  # fmt: skip


def _clip(options: argparse.Namespace) -> Clip:
    """What is tracked: a sequence with masks, or the drawn one."""
    from tracker.benchmarks.speed import Clip
    from tracker.data.sequences import SequenceError, choose, open_sequences
    from vot_workspace.demo import SCRIPTS, render

    if options.masks is None:
        size = (options.size or SIZE)[0], (options.size or SIZE)[1]
        return Clip.of(render(SEQUENCE, SCRIPTS[SEQUENCE], options.frames, size), SEQUENCE)
    with open_sequences(options.masks) as sequences:
        names = None if options.sequence is None else [options.sequence]
        chosen = choose(sequences, names, options.masks)[0]
        clip = Clip.of(chosen.frames(options.frames), chosen.name)
    if len(clip.frames) <= options.first:
        raise SequenceError(
            f"'{chosen.where}' has {len(clip.frames)} frames, and the first that counts is frame {options.first}; "
            "lower --first, or name a longer sequence"
        )
    if not clip.mask.any():
        raise SequenceError(f"the first mask of '{chosen.where}' is empty; there is nothing to track")
    return clip


def _run(options: argparse.Namespace, environ: Mapping[str, str], load: Callable[[Settings], DMB]) -> None:
    from tracker.benchmarks.record import record
    from tracker.benchmarks.speed import (
        PlainEngine,
        breakdown,
        measure,
        peak_memory,
        plain_config,
    )
    from tracker.benchmarks.validation import conditions
    from tracker.checkpoints.weights import find_weights, read_weights
    from tracker.files import replace_file
    from tracker.settings import from_environment
    from tracker.tracking.tracker import DMB

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    weights = find_weights(settings.weights, model=settings.model)
    dmb = load(settings)
    facts = conditions(settings, weights, read_weights(weights)[1]["checksum"])
    clip, from_box = _clip(options), options.init == "box"
    count, size = len(clip.frames), clip.mask.shape[::-1]
    checksum = facts["weights"]["checksum"][:12]
    say("{} {}, {device}, {precision}, threads {threads}".format(weights.name, checksum, **facts))
    counted = f"measured from {options.first} on, from the {options.init}"
    say(f"{clip.name}: {count} frames of {size[0]} x {size[1]}, {counted}")
    trackers = {"dmb": dmb}
    if options.baseline:
        trackers["plain"] = DMB(PlainEngine(dmb.engine), plain_config(dmb.config))
    measured = measure(trackers, clip, first=options.first, from_box=from_box)
    stages = breakdown(dmb, clip, first=options.first, from_box=from_box)
    memory = peak_memory(dmb.engine.device)
    for line in _lines(measured, stages, memory):
        say(line)
    graphs = dmb.engine.graphs
    if graphs is not None:
        say(f"CUDA graphs: {graphs}" if graphs else "CUDA graphs: none, see the warning above")
    if options.output is not None:
        document = facts | {
            "clip": {
                "frames": count,
                "first": options.first,
                "size": list(size),
                "init": options.init,
                "sequence": clip.name,
            },
            "initialize_ms": {name: times.initialize for name, times in measured.items()},
            "track_ms": {name: times.frames for name, times in measured.items()},
            "stages_ms": stages.frames,
            "initialize_stages_ms": stages.initialize,
            "peak_memory_mb": memory,
            "cuda_graphs": graphs,
            "records": [
                record(
                    facts,
                    f"speed, {clip.name}, {size[0]} x {size[1]} pixels, from the {options.init}",
                    {"fps": 1000 / measured["dmb"].median, "ms per frame": measured["dmb"].median},
                )
            ],
        }
        replace_file(options.output, json.dumps(document, indent=1) + "\n")
    if options.baseline:
        print(f"ratio {measured['plain'].median / measured['dmb'].median:.2f}", flush=True)


def _lines(measured: Mapping[str, Times], stages: Stages, memory: Mapping[str, float]) -> list[str]:
    """Everything but the ratio as text."""
    held = ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items())
    return [
        *(f"{name}: {times.line()}" for name, times in measured.items()),
        "stages of dmb: median of a frame, its share, 10% to 90%; of the initialization:",
        *stages.lines(),
        f"most memory held: {held}",
    ]


@command(PROG)
def main(
    arguments: Sequence[str], *, load: Callable[[Settings], DMB] = load_tracker, environ: Mapping[str, str] = os.environ
) -> None:
    """Time, and print the numbers."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.frames < MIN_FRAMES:
        parser.error(f"--frames is {options.frames}; it must be at least {MIN_FRAMES}")
    if not 1 <= options.first < options.frames:
        parser.error(f"--first is {options.first}; it must be from 1 to {options.frames - 1}, a frame of the clip")
    if options.size is not None and not (32 <= options.size[0] <= 640 and 32 <= options.size[1] <= 480):
        parser.error("--size must be from 32 32 to 640 480")
    if options.size is not None and options.masks is not None:
        parser.error("--size is that of the drawn clip; leave it out with --masks")
    if options.sequence is not None and options.masks is None:
        parser.error("--sequence is one of --masks; give --masks as well")
    _run(options, environ, load)
