"""The mean of several weights files: branches of one run, averaged, often track better than each of them.

Averaged weights mean something only where the files descend from one training (Wortsman et al. 2022, "model soups").
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tracker.checkpoints.weights import WeightsError, build_model, fill_model, read_weights, save_weights

ALIKE = ("architecture", "stride_on", "coarse_prediction", "position", "spatial_map")  # what files must agree in
DIGITS = 12  # of the checksums that name the sources


def average_weights(sources: Sequence[Path], output: str | os.PathLike[str]) -> dict[str, str]:
    """Write the mean of weights files.

    Args:
        sources: two files or more; one that is named twice counts twice.
        output: the file to write, in half precision, atomically.

    Returns:
        The metadata as written: `stage` of the first file, and which files were averaged, by name and checksum.

    Raises:
        WeightsError: a file cannot be used, or they are not of one network.
        OSError: the output cannot be written.
    """
    first, stated = read_weights(sources[0])
    sums = {name: tensor.double() for name, tensor in first.items()}
    named = []
    for source in sources:
        tensors, facts = (first, stated) if source == sources[0] else read_weights(source)
        named.append(f"{source.name} {facts['checksum'][:DIGITS]}")
        for name in ALIKE:
            if facts.get(name) != stated.get(name):
                raise WeightsError(
                    f"'{source}' and '{sources[0]}' have another {name}, '{facts.get(name)}' and '{stated.get(name)}'; "
                    "average files of one training"
                )
        if len(named) > 1:
            if {name: tensor.shape for name, tensor in tensors.items()} != {k: v.shape for k, v in first.items()}:
                raise WeightsError(
                    f"'{source}' holds different tensors from '{sources[0]}'; average files of one training"
                )
            for name, tensor in tensors.items():
                sums[name] += tensor.double()
    model = build_model(stated, sources[0])
    fill_model(model, {name: (total / len(sources)).float() for name, total in sums.items()}, sources[0])
    steps = f"the mean of {len(sources)} files"
    return save_weights(model, output, {"stage": stated.get("stage", ""), "steps": steps, "mean_of": ", ".join(named)})
