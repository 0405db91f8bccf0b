"""`dmb doctor`: what is wrong with this installation, and how to repair it.

Every check runs, whatever the others have found: with a broken torch the toolkit is looked at all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tracker import __version__
from tracker.cli.ending import FAILURE, command
from tracker.cli.parsing import Parser
from tracker.doctor import files, machine, packages, registry
from tracker.doctor.finding import Finding, Surroundings, told
from tracker.doctor.self_test import self_test
from tracker.errors import hidden

DESCRIPTION = """\
Checks the installation: Python and the packages with their versions, PyTorch and the device, the weights, and
trackers.ini; then tracks a short generated clip with the weights and says how well and how fast.

One line for each check: ok, note (works, but worth knowing) or problem; below a problem is the command to type.
The exit code is 0 where nothing is broken, and 1 otherwise.
"""
Check = Callable[[Surroundings], Iterable[Finding]]
CHECKS: Mapping[str, Check] = {
    "python": packages.python_version,
    "settings": machine.settings,
    "packages": packages.packages,
    "torch": machine.torch,
    "weights": files.weights,
    "trackers.ini": registry.registry,
    "self test": self_test,
}
SLOW = ("self test",)  # left out by --fast


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dmb doctor", description=DESCRIPTION)
    parser.add_argument("--fast", action="store_true", help="without the tracked clip")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end instead of lines")
    return parser


def examine(
    surroundings: Surroundings, checks: Mapping[str, Check], announce: Callable[[str], None] = lambda name: None
) -> Iterator[Finding]:
    """Make checks one by one; one that breaks down is a problem, and the next one follows.

    Args:
        surroundings: what is checked.
        checks: by name.
        announce: is told the name of each before it begins.
    """
    for name, check in checks.items():
        announce(name)
        try:
            yield from check(surroundings)
        except Exception as error:
            text = f"the check itself failed ({told(error)}); please report this, with the output of --json"
            yield Finding(name, "problem", text, "dmb doctor --json")


def lines(finding: Finding) -> list[str]:
    """A finding as printed; the command is on a line of its own, to be copied."""
    text = f"{finding.status:8s} {finding.name}: {' '.join(finding.text.split())}"
    return [text, f"         type: {finding.remedy}"] if finding.remedy else [text]


@command("dmb doctor")
def main(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    checks: Mapping[str, Check] = CHECKS,
) -> int:
    """Make the checks, by name, in the current folder or another one."""
    options = _parser().parse_args(arguments)
    chosen = {name: check for name, check in checks.items() if not (options.fast and name in SLOW)}
    found = []

    def announce(name: str) -> None:
        if name in SLOW and not options.json:
            words = "a short clip is tracked, up to a minute without a GPU; --fast leaves it out"
            print(f"         {name}: {words}", flush=True)

    for finding in examine(Surroundings(environ, folder or Path.cwd()), chosen, announce):
        found.append(finding)
        if not options.json:
            print("\n".join(lines(finding)), flush=True)
    problems = sum(finding.status == "problem" for finding in found)
    if options.json:
        document = {"version": __version__, "ok": not problems, "checks": [asdict(finding) for finding in found]}
        print(json.dumps(document, indent=2))
    else:
        print("nothing is broken" if not problems else f"{problems} problem{'s' if problems > 1 else ''}, see above")
    if problems and (sentence := hidden()):
        if not options.json:
            print(sentence, file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(FAILURE)  # libraries that were imported by half crash as Python ends
    return FAILURE if problems else 0
