"""Lays out results: a section for each table of the paper, with our numbers beside its own, and one for each
development set; the same sections become Markdown, HTML and CSV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tracker.benchmarks.results import (
    NOT_RECORDED,
    OURS,
    Conditions,
    DevelopmentSet,
    Measurement,
    Place,
    Results,
)  # fmt: skip
from tracker.benchmarks.results_published import NOT_PRINTED, PAPER, Published, Row, Table

NOT_RUN = "not run"
CONDITION_COLUMNS = ("date", "commit", "weights", "hardware", "precision", "settings", "source")
# kinds of cells
HEAD, MEASURED, MISSING, OWN, OTHER, ABSENT, PLAIN = "head", "measured", "missing", "own", "other", "absent", "plain"


@dataclass(frozen=True)
class Cell:
    """Text, and what it is (one of the kinds above)."""

    text: str
    kind: str = PLAIN


@dataclass(frozen=True)
class Grid:
    """A table of cells."""

    caption: str
    header: list[str]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Section:
    """What belongs to a table of the paper, or to a development set.

    Attributes:
        anchor: identifies it in a page.
        title: for people.
        grids: the numbers first, then how they were measured.
        places: what was measured on.
        table: of the paper, None for a development set.
        notes: what must be known of it.
        older: measurements that do not stand, a line each.
    """

    anchor: str
    title: str
    grids: list[Grid]
    places: list[Place]
    table: Table | None = None
    notes: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)


def sections(results: Results, published: Published) -> list[Section]:
    """All sections, those of the paper's tables first."""
    ours = [_paper_section(table, results, published) for table in published.tables]
    return ours + [_development_section(number, one, results) for number, one in
                   enumerate(results.development_sets, 1)]  # fmt: skip


def coverage(results: Results, published: Published) -> tuple[int, int]:
    """How many of the numbers that the paper prints of its tracker were measured with ours, and how many there are."""
    rows = [row for table in published.tables for row in table.rows]
    return sum(results.cell(row.benchmark, OURS, row.metric) is not None for row in rows), len(rows)


def _label(row: Row, table: Table, published: Published) -> str:
    several = len(table.benchmarks) > 1
    return f"{published.benchmarks[row.benchmark].title}: {row.label}" if several else row.label


def _measured(results: Results, place: Place, tracker: str, metric: str) -> Measurement | str:
    """The measurement that stands, or why there is none."""
    found = results.cell(place, tracker, metric)
    return found or (NOT_RECORDED if results.standing(place, tracker) else NOT_RUN)


def _paper_section(table: Table, results: Results, published: Published) -> Section:
    trackers = list(dict.fromkeys([OURS, *results.trackers(table.benchmarks)]))
    columns = [PAPER, *(column for column in table.columns if column != PAPER)]
    header = ["measure" + (", %" if table.percent else ""), *(f"{tracker} (measured here)" for tracker in trackers)]
    header += [f"{OURS} (paper)", *(f"{column} (paper)" for column in columns[1:])]
    rows = []
    for row in table.rows:
        cells = [Cell(_label(row, table, published), HEAD)]
        for tracker in trackers:
            found = _measured(results, row.benchmark, tracker, row.metric)
            cells.append(Cell(found, MISSING) if isinstance(found, str) else Cell(table.shown(found.value), MEASURED))
        for column in columns:
            printed = row.values[column]
            kind = ABSENT if printed == NOT_PRINTED else OWN if column == PAPER else OTHER
            cells.append(Cell(NOT_PRINTED if kind == ABSENT else printed, kind))
        rows.append(cells)
    title = f"Table {table.number}: {table.title}"
    grids = [Grid(title, header, rows)]
    grids += _conditions_grid(table.benchmarks, results, published, title)
    notes = [table.note] if table.note else []
    for key in table.benchmarks:
        if not any(results.cell(key, OURS, metric) for metric in published.metrics(key)):
            benchmark = published.benchmarks[key]
            notes.append(f"{benchmark.title} was not run with our weights so far. To fill this: {benchmark.run}.")
    older = [line for key in table.benchmarks for line in _older(key, results, published.benchmarks[key].title, table)]
    return Section(f"table-{table.number.lower()}", title, grids, list(table.benchmarks), table, notes, older)


def _development_section(number: int, place: DevelopmentSet, results: Results) -> Section:
    metrics = results.metrics(place)
    trackers = results.trackers([place])
    rows = []
    for tracker in trackers:
        cells = [Cell(tracker, HEAD)]
        for metric in metrics:
            found = results.cell(place, tracker, metric)
            cells.append(Cell(NOT_PRINTED, ABSENT) if found is None else Cell(f"{found.value:.3f}", MEASURED))
        rows.append(cells)
    grids = [Grid(place.title, ["tracker", *metrics], rows), *_conditions_grid([place], results, None, place.title)]
    notes = [place.note or f"{place.protocol}; {', '.join(place.sequences)}"]
    return Section(f"set-{number}", place.title, grids, [place], None, notes, _older(place, results, "", None))


def _conditions_grid(
    places: Sequence[Place], results: Results, published: Published | None, title: str
) -> list[Grid]:
    """How the numbers were measured, a row for all of a tracker's that were measured alike; nothing without numbers."""
    rows = []
    for place in places:
        for tracker in results.trackers([place]):
            alike: dict[Conditions, list[str]] = {}
            for one in results.standing(place, tracker):
                alike.setdefault(one.conditions, []).append(one.metric)
            for conditions, metrics in alike.items():
                several = published is not None and len(places) > 1
                where = f"{published.benchmarks[str(place)].title}: " if published is not None and several else ""
                facts = conditions.row()
                cells = [Cell(tracker, HEAD), Cell(where + ", ".join(metrics))]
                rows.append(cells + [
                    Cell(facts[name], MISSING if facts[name] == NOT_RECORDED else PLAIN) for name in CONDITION_COLUMNS
                ])  # fmt: skip
    return [Grid(f"{title}: how it was measured", ["tracker", "numbers", *CONDITION_COLUMNS], rows)] if rows else []


def _older(place: Place, results: Results, where: str, table: Table | None) -> list[str]:
    lines = []
    for old, new in results.older(place):
        shown = table.shown if table is not None else "{:.3f}".format
        label = f"{where} {old.metric}".strip()
        lines.append(
            f"{old.tracker}, {label}: {shown(old.value)} ({_brief(old.conditions)}) gave way to {shown(new.value)} "
            f"({_brief(new.conditions)})"
        )
    return lines


def _brief(conditions: Conditions) -> str:
    facts = conditions.row()
    return f"{conditions.day or 'no date'}, weights {facts['weights']}, {facts['source']}"
