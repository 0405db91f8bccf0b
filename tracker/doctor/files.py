"""The weights file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from tracker.doctor.finding import Finding, Surroundings, told

CHECKOUT = Path(__file__).resolve().parents[2]


def weights(surroundings: Surroundings) -> Iterator[Finding]:
    """Is the weights file there, and is it whole?"""
    try:
        from tracker.checkpoints.weights import WeightsError, find_weights, read_weights
    except Exception as error:
        yield Finding("weights", "note", f"cannot be checked before torch can be imported ({told(error)})")
        return
    try:
        path = find_weights(None, surroundings.environ)
        metadata = read_weights(path)[1]
    except WeightsError as error:
        yield Finding("weights", "problem", str(error), restore(surroundings.environ))
        return
    yield Finding("weights", "ok", f"{path}, checksum {metadata['checksum'][:12]} verified")


def restore(environ: Mapping[str, str]) -> str:
    """What brings usable weights back, of the model that is asked for; empty where nothing to type does."""
    from tracker.checkpoints.weights import WEIGHTS_NAMES, asked_model

    if environ.get("DMB_WEIGHTS"):
        return "unset DMB_WEIGHTS"
    if (CHECKOUT / ".git").exists():
        file = f"weights/{WEIGHTS_NAMES[asked_model(environ) or 'full']}"
        return shlex.join(["git", "-C", str(CHECKOUT), "checkout", "--", file])
    return ""
