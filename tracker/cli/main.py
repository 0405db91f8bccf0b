"""The `dmb` command. Subcommands are imported when they are called: `dmb --help` must not wait for torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tracker import __version__

USAGE = """\
usage: dmb COMMAND ...

commands:
  ablate ...    the paper's ablation study with your weights: dmb ablate --vot SOURCE --output DIR
  benchmark ... how well and how fast parts of the tracker work: dmb benchmark boxfit --vot SOURCE --davis SOURCE
  train ...     train the network: dmb train PLAN --data DIR --trunk FILE --output DIR
  validate ...  J, F and EAO of a weights file: dmb validate --masks SOURCE --vot DIR
  vot ...       the VOT toolkit's command line; also understands `dmb vot analysis --format html` as
                analysis and HTML report in one go
  weights ...   other projects' checkpoints and torchvision's ResNet-50 into weights: dmb weights convert SOURCE;
                what a file holds: dmb weights info FILE

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


def _vot() -> Callable[[Sequence[str]], int]:
    from tracker.cli.vot import main

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


COMMANDS = {
    "ablate": _ablate,
    "benchmark": _benchmark,
    "train": _train,
    "validate": _validate,
    "vot": _vot,
    "weights": _weights,
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
