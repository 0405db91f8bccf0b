"""Prints the scores of analyzed workspaces, and where their HTML reports lie.

    python -m vot_workspace.scores WORKSPACE ... [--name NAME]

reads WORKSPACE/analysis/NAME.json as `vot analysis --name NAME` writes it. Of all analyses it knows the three numbers
by which the VOT challenges compare: expected average overlap, accuracy, and robustness (reset-based: failures per
sequence; multi-start: the share of frames tracked before the first failure).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracker.errors import UserError

# analysis class -> what its leading numbers mean
COLUMNS = {
    "vot.analysis.supervised.EAOScore": ("EAO",),
    "vot.analysis.supervised.AverageAccuracyRobustness": ("accuracy", "failures per sequence"),
    "vot.analysis.multistart.EAOScore": ("EAO",),
    "vot.analysis.multistart.AverageAccuracyRobustness": ("accuracy", "robustness"),
}
ORDER = ("EAO", "accuracy", "failures per sequence", "robustness")


class ScoresError(UserError):
    """The scores are missing or not what the toolkit 0.7.4 writes; the message names the file."""


@dataclass
class Table:
    """Scores of one experiment."""

    experiment: str
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # tracker -> column -> number

    def lines(self) -> list[str]:
        """The table as text, best EAO first."""
        present = {name: max(len(name), 5) for name in ORDER if any(name in row for row in self.scores.values())}
        width = max([len(tracker) for tracker in self.scores] + [len("tracker")])
        lines = ["  ".join([f"{'tracker':{width}}", *(f"{name:>{size}}" for name, size in present.items())])]
        for tracker, row in sorted(self.scores.items(), key=lambda item: -item[1].get("EAO", 0.0)):
            cells = [f"{row[name]:{size}.3f}" if name in row else " " * size for name, size in present.items()]
            lines.append("  ".join([f"{tracker:{width}}", *cells]))
        return lines


def read_scores(path: Path) -> list[Table]:
    """Read the tables of an analysis file.

    Raises:
        ScoresError: no such file, or one of another form.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        trackers = list(document["trackers"])
        tables = []
        for name, experiment in document["results"].items():
            table = Table(name, {tracker: {} for tracker in trackers})
            for analysis, result in zip(experiment["parameters"]["analyses"], experiment["results"], strict=True):
                columns = COLUMNS.get(analysis["type"], ())
                for tracker, values in zip(trackers, result, strict=True):
                    table.scores[tracker] |= {column: float(v) for column, v in zip(columns, values, strict=False)}
            tables.append(table)
        return tables
    except FileNotFoundError:
        raise ScoresError(f"'{path}' does not exist; run `vot analysis --name {path.stem}` first") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScoresError(
            f"'{path}' is not an analysis of the toolkit 0.7.4 ({type(error).__name__}: {error}); analyze again"
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vot_workspace.scores", description="Scores of workspaces.")
    parser.add_argument("workspaces", nargs="+", type=Path, metavar="WORKSPACE")
    parser.add_argument("--name", default="demo", help="name given to `vot analysis` and `vot report`")
    options = parser.parse_args(arguments)
    try:
        for workspace in options.workspaces:
            for table in read_scores(workspace / "analysis" / f"{options.name}.json"):
                print(f"\n{workspace} ({table.experiment})")
                print("\n".join(f"  {line}" for line in table.lines()))
                if any(math.isnan(row.get("EAO", 0.0)) for row in table.scores.values()):
                    print("  EAO is nan: no sequence is as long as the bounds in the workspace's stack ask for; track")
                    print("  longer sequences, or lower the bounds there and analyze again")
            report = workspace / "reports" / options.name / "report.html"
            if report.is_file():
                print(f"  report: {report.resolve()}")
    except ScoresError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
