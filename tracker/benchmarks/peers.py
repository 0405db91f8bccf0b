"""Trackers beside each other in one workspace of the toolkit: scores, time and memory, as a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from vot_workspace.answers import failures, seconds
from vot_workspace.layout import Layout
from vot_workspace.scores import Table

HEADER = ("tracker", "EAO", "accuracy", "failures", "ms a frame", "memory, MB")
ROBUSTNESS = "robustness"  # in place of failures, where no tracker is ever started again


@dataclass(frozen=True)
class Row:
    """A tracker in one experiment.

    Attributes:
        tracker: its name.
        scores: by name, as the toolkit's analysis has them.
        failures: on all sequences together; None where the experiment does not start again.
        milliseconds: median over all tracked frames of the time from the image's path to the answer, which the
            toolkit has measured; None where it has not.
        megabytes: peak resident memory of the tracker's processes; None where it was not seen.
    """

    tracker: str
    scores: Mapping[str, float]
    failures: int | None
    milliseconds: float | None
    megabytes: float | None

    def numbers(self) -> dict[str, float | None]:
        """All of them by name."""
        own = {"failures": self.failures, "ms a frame": self.milliseconds, "memory, MB": self.megabytes}
        return {**{name: self.scores.get(name) for name in ("EAO", "accuracy", ROBUSTNESS)}, **own}


def rows(layout: Layout, table: Table, folders: Mapping[str, str], memory: Mapping[str, float]) -> list[Row]:
    """The rows of an experiment, best EAO first.

    Args:
        layout: the workspace.
        table: the experiment's scores.
        folders: name of the folder of results by tracker.
        memory: megabytes by tracker.

    Raises:
        WorkspaceError: results are damaged.
    """
    found = []
    again = layout.experiments[table.experiment].get("type") == "supervised"
    for tracker, scores in table.scores.items():
        results = [
            layout.directory / "results" / folders[tracker] / table.experiment / name for name in layout.sequences
        ]
        times = [time for folder in results for time in seconds(folder)]
        lost = sum(map(failures, results)) if again else None
        spent = 1000 * median(times) if times else None
        found.append(Row(tracker, scores, lost, spent, memory.get(tracker)))
    return sorted(found, key=lambda row: -row.scores.get("EAO", 0.0))


def markdown(found: Sequence[Row]) -> list[str]:
    """Rows as lines of a Markdown table."""
    names = [ROBUSTNESS if name == "failures" and found[0].failures is None else name for name in HEADER]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in found:
        numbers = row.numbers()
        cells = [_cell(name, numbers[name]) for name in names[1:]]
        lines.append(f"| {' | '.join([row.tracker, *cells])} |")
    return lines


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in ("failures", "memory, MB"):
        return f"{value:.0f}"
    return f"{value:.1f}" if name == "ms a frame" else f"{value:.3f}"


def plot(found: Sequence[Row], path: Path) -> bool:
    """Draw EAO against milliseconds per frame as PNG; returns False, with nothing written, where no row has both."""
    points = [(row.milliseconds, row.scores.get("EAO"), row.tracker) for row in found]
    known = [(time, score, name) for time, score, name in points if time is not None and score is not None]
    if not known:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for time, score, name in known:
        axes.plot(time, score, "o", color="tab:red" if name.startswith("DMB") else "tab:blue")
        axes.annotate(name, (time, score), xytext=(6, 4), textcoords="offset points")
    highest = max(score for _, score, _ in known)
    axes.set(xlabel="milliseconds per frame", ylabel="EAO", xscale="log", ylim=(0, 1.15 * max(highest, 0.1)))
    axes.margins(x=0.4)  # names stand to the right of their points
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=120, format="png")
    return True
