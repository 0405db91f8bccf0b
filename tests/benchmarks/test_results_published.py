"""The paper's numbers hang together, and only its own benchmarks stand beside them."""

from __future__ import annotations

import pytest

from tracker.benchmarks.results_published import PAPER, Table, read_published

PUBLISHED = read_published()
TABLES = {table.number: table for table in PUBLISHED.tables}


def number(table: str, metric: str, column: str = PAPER, benchmark: str | None = None) -> float:
    row = TABLES[table].row(metric, benchmark)
    assert row is not None
    found = row.number(column)
    assert found is not None
    return found


def test_there_are_seven_tables_with_the_papers_tracker_in_each() -> None:
    assert list(TABLES) == ["I", "II", "III", "IV", "V", "VI", "VII"]
    for table in PUBLISHED.tables:
        assert all(row.number(PAPER) is not None for row in table.rows)
        assert set(table.benchmarks) <= set(PUBLISHED.benchmarks)


@pytest.mark.parametrize("table", PUBLISHED.tables, ids=lambda table: table.number)
def test_numbers_are_in_their_tables_unit(table: Table) -> None:
    values = [row.number(column) for row in table.rows for column in table.columns]
    known = [value for value in values if value is not None]
    assert all(10 < value < 100 for value in known) if table.percent else all(0 < value < 1 for value in known)


@pytest.mark.parametrize("benchmark", ["davis2016", "davis2017"])
def test_both_is_the_mean_of_region_and_contour(benchmark: str) -> None:
    for column in TABLES["VII"].columns:
        rows = [TABLES["VII"].row(metric, benchmark) for metric in ("J", "F", "J&F")]
        values = [row.number(column) for row in rows if row is not None]
        if None not in values:
            # FAVOS's 80.9 is the mean of 82.4 and 79.5 rounded down
            assert values[2] == pytest.approx((values[0] + values[1]) / 2, abs=0.1001)  # type: ignore[operator]


def test_differences_that_the_papers_text_states() -> None:
    assert number("I", "EAO") - number("I", "EAO", "D3S") == pytest.approx(0.042)
    assert number("II", "EAO") - number("II", "EAO", "D3S") == pytest.approx(0.017)
    assert number("II", "accuracy") - number("II", "accuracy", "SiamMask opt") == pytest.approx(0.010)
    assert number("II", "failures per 100 frames") == pytest.approx(0.169 - 0.024)
    assert number("III", "EAO") - number("III", "EAO", "Ocean-off") == pytest.approx(0.029)
    assert number("III", "accuracy") - number("III", "accuracy", "ATOM") == pytest.approx(0.046)
    assert number("IV", "SR75") - number("IV", "SR75", "DiMP-50") == pytest.approx(3.0)
    assert number("V", "Success") - number("V", "Success", "DiMP-50") == pytest.approx(0.2)
    assert number("V", "Precision") - number("V", "Precision", "D3S") == pytest.approx(3.3)
    assert number("VI", "EAO") - number("VI", "EAO", "DET50") == pytest.approx(0.012)
    assert number("VI", "robustness", "STM") == 0.574
    assert number("VII", "J&F", benchmark="davis2016") - number("VII", "J&F", "D3S", "davis2016") == pytest.approx(3.3)
    assert number("VII", "J&F", benchmark="davis2017") - number("VII", "J&F", "D3S", "davis2017") == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("stack", "form", "bounds", "count", "expected"),
    [
        ("vot2018/shortterm", "supervised", (100, 356), 60, "vot2018"),
        (None, "supervised", (108, 371), 60, "vot2016"),
        ("vot2020/shortterm", "multistart", (115, 755), 60, "vot2020"),
        (None, "multistart", (115, 755), 60, None),  # or VOT2021
        ("vot2018/shortterm", "supervised", (100, 356), 11, None),  # a part of it, or other sequences
        ("dev.yaml", "supervised", (50, 250), 60, None),
        ("vot2018/shortterm", "supervised", None, 60, None),
        ("", "supervised", (100, 356), 60, None),  # the configuration holds experiments of its own
    ],
)
def test_experiments_of_the_toolkit(
    stack: str | None, form: str, bounds: tuple[int, int] | None, count: int, expected: str | None
) -> None:
    assert PUBLISHED.vot(stack, form, bounds, count) == expected


def test_box_benchmarks_and_davis() -> None:
    assert PUBLISHED.boxes("GOT-10k", "test", 180) == "got10k"
    assert PUBLISHED.boxes("GOT-10k", "val", 180) is None
    assert PUBLISHED.boxes("TrackingNet", "TEST", 510) is None
    val = PUBLISHED.benchmarks["davis2016"].sequences
    assert len(val) == 20 and len(PUBLISHED.benchmarks["davis2017"].sequences) == 30
    assert val < PUBLISHED.benchmarks["davis2017"].sequences
    assert PUBLISHED.davis(2016, val) == "davis2016"
    assert PUBLISHED.davis(2017, val) is None
    assert PUBLISHED.davis(2016, sorted(val)[1:]) is None
