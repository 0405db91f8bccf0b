"""`dmb benchmark backends`: the network in the engine's way beside other programs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, model_of
from tracker.cli.parsing import Parser
from tracker.cli.validate import say

PROG = "dmb benchmark backends"
DESCRIPTION = """\
Times the query encoder and the decoder on the CPU, as DMB runs them and as other programs do: PyTorch as it is written
(float32), with autocast, with torch.compile (needs a C++ compiler), ONNX Runtime (float32) and OpenVINO. One that is
not there is left out, and the reason told. By how much each differs from plain float32 (relative root mean square) is
told as well.

Let nothing else run meanwhile. Settings come from the environment variables DMB_..., see
`python -m tracker.trax_server --help`; DMB_PRECISION is that of all that can, DMB_THREADS and DMB_MAX_FRAMES count too.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("--size", type=int, metavar="PIXELS",
                        help="side of the crop, a multiple of 16 from 64 (default: of the crop where masks are wanted)")
    parser.add_argument("--repetitions", type=int, default=20, metavar="N", help="passes that count (default: 20)")
    add_model(parser)
    return parser  # fmt: skip


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    from tracker.assembly import build_config, build_engine
    from tracker.benchmarks.backends import PARTS, measure, prepared
    from tracker.engine import DeviceError
    from tracker.settings import from_environment

    settings = from_environment(environ, model_of(options))
    warn_of_settings(PROG, environ)
    engine, path = build_engine(settings)
    if engine.device.type != "cpu":
        raise DeviceError(f"the back ends are those of a CPU, not of '{engine.device}'; set DMB_DEVICE=cpu")
    config = build_config(settings, engine)
    size, frames = options.size or config.crop.segment_size, config.appearance.max_frames
    import torch

    say(f"{path.name}, cpu, {str(engine.dtype).removeprefix('torch.')}, threads {torch.get_num_threads()}")
    with prepared(engine.model, engine.dtype, size=size, frames=frames) as setup:
        for part in PARTS:
            read = f", {frames} remembered frames" if part == "decoder" else ""
            say(f"{part}, {size} pixels{read}:")
            for row in measure(setup, part, options.repetitions):
                say(row.line())


@command(PROG)
def main(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> None:
    """Time, and print the numbers."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.repetitions < 1:
        parser.error(f"--repetitions is {options.repetitions}; it must be at least 1")
    if options.size is not None and (options.size < 64 or options.size % 16):
        parser.error(f"--size is {options.size}; it must be a multiple of 16 from 64")
    _run(options, environ)
