"""`dmb` for the reader of the documents: as it is, but that a training's plan is cut to one small step."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tracker.cli.main import main

TRUNK = "long"  # the plan whose checkpoint another run branches off


def train(arguments: list[str]) -> int:
    """`dmb train ...`: one step of one sample of two frames at 64 pixels; all else is the plan's."""
    from tracker.training import plan

    read_plan = plan.read_plan

    def short(name: str | Path) -> plan.TrainingConfig:
        config = read_plan(name)
        stage = replace(config.stages[-1], steps=1, size=64, frames=2, batch=1)
        return replace(config, stages=(stage,), map_from=0)

    plan.read_plan = short  # before the modules that use it are imported
    code = main(arguments)
    output = Path(arguments[arguments.index("--output") + 1])
    if arguments[0] != TRUNK:
        (output / "checkpoint.pt").unlink(missing_ok=True)  # large, and no command of the documents reads it
    return code


if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]) if sys.argv[1:2] == ["train"] else main())
