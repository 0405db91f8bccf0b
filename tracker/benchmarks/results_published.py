"""The paper's Tables I to VII, and what it takes to stand beside their numbers: reads published.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.toml")
PAPER = "Ours"  # column of the paper's own tracker
NOT_PRINTED = "-"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of the paper; what does not apply is None.

    Attributes:
        key: in published.toml.
        title: for people.
        run: how to measure it.
        stack: of the VOT toolkit.
        form: "supervised" (with resets) or "multistart".
        bounds: between which the expected overlap is averaged, frames.
        count: sequences.
        name: of a box benchmark.
        split: of a box benchmark.
        year: of DAVIS.
        sequences: of DAVIS.
    """

    key: str
    title: str
    run: str
    stack: str | None = None
    form: str | None = None
    bounds: tuple[int, int] | None = None
    count: int | None = None
    name: str | None = None
    split: str | None = None
    year: int | None = None
    sequences: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """A measure on a benchmark.

    Attributes:
        benchmark: its key.
        metric: as measurements call it.
        label: as printed.
        values: as printed, by column.
    """

    benchmark: str
    metric: str
    label: str
    values: dict[str, str]

    def number(self, column: str) -> float | None:
        """A value as number, in the table's unit; None where nothing is printed."""
        text = self.values[column]
        return None if text == NOT_PRINTED else float(text)


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    number: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    percent: bool = False
    note: str = ""

    @property
    def benchmarks(self) -> list[str]:
        """Keys of the benchmarks."""
        return list(dict.fromkeys(row.benchmark for row in self.rows))

    def shown(self, value: float) -> str:
        """A measured share or rate as this table prints numbers."""
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"

    def row(self, metric: str, benchmark: str | None = None) -> Row | None:
        """The row of a measure, if there is one."""
        rows = (row for row in self.rows if row.metric == metric and benchmark in (None, row.benchmark))
        return next(rows, None)


@dataclass(frozen=True)
class Published:
    """All tables, and the benchmarks by their keys."""

    tables: tuple[Table, ...]
    benchmarks: dict[str, Benchmark]

    def metrics(self, benchmark: str) -> list[str]:
        """Measures that the paper prints of a benchmark."""
        return [row.metric for table in self.tables for row in table.rows if row.benchmark == benchmark]

    def vot(self, stack: str | None, form: str, bounds: tuple[int, int] | None, count: int) -> str | None:
        """The benchmark that an experiment of the VOT toolkit is.

        Args:
            stack: its name; None where it is not known.
            form: "supervised" or "multistart".
            bounds: of the expected average overlap.
            count: of its sequences.

        Returns:
            A key; None for anything else, also where it may be several.
        """
        for key, known in self.benchmarks.items():
            # VOT2020's bounds are those of the challenges after it
            named = known.stack == stack or (stack is None and form == "supervised")
            if known.stack and named and (known.form, known.bounds, known.count) == (form, bounds, count):
                return key
        return None

    def boxes(self, name: str, split: str, count: int) -> str | None:
        """The benchmark that a box benchmark's split is, if all its sequences are there."""
        wanted = (name, split, count)
        found = (key for key, one in self.benchmarks.items() if (one.name, one.split, one.count) == wanted)
        return next(found, None)

    def davis(self, year: int, sequences: Collection[str]) -> str | None:
        """The benchmark that a set of DAVIS is, if its sequences are exactly these."""
        wanted = frozenset(sequences)
        found = (key for key, one in self.benchmarks.items() if one.year == year and one.sequences == wanted)
        return next(found, None)


def _table(content: dict[str, Any]) -> Table:
    columns = tuple(content["columns"])
    rows = tuple(
        Row(row["benchmark"], row["metric"], row["label"], dict(zip(columns, row["values"].split(), strict=True)))
        for row in content["rows"]
    )
    return Table(content["number"], content["title"], columns, rows, content.get("percent", False),
                 content.get("note", ""))  # fmt: skip


def _benchmark(key: str, content: dict[str, Any]) -> Benchmark:
    facts = content | {"sequences": frozenset(content.get("sequences", "").split())}
    if "bounds" in content:
        facts["bounds"] = tuple(content["bounds"])
    return Benchmark(key, **facts)


def read_published() -> Published:
    """Read the paper's numbers."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    benchmarks = {key: _benchmark(key, one) for key, one in content["benchmarks"].items()}
    return Published(tuple(_table(table) for table in content["tables"]), benchmarks)
