"""Checkpoints: everything that a run needs to go on, and another run to branch off."""

from __future__ import annotations

import logging
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from tracker.network import DMBNet
from tracker.network.backbone import StrideOn
from tracker.training.plan import PlanError

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"  # in a run's folder
UNREADABLE = (RuntimeError, UnpicklingError, EOFError, KeyError, ValueError, TypeError)  # of damaged checkpoints
BRANCHED = "name a folder that holds a run of the same network with the same parts trained, with --from"


def unusable(checkpoint: Path, error: Exception, remedy: str) -> PlanError:
    """The complaint about a checkpoint that is damaged, or of another network."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return PlanError(f"checkpoint '{checkpoint}' cannot be continued ({reason}); {remedy}")


def checkpoint_stride(checkpoint: Path) -> StrideOn:
    """Where the checkpoint's network has its strides; of an unreadable one whoever reads the rest complains."""
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=True)
        return "3x3" if state["stride_on"] == "3x3" else "1x1"
    except (OSError, *UNREADABLE):
        return "1x1"


def branch(model: DMBNet, optimizer: torch.optim.Optimizer, origin: Path) -> None:
    """Start with the weights and the optimizer of another run, which is only read.

    The weights are those that the run trains, not their average. Rates and weight decay stay those of `optimizer`.

    Args:
        model: is filled.
        optimizer: of the model, is filled.
        origin: the other run's folder.

    Raises:
        PlanError: there is no checkpoint, it is damaged, or of another network or with other parts that train.
    """
    checkpoint = origin / CHECKPOINT
    own = [{name: group[name] for name in group if name != "params"} for group in optimizer.param_groups]
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        model.coarse_prediction = bool(state["coarse_prediction"])
        optimizer.load_state_dict(state["optimizer"])
    except OSError as error:
        raise PlanError(f"checkpoint '{checkpoint}' cannot be read ({error.strerror}); {BRANCHED}") from error
    except UNREADABLE as error:
        raise unusable(checkpoint, error, BRANCHED) from error
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update(options)
    log.info("branching off '%s' at its step %d", origin, state["step"])
