"""Draws results as SVG that can be put into a page: EAO ranking, accuracy over robustness, curves.

Lines and letters take the page's colour, so that they are readable on light and on dark ground; the colours of points
and curves are readable on both.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.benchmarks.results import OURS, Place, Results
from tracker.benchmarks.results_published import PAPER, Table
from tracker.benchmarks.results_tables import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # is replaced by the page's colour
KINDS = {"measured here": ("#2f81f7", "o"), "paper's DMB": ("#db6d28", "D"), "paper, others": ("#8b949e", "o")}
CURVES = ("#2f81f7", "#db6d28", "#3fa34d", "#a371f7", "#d4508c", "#8b949e")
AXES = {"failures per 100 frames": False, "failures per sequence": False, "robustness": True}  # whether more is better
IDENTIFIER = re.compile(r'(\bid="|href="#|url\(#)')


@dataclass(frozen=True)
class Picture:
    """A drawing: its caption, what it shows in words for those who do not see it, and its SVG element."""

    caption: str
    description: str
    svg: str


@dataclass(frozen=True)
class _Point:
    name: str
    kind: str
    x: float
    y: float = 0.0


def pictures(section: Section, results: Results) -> list[Picture]:
    """What can be drawn of a section; nothing where there are no such numbers."""
    found = []
    ranked = _points(section, results, "EAO")
    if ranked:
        found.append(_picture(section, "ranking", "EAO ranking", _ranking(ranked), _told(ranked)))
    for axis, more in AXES.items():
        points = _points(section, results, axis, "accuracy")
        if points:
            figure = _accuracy_robustness(points, axis, more)
            found.append(_picture(section, "ar", f"Accuracy over {axis}", figure, _told(points, axis)))
    for place in section.places:
        for kind, label in (("expected overlap", "frames"), ("success", "overlap threshold")):
            curves = [(curve.tracker, curve.x, curve.y) for curve in results.curves(place, kind)]
            if curves:
                name = f"curve-{section.places.index(place)}-{kind[0]}"
                names = ", ".join(tracker for tracker, _, _ in curves)
                found.append(_picture(section, name, f"{kind.capitalize()} curve", _curves(curves, label, kind), names))
    return found


def _points(section: Section, results: Results, x: str, y: str | None = None) -> list[_Point]:
    """Trackers with these measures: those of the paper, if the section is one of its tables, and those measured."""
    found = []
    for place in section.places:
        if section.table is not None and isinstance(place, str):
            found += _printed(section.table, place, x, y)
        for tracker in results.trackers([place]):
            cells = [results.cell(place, tracker, metric) for metric in (x, y or x)]
            if cells[0] is not None and cells[1] is not None:
                found.append(_Point(tracker, "measured here", cells[0].value, cells[1].value))
    return found


def _printed(table: Table, place: Place, x: str, y: str | None) -> list[_Point]:
    rows = [table.row(metric, str(place)) for metric in (x, y or x)]
    if rows[0] is None or rows[1] is None or table.percent:
        return []
    found = []
    for column in table.columns:
        first, second = rows[0].number(column), rows[1].number(column)
        if first is not None and second is not None:
            own = column == PAPER
            name, kind = (f"{OURS} (paper)", "paper's DMB") if own else (column, "paper, others")
            found.append(_Point(name, kind, first, second))
    return found


def _told(points: Sequence[_Point], axis: str = "") -> str:
    """The points as text: EAO, or with an axis accuracy and the measure on that axis."""
    ordered = sorted(points, key=lambda point: (-point.y, -point.x))
    shown = [f"{point.y:.3f}, {point.x:.3f}" if axis else f"{point.x:.3f}" for point in ordered]
    return "; ".join(f"{point.name} {text} ({point.kind})" for point, text in zip(ordered, shown, strict=True))


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # else matplotlib takes it for a formula


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.grid(alpha=0.2, color=INK)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)
    for side, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))
    return figure, axes


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)


def _legend(axes: Axes, *, above: bool = False) -> None:
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncol": 3} if above else {"loc": "best"}
    axes.legend(labelcolor=INK, frameon=False, fontsize="small", **place)


def _ranking(points: Sequence[_Point]) -> Figure:
    ordered = sorted(points, key=lambda point: point.x)
    figure, axes = _figure(5.6, 1.1 + 0.27 * len(ordered))
    for kind, (colour, marker) in KINDS.items():
        chosen = [(index, point) for index, point in enumerate(ordered) if point.kind == kind]
        if chosen:
            places, values = [index for index, _ in chosen], [point.x for _, point in chosen]
            axes.hlines(places, 0, values, color=colour, alpha=0.5)
            axes.plot(values, places, marker, color=colour, label=kind)
    for index, point in enumerate(ordered):
        axes.annotate(f"{point.x:.3f}", (point.x, index), (7, -3), textcoords="offset points", color=INK, fontsize=8)
    axes.set_yticks(range(len(ordered)), [_plain(point.name) for point in ordered])
    axes.set_xlim(0, max(max(point.x for point in ordered) * 1.15, 0.05))
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    _label(axes, "EAO", "")
    if len({point.kind for point in ordered}) > 1:
        _legend(axes, above=True)
    return figure


def _accuracy_robustness(points: Sequence[_Point], axis: str, more: bool) -> Figure:
    figure, axes = _figure(5.6, 4.6)
    for kind, (colour, marker) in KINDS.items():
        chosen = [point for point in points if point.kind == kind]
        if chosen:
            axes.plot([point.x for point in chosen], [point.y for point in chosen], marker, color=colour, label=kind)
    names: dict[tuple[float, float], list[str]] = {}
    for point in points:
        names.setdefault((point.x, point.y), []).append(point.name)
    for index, (place, here) in enumerate(sorted(names.items())):
        offset = (5, 4) if index % 2 else (5, -10)  # neighbours do not cover one another
        axes.annotate(_plain(", ".join(here)), place, offset, textcoords="offset points", color=INK, fontsize=7)
    axes.margins(0.18)
    if not more:
        axes.invert_xaxis()  # the best is in the upper right corner
    _label(axes, f"{axis} ({'more' if more else 'fewer'} is better)", "accuracy")
    if len({point.kind for point in points}) > 1:
        _legend(axes, above=True)
    return figure


def _curves(curves: Sequence[tuple[str, Sequence[float], Sequence[float]]], label: str, kind: str) -> Figure:
    figure, axes = _figure(5.6, 3.6)
    for index, (name, x, y) in enumerate(curves):
        axes.plot(x, y, color=CURVES[index % len(CURVES)], ls=("-", "--", ":")[index // len(CURVES) % 3],
                  label=_plain(name))  # fmt: skip
    axes.set_ylim(0, 1)
    _label(axes, label, kind)
    _legend(axes)
    return figure


def _picture(section: Section, name: str, what: str, figure: Figure, told: str) -> Picture:
    import matplotlib

    caption = f"{what}, {section.title}"
    description = f"{caption}: {told}"

    stream = io.StringIO()
    # the same numbers give the same file
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dmb", "font.family": "sans-serif"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = IDENTIFIER.sub(lambda found: f"{found[1]}{section.anchor}-{name}-", text)  # unique in the page
    label = html.escape(description, quote=True)
    return Picture(caption, description, text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
