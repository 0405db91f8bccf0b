"""The options that choose a network: --weights and --model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from tracker.config import MODEL_NAMES


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --weights and --model."""
    parser.add_argument("--weights", metavar="FILE", help="weights file (default: DMB_WEIGHTS, or the project's own)")
    what = "the project's own weights: of the paper's network, or of a smaller one with smaller masks, for CPUs"
    parser.add_argument("--model", choices=MODEL_NAMES, help=f"{what} (default: DMB_MODEL, or full)")


def model_of(options: argparse.Namespace) -> dict[str, str | None]:
    """What was chosen, by the settings' names."""
    return {"weights": options.weights, "model": options.model}


def chosen_environment(options: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with what was chosen in it, for processes that are started."""
    chosen = {f"DMB_{name.upper()}": text for name, text in model_of(options).items() if text is not None}
    return {**environ, **chosen}
