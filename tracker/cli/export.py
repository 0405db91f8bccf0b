"""`dmb export onnx`: the trained network as ONNX files, compared with PyTorch as they are written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tracker.cli.ending import command
from tracker.cli.model import add_model
from tracker.cli.parsing import Parser
from tracker.settings import default_of

DESCRIPTION = """\
Writes the trained network as three ONNX files for runtimes without PyTorch:

  query_encoder.onnx   image -> query, value, features at strides 4, 8 and 16
  memory_encoder.onnx  image, mask -> rows of keys and values
  decoder.onnx         the query's features, any number of remembered rows, spatial map -> probabilities

and compares each with PyTorch in onnxruntime. Needs: pip install onnx onnxruntime. examples/onnx_segmentation.py shows
how the files work together. Their metadata hold the size of the crop, its side in target sizes, and the checksum of the
weights, as dmb.size, dmb.factor and dmb.weights.
"""
STEP = 16


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dmb export", description=DESCRIPTION)
    parser.add_argument("format", choices=("onnx",), help="what to write")
    parser.add_argument("--output", type=Path, default=Path("onnx"), metavar="DIR", help="folder (default: onnx)")
    usual = default_of("crop.segment_size")
    parser.add_argument(
        "--size",
        type=int,
        metavar="S",
        help=f"side of the crop in pixels, a multiple of 16, fixed in the files (default: {usual})",
    )
    add_model(parser)
    parser.add_argument("--no-verify", action="store_true", help="do not compare with PyTorch")
    return parser  # fmt: skip


@command("dmb export")
def main(arguments: Sequence[str]) -> None:
    """Export and compare."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.size is not None and (options.size < 4 * STEP or options.size % STEP):
        parser.error(f"--size is {options.size}; give a multiple of {STEP} from {4 * STEP}")

    from tracker.checkpoints.onnx_export import export
    from tracker.checkpoints.weights import find_weights, load_weights, read_weights
    from tracker.config import TrackerConfig

    weights = find_weights(options.weights, model=options.model)
    model = load_weights(weights)
    checksum = read_weights(weights)[1]["checksum"]
    size = options.size or TrackerConfig.of(model.architecture.model).crop.segment_size
    facts, compare = {"weights": checksum}, not options.no_verify
    for path, difference in export(model, options.output, size=size, facts=facts, compare=compare).items():
        compared = "" if difference is None else f", differs from PyTorch by at most {difference:.1e}"
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB{compared}")
