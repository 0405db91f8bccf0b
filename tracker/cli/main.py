"""The `dmb` command. Subcommands are imported when they are called: `dmb --help` must not wait for torch."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pkgutil import resolve_name

from tracker import __version__
from tracker.cli.ending import EXIT_CODES, complain
from tracker.cli.ending import USAGE as WRONG
from tracker.cli.parsing import advice, help_width, reflow

USAGE = """\
usage: dmb COMMAND ...

tracking:
  track ...      a mask around things in your own video: dmb track VIDEO --box X,Y,W,H
  doctor         what is wrong with this installation, and how to repair it
  export ...     the network as ONNX files: dmb export onnx --output DIR
  weights ...    other projects' checkpoints and torchvision's ResNet-50 into weights: dmb weights convert SOURCE;
                 what a file holds: dmb weights info FILE

the VOT toolkit:
  workspace ...  a workspace: dmb workspace vot2018 DIR; from videos with masks: dmb workspace from-masks SOURCE DIR
  evaluate ...   its evaluation in N processes: dmb evaluate --workspace DIR --workers N TRACKER ...
  vot ...        its command line; also understands `dmb vot analysis --format html` as analysis and HTML report in
                 one go

benchmarks:
  ablate ...     the paper's ablation study with your weights: dmb ablate --vot SOURCE --output DIR
  benchmark ...  scores on public benchmarks, and measurements of parts: dmb benchmark davis --root DIR --output DIR
  results ...    what these commands have measured, in one table: dmb results SOURCE ...
  score ...      J and F of a folder of masks, from any method: dmb score davis --root DIR --masks DIR
  validate ...   J, F and EAO of a weights file: dmb validate --masks SOURCE --vot DIR

training:
  train ...      train the network: dmb train PLAN --data DIR --trunk FILE --output DIR

  --help         this text
  --version      the version

`dmb COMMAND --help` explains a command in full, with units and defaults.

"""
USAGE += EXIT_CODES

OPTIONS = ("--help", "--version")
FUNCTIONS = {
    "track": "tracker.cli.track:main",
    "doctor": "tracker.cli.doctor:main",
    "export": "tracker.cli.export:main",
    "weights": "tracker.cli.weights:main",
    "workspace": "tracker.cli.workspace:main",
    "evaluate": "tracker.cli.evaluate:main",
    "vot": "tracker.cli.vot:main",
    "ablate": "tracker.cli.ablate:main",
    "benchmark": "tracker.cli.benchmark:main",
    "results": "tracker.cli.results:main",
    "score": "tracker.cli.score:main",
    "validate": "tracker.cli.validate:main",
    "train": "tracker.cli.train:main",
}

# a call imports the command's module and gives its function, which takes arguments and returns the exit code
COMMANDS: dict[str, Callable[[], Callable[..., int]]] = {
    name: partial(resolve_name, function) for name, function in FUNCTIONS.items()
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["help"] and len(arguments) > 1:  # dmb help track
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(reflow(USAGE, help_width()), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else WRONG
    if arguments[0] == "--version":
        print(f"dmb {__version__}")
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        kind, names = ("option", OPTIONS) if arguments[0].startswith("-") else ("command", tuple(COMMANDS))
        complain("dmb", f"there is no {kind} '{arguments[0]}'; {advice(arguments[0], names)}")
        return WRONG
    try:
        return command()(arguments[1:])
    except BrokenPipeError:  # whoever read the output, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


if __name__ == "__main__":
    sys.exit(main())
