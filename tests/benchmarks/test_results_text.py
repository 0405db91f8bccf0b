"""Markdown, CSV and the page: nothing that is missing is hidden, and nothing that a source holds can break them."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tracker.benchmarks.results import Conditions, Curve, DevelopmentSet, Found, Measurement, Results
from tracker.benchmarks.results_page import page
from tracker.benchmarks.results_plots import pictures
from tracker.benchmarks.results_published import read_published
from tracker.benchmarks.results_tables import sections
from tracker.benchmarks.results_text import comma_separated, markdown, summary

PUBLISHED = read_published()
FEW = replace(PUBLISHED, tables=(PUBLISHED.tables[1], PUBLISHED.tables[3]))  # VOT2018 and GOT-10k: drawing takes time
EVIL = '<script>alert("$x_1$")</script>|`a`'
NOW = Conditions("new.json", "2026-11-21", "abc", "c0ffee" + 58 * "0", "Some CPU", "bfloat16", "")


def vot(tracker: str, eao: float, conditions: Conditions = NOW) -> list[Measurement]:
    scores = {"EAO": eao, "accuracy": 0.6, "failures per 100 frames": 0.2}
    return [Measurement("vot2018", tracker, metric, value, conditions) for metric, value in scores.items()]


def lines(results: Results, start: str) -> list[str]:
    text = markdown(sections(results, PUBLISHED), results, PUBLISHED, "dmb results x --output y")
    return [line for line in text.splitlines() if line.startswith(start)]


def test_what_nobody_has_run_stays_visible() -> None:
    results = Results(Found())
    assert summary(results, PUBLISHED).startswith("Measured with DMB: 0 of the 23 numbers")
    rows = lines(results, "| EAO")
    assert len(rows) == 4 and all(row.split(" | ")[1] == "*not run*" for row in rows)
    assert len(lines(results, "| DAVIS 2017 val: J&F")) == 1
    assert "Nothing was measured." in markdown(sections(results, PUBLISHED), results, PUBLISHED, "x")
    text = page(sections(results, FEW), results, FEW)
    assert "dmb benchmark got10k" in text and text.count('<td class="missing">not run</td>') == 5


def test_our_numbers_stand_beside_the_papers_in_its_unit() -> None:
    found = vot("DMB", 0.4321) + vot("MIL", 0.2)[:1]
    found.append(Measurement("got10k", "DMB", "AO", 0.5678, NOW))
    results = Results(Found(found))
    (row,) = (row for row in lines(results, "| EAO") if "0.506" in row)
    assert row.split(" | ")[1:4] == ["**0.432**", "**0.200**", "0.506"]
    (row,) = (row for row in lines(results, "| Acc.") if "0.652" in row)
    assert row.split(" | ")[1:4] == ["**0.600**", "*not recorded*", "0.652"]
    (row,) = lines(results, "| AO")
    assert row.split(" | ")[1:3] == ["**56.8**", "61.5"]
    (row,) = lines(results, "| SR")
    assert row.split(" | ")[1] == "*not recorded*"
    (how,) = lines(results, "| DMB | EAO, accuracy")
    assert how == (
        "| DMB | EAO, accuracy, failures per 100 frames | 2026-11-21 | abc | c0ffee000000 | Some CPU | bfloat16 "
        "| default | new.json |"
    )
    assert "4 of the 23" in summary(results, PUBLISHED)


def test_older_measurements_are_mentioned() -> None:
    results = Results(Found(vot("DMB", 0.5) + vot("DMB", 0.4, Conditions("old.json", "2026-11-20"))))
    (line,) = (line for line in lines(results, "- DMB, VOT2018 EAO"))
    assert "0.400 (2026-11-20" in line and "gave way to 0.500 (2026-11-21" in line
    rows = list(csv.DictReader(io.StringIO(comma_separated(results, PUBLISHED))))
    kinds = {row["kind"]: row["value"] for row in rows if row["benchmark"] == "VOT2018" and row["measure"] == "EAO"
             and row["tracker"] == "DMB"}  # fmt: skip
    assert kinds == {"measured": "0.500", "older": "0.400", "paper": "0.506"}


def test_csv_has_a_line_for_every_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(Results(Found()), PUBLISHED))))
    assert sum(row["kind"] == "not run" for row in rows) == 23
    printed = sum(value != "-" for table in PUBLISHED.tables for row in table.rows for value in row.values.values())
    assert sum(row["kind"] == "paper" for row in rows) == printed


def evil() -> Results:
    place = DevelopmentSet("resets", (EVIL,), EVIL, EVIL)
    scores = {"EAO": 0.5, "accuracy": 0.6, "robustness": 0.9}
    conditions = Conditions(EVIL, None, EVIL, EVIL, EVIL, EVIL, EVIL)
    found = [Measurement(place, EVIL, metric, value, conditions) for metric, value in scores.items()]
    return Results(Found(found, [Curve(place, EVIL, "success", (0, 1), (1, 0), conditions)], [EVIL]))


def test_what_sources_hold_is_escaped() -> None:
    results = evil()
    text = page(sections(results, FEW), results, FEW)
    assert "<script>" not in text and "&lt;script&gt;" in text
    written = markdown(sections(results, PUBLISHED), results, PUBLISHED, "x")
    assert "<script>" not in written.replace("\\<", "")
    for line in written.splitlines():
        if line.startswith(("| \\<script", "| tracker")):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 10)  # the cells of the table, and no more


class Checker(HTMLParser):
    """Collects identifiers and the names of elements."""

    def __init__(self) -> None:
        super().__init__()
        self.identifiers: list[str] = []
        self.sources: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        facts = dict(attrs)
        if facts.get("id"):
            self.identifiers.append(str(facts["id"]))
        self.sources += [str(facts[name]) for name in ("src", "href") if facts.get(name)]


def test_the_page_is_self_contained_and_its_identifiers_are_unique() -> None:
    results = Results(Found(vot("DMB", 0.5)))
    checker = Checker()
    checker.feed(page(sections(results, FEW), results, FEW))
    assert len(set(checker.identifiers)) == len(checker.identifiers)
    assert all(source.startswith("#") for source in checker.sources)
    assert not {"script", "link", "img"} & checker.count.keys()
    assert checker.count["caption"] == checker.count["table"] and checker.count["svg"] == 2


@pytest.mark.parametrize("results", [evil(), Results(Found(vot("DMB", 0.5)))])
def test_drawings_are_sound_and_the_same_every_time(results: Results) -> None:
    for section in sections(results, FEW)[:1] + sections(results, FEW)[2:]:
        first, again = pictures(section, results), pictures(section, results)
        assert first == again
        for picture in first:
            element = ET.fromstring(picture.svg)
            assert element.attrib["role"] == "img" and element.attrib["aria-label"] == picture.description
            assert "currentColor" in picture.svg and "#010203" not in picture.svg


def test_what_is_drawn() -> None:
    results = evil()
    drawn = {section.title: [picture.caption.split(",")[0] for picture in pictures(section, results)]
             for section in sections(results, FEW)}  # fmt: skip
    assert drawn[EVIL] == ["EAO ranking", "Accuracy over robustness", "Success curve"]
    assert drawn["Table II: VOT2018"] == ["EAO ranking", "Accuracy over failures per 100 frames"]
    assert drawn["Table IV: GOT-10k"] == []
    measured = Results(Found(vot("DMB", 0.5)))
    section = sections(measured, FEW)[0]
    assert "DMB 0.500 (measured here)" in pictures(section, measured)[0].description
