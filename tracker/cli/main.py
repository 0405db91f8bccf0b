"""The `dmb` command. Subcommands are imported when they are called: `dmb --help` must not wait for torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tracker import __version__

USAGE = """\
usage: dmb COMMAND ...

commands:
  ablate ...    the paper's ablation study with your weights: dmb ablate --vot SOURCE --output DIR
  benchmark ... scores on public benchmarks, and measurements of parts: dmb benchmark davis --root DIR --output DIR
  score ...     J and F of a folder of masks, another method's too: dmb score davis --root DIR --masks DIR
  track ...     a mask around things in your own video: dmb track VIDEO --box X,Y,W,H
  evaluate ...  the VOT toolkit's evaluation in N processes: dmb evaluate --workspace DIR --workers N TRACKER ...
  train ...     train the network: dmb train PLAN --data DIR --trunk FILE --output DIR
  validate ...  J, F and EAO of a weights file: dmb validate --masks SOURCE --vot DIR
  vot ...       the VOT toolkit's command line; also understands `dmb vot analysis --format html` as
                analysis and HTML report in one go
  weights ...   other projects' checkpoints and torchvision's ResNet-50 into weights: dmb weights convert SOURCE;
                what a file holds: dmb weights info FILE
  workspace ... a workspace for the VOT toolkit: dmb workspace vot2018 DIR; from videos with masks: dmb workspace
                from-masks SOURCE DIR

  --help        this text
  --version     the version

Every command has its own --help.
"""


def _ablate() -> Callable[[Sequence[str]], int]:
    from tracker.cli.ablate import main

    return main


def _benchmark() -> Callable[[Sequence[str]], int]:
    from tracker.cli.benchmark import main

    return main


def _score() -> Callable[[Sequence[str]], int]:
    from tracker.cli.score import main

    return main


def _evaluate() -> Callable[[Sequence[str]], int]:
    from tracker.cli.evaluate import main

    return main


def _vot() -> Callable[[Sequence[str]], int]:
    from tracker.cli.vot import main

    return main


def _track() -> Callable[[Sequence[str]], int]:
    from tracker.cli.track import main

    return main


def _train() -> Callable[[Sequence[str]], int]:
    from tracker.training.__main__ import main

    return main


def _validate() -> Callable[[Sequence[str]], int]:
    from tracker.cli.validate import main

    return main


def _weights() -> Callable[[Sequence[str]], int]:
    from tracker.cli.weights import main

    return main


def _workspace() -> Callable[[Sequence[str]], int]:
    from tracker.cli.workspace import main

    return main


COMMANDS = {
    "ablate": _ablate,
    "benchmark": _benchmark,
    "score": _score,
    "track": _track,
    "evaluate": _evaluate,
    "train": _train,
    "validate": _validate,
    "vot": _vot,
    "weights": _weights,
    "workspace": _workspace,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"dmb {__version__}")
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        print(f"dmb: there is no command '{arguments[0]}'; use one of: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return command()(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
