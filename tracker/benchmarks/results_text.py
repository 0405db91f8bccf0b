"""Results as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tracker.benchmarks.results import OURS, DevelopmentSet, Measurement, Results
from tracker.benchmarks.results_published import PAPER, Published
from tracker.benchmarks.results_tables import MEASURED, MISSING, NOT_RUN, Cell, Grid, Section, coverage

SPECIAL = re.compile(r"([\\`*_\[\]<>|])")
INTRODUCTION = (
    "Our own measurements beside the numbers that the paper prints. Columns that end in (paper) are the paper's; those "
    'that end in (measured here) were measured with this project\'s code. "not run" is a measurement that nobody has '
    'made so far, "not recorded" a fact that the source does not tell, "-" a number that is not there.'
)
DEVELOPMENT = (
    "Measured on other data than the paper's benchmarks, or by another protocol. These numbers are for comparing "
    "versions and trackers with one another; none of them can be compared with a number of the paper."
)
COLUMNS = ("table", "benchmark", "measure", "tracker", "kind", "value", "unit", "date", "commit", "weights", "hardware",
           "precision", "settings", "source")  # fmt: skip


def summary(results: Results, published: Published) -> str:
    """How much of the paper's tables was measured."""
    done, total = coverage(results, published)
    return f"Measured with {OURS}: {done} of the {total} numbers that the paper's Tables I to VII print of it."


def _escaped(text: str) -> str:
    """Text for Markdown, in a table too."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    return f"**{text}**" if cell.kind == MEASURED else f"*{text}*" if cell.kind == MISSING else text


def _grid(grid: Grid) -> str:
    lines = [[_escaped(text) for text in grid.header], ["---"] * len(grid.header)]
    lines += [[_cell(cell) for cell in row] for row in grid.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(section: Section) -> Iterator[str]:
    yield f"### {_escaped(section.title)}"
    numbers, *how = section.grids
    yield _grid(numbers)
    for grid in how:
        yield "How it was measured:"
        yield _grid(grid)
    for note in section.notes:
        yield _escaped(note)
    if section.older:
        yield "Older measurements:"
        yield "\n".join(f"- {_escaped(line)}" for line in section.older)


def markdown(sections: Sequence[Section], results: Results, published: Published, command: str) -> str:
    """Everything as one document.

    Args:
        sections: of `results`.
        results: what was found.
        published: the paper's numbers.
        command: that writes this document.
    """
    parts = ["# Results", f"Written by `{command.replace('`', '')}`; change its sources, not this file."]
    parts += [INTRODUCTION, summary(results, published)]
    parts += ["\n".join(f"- {_escaped(remark)}" for remark in results.remarks)] if results.remarks else []
    parts.append("## The paper's tables")
    for section in sections:
        if section.table is not None:
            parts += _section(section)
    parts += ["## Development sets", DEVELOPMENT]
    development = [section for section in sections if section.table is None]
    for section in development:
        parts += _section(section)
    if not development:
        parts.append("Nothing was measured.")
    return "\n\n".join(parts) + "\n"


def comma_separated(results: Results, published: Published) -> str:
    """Every cell as a line: measured, not run, older (measured, but a newer one stands) or of the paper."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for line in (*_paper_lines(results, published), *_development_lines(results)):
        writer.writerow(line)
    return stream.getvalue()


def _paper_lines(results: Results, published: Published) -> Iterator[dict[str, Any]]:
    for table in published.tables:
        unit = "%" if table.percent else ""
        for row in table.rows:
            facts = {"table": table.number, "benchmark": published.benchmarks[row.benchmark].title,
                     "measure": row.metric, "unit": unit}  # fmt: skip
            for tracker in dict.fromkeys([OURS, *results.trackers(table.benchmarks)]):
                found = results.cell(row.benchmark, tracker, row.metric)
                if found is None:
                    yield facts | {"tracker": tracker, "kind": NOT_RUN}
                else:
                    yield facts | _line(found, "measured", table.shown(found.value))
            for old, _ in results.older(row.benchmark):
                if old.metric == row.metric:
                    yield facts | _line(old, "older", table.shown(old.value))
            for column in table.columns:
                tracker = OURS if column == PAPER else column
                value = "" if row.number(column) is None else row.values[column]
                yield facts | {"tracker": tracker, "kind": "paper" if value else "not printed", "value": value}


def _development_lines(results: Results) -> Iterator[dict[str, Any]]:
    for place in results.development_sets:
        for tracker in results.trackers([place]):
            for one in results.standing(place, tracker):
                yield _set_facts(place, one) | _line(one, "measured", f"{one.value:.6f}")
        for old, _ in results.older(place):
            yield _set_facts(place, old) | _line(old, "older", f"{old.value:.6f}")


def _set_facts(place: DevelopmentSet, one: Measurement) -> dict[str, str]:
    return {"table": "development", "benchmark": place.title, "measure": one.metric}


def _line(one: Measurement, kind: str, value: str) -> dict[str, str]:
    conditions = one.conditions.row() | {"date": one.conditions.date or one.conditions.row()["date"]}
    return {"tracker": one.tracker, "kind": kind, "value": value} | conditions | {
        "weights": one.conditions.weights or one.conditions.row()["weights"]}  # fmt: skip
