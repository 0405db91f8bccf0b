"""The paper's ablation study (Table VIII, Fig. 14): which rows there are, and how what was measured is laid out.

A row is a set of settings. What the paper calls "Filter Samp." is the quality gate, and its rows of interval 15 and 20
in Table VIII are without it. The paper measured on VOT2018 and DAVIS-2016; its numbers stand beside ours to compare
differences between rows, not values.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracker.errors import UserError

ROBUSTNESS = "failures per 100 frames"  # as the paper's R is read (docs/BENCHMARKS.md)
COLUMNS = ("EAO", "accuracy", "failures per sequence", ROBUSTNESS, "J&F")
FULL = "full"


@dataclass(frozen=True)
class Row:
    """One configuration of the study.

    Attributes:
        name: identifies it, in file names too.
        title: what is different.
        settings: environment variables of the tracker that differ from the defaults.
        weights: "concat" or "response" where the row needs weights of its own.
        paper: the paper's EAO, A, R and J&F of this row, where it prints them.
        table: it is a row of Table VIII or one of ours beside them.
        interval: its point on the curve of Fig. 14, if it is one.
    """

    name: str
    title: str
    settings: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None
    paper: Mapping[str, float] = field(default_factory=dict)
    table: bool = True
    interval: int | None = None


def _paper(accuracy: float, robustness: float, overlap: float, both: float | None = None) -> dict[str, float]:
    numbers = {"A": accuracy, "R": robustness, "EAO": overlap}
    return numbers if both is None else numbers | {"J&F": both / 100}


def _interval(value: int) -> dict[str, str]:
    return {"DMB_SAMPLING_INTERVAL": str(value)}


GATE_OFF = {"DMB_GATE": "off"}

ROWS: tuple[Row, ...] = (
    Row(FULL, "everything (interval 5)", paper=_paper(0.652, 0.145, 0.506, 77.3), interval=5),
    Row("last_frame_off", "last frame not always added", {"DMB_LAST_FRAME": "off"},
        paper=_paper(0.665, 0.174, 0.467, 70.3)),
    Row("box2seg_off", "without Box2Seg", {"DMB_BOX2SEG": "off"}, paper=_paper(0.635, 0.164, 0.492)),
    Row("interval_10", "interval 10", _interval(10), paper=_paper(0.640, 0.159, 0.480, 67.8), interval=10),
    Row("gate_off", "without sample filtering", GATE_OFF, paper=_paper(0.627, 0.210, 0.421, 69.1)),
    Row("concat", "spatial map concatenated", {"DMB_POSITION": "concat"}, weights="concat",
        paper=_paper(0.650, 0.150, 0.486)),
    Row("interval_15_gate_off", "interval 15 without sample filtering", _interval(15) | GATE_OFF,
        paper=_paper(0.622, 0.225, 0.410, 66.4)),
    Row("interval_20_gate_off", "interval 20 without sample filtering", _interval(20) | GATE_OFF,
        paper=_paper(0.620, 0.227, 0.402, 63.6)),
    Row("position_none", "no positional encoding", {"DMB_POSITION": "none"}),
    Row("response", "filter's response as spatial map", {"DMB_SPATIAL_MAP": "response"}, weights="response"),
    Row("correct_center_on", "mask corrects the filter's center", {"DMB_CORRECT_CENTER": "on"}),
    Row("filter_off", "no filter and no gate: appearance memory alone", {"DMB_FILTER": "off"}),
    Row("segment_off", "the filter alone, no masks", {"DMB_SEGMENT": "off"}),
    Row("interval_0", "interval 0: first frame only", _interval(0), table=False, interval=0),
    Row("interval_1", "interval 1", _interval(1), table=False, interval=1),
    Row("interval_15", "interval 15", _interval(15), table=False, interval=15),
    Row("interval_20", "interval 20", _interval(20), table=False, interval=20),
    Row("interval_30", "interval 30", _interval(30), table=False, interval=30),
)  # fmt: skip
# points of the paper's curve: those of Table VIII, and those that the text of Section IV-C names
PAPER_CURVE = {
    "EAO": {5: 0.506, 10: 0.480, 30: 0.427},
    "A": {0: 0.577, 1: 0.663, 5: 0.652, 10: 0.640},
    "R": {5: 0.145, 10: 0.159},
}


class AblationError(UserError):
    """A row cannot be measured; the message says which and why."""


def choose_rows(names: Sequence[str] | None, weights: Collection[str | None]) -> list[Row]:
    """The rows of these names, all of them without names, in the order of the study.

    Args:
        names: of the rows.
        weights: kinds of weights that are there; None stands for those that most rows use.

    Raises:
        AblationError: there is no such row, or a named one lacks its weights.
    """
    known = {row.name: row for row in ROWS}
    for name in names or ():
        if name not in known:
            raise AblationError(f"there is no row '{name}' in the ablation study; use some of: {', '.join(known)}")
        if known[name].weights not in weights:
            kind = known[name].weights
            raise AblationError(f"row '{name}' needs weights trained so; give --{kind}-weights FILE (docs/TRAINING.md)")
    return [row for row in ROWS if not names or row.name in names]


Scores = Mapping[str, Mapping[str, Any]]  # row name -> column -> number


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) and math.isfinite(value) else ""


def _difference(scores: Scores, row: Row) -> str:
    """EAO of a row minus that of the full tracker."""
    ours, full = (scores.get(name, {}).get("EAO") for name in (row.name, FULL))
    return f"{ours - full:+.3f}" if _cell(ours) and _cell(full) and row.name != FULL else ""  # type: ignore[operator]


def _paper_difference(row: Row) -> str:
    return f"{row.paper['EAO'] - ROWS[0].paper['EAO']:+.3f}" if row.paper and row.name != FULL else ""


HEADER = (
    "row", *COLUMNS, "EAO against full", "paper: EAO", "paper: A", "paper: R", "paper: J&F", "paper: EAO against full"
)  # fmt: skip


def table(rows: Sequence[Row], scores: Scores) -> list[list[str]]:
    """The study as lines of cells, the header first; what was not measured stays empty."""
    lines = [list(HEADER)]
    for row in rows:
        found = scores.get(row.name, {})
        cells = [row.title, *(_cell(found.get(column)) for column in COLUMNS), _difference(scores, row)]
        cells += [_cell(row.paper.get(name)) for name in ("EAO", "A", "R", "J&F")]
        lines.append([*cells, _paper_difference(row)])
    return lines


def markdown(rows: Sequence[Row], scores: Scores, conditions: Sequence[str]) -> str:
    """The study as a Markdown document: Table VIII and our rows, then Fig. 14's curve.

    Args:
        rows: those of the study that were asked for.
        scores: what was measured.
        conditions: lines on how.
    """
    parts = ["# Ablation study", "\n".join(f"- {line}" for line in conditions)]
    for title, chosen in (
        ("Table VIII", [row for row in rows if row.table]),
        ("Fig. 14: sampling interval", sorted((r for r in rows if r.interval is not None), key=lambda r: r.interval)),  # type: ignore[arg-type, return-value]
    ):
        lines = table(chosen, scores)
        if len(lines) > 1:
            body = [f"| {' | '.join(line)} |" for line in lines]
            parts += [f"## {title}", "\n".join([body[0], "|---" * len(HEADER) + "|", *body[1:]])]
    missing = [row.title for row in rows if row.name not in scores]
    if missing:
        parts.append(f"Not measured: {', '.join(missing)}.")
    return "\n\n".join(parts) + "\n"


def comma_separated(rows: Sequence[Row], scores: Scores) -> str:
    """The study as CSV, all rows in one table."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table(rows, scores))
    return stream.getvalue()


def curve(rows: Sequence[Row], scores: Scores, column: str) -> tuple[list[int], list[float]]:
    """Intervals and values of a column, where both are there."""
    points = sorted(
        (row.interval, float(scores[row.name][column]))
        for row in rows
        if row.interval is not None and _cell(scores.get(row.name, {}).get(column))
    )
    return [point[0] for point in points], [point[1] for point in points]


def plot(rows: Sequence[Row], scores: Scores, path: str) -> bool:
    """Draw EAO, accuracy and robustness against the interval, with what the paper says of them, as PNG.

    Returns:
        False, and nothing is written, where fewer than two points were measured.
    """
    if len(curve(rows, scores, "EAO")[0]) < 2:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (column, paper) in enumerate((("EAO", "EAO"), ("accuracy", "A"), (ROBUSTNESS, "R")), 1):
        axes = figure.add_subplot(1, 3, number)
        axes.plot(*curve(rows, scores, column), "o-", label="ours")
        points = PAPER_CURVE[paper]
        axes.plot(list(points), list(points.values()), "x", color="gray", label="paper, VOT2018")
        axes.set(title=column, xlabel="sampling interval, frames", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)
    return True
