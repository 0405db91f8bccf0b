"""Results as one HTML page that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tracker.benchmarks.results import Results
from tracker.benchmarks.results_plots import pictures
from tracker.benchmarks.results_published import Published
from tracker.benchmarks.results_tables import Section
from tracker.benchmarks.results_text import DEVELOPMENT, INTRODUCTION, summary

TEMPLATE = Path(__file__).with_name("results.html")


def page(sections: Sequence[Section], results: Results, published: Published) -> str:
    """The page; arguments as for `tracker.benchmarks.results_text.markdown`."""
    from jinja2 import Environment, StrictUndefined

    parts = [(section, pictures(section, results)) for section in sections]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        introduction=INTRODUCTION,
        summary=summary(results, published),
        remarks=results.remarks,
        parts=parts,
        chapters=[
            ("The paper's tables", "", [part for part in parts if part[0].table is not None]),
            ("Development sets", DEVELOPMENT, [part for part in parts if part[0].table is None]),
        ],
    )
