"""What has been measured, on what and how: the numbers that `dmb results` collects, and which of them stand.

A cell is one measure of one tracker on one benchmark or development set. Where several sources fill it, the newest
stands, and the others are kept to be mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

OURS = "DMB"
NOT_RECORDED = "not recorded"
CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,52}\b")  # of weights or a commit; the first digits are shown


def counted(number: int, noun: str) -> str:
    """A number of things as text."""
    return f"{number} {noun}{'s' * (number != 1)}"


class ResultsError(ValueError):
    """A source cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Conditions:
    """How something was measured; None where the source does not tell.

    Attributes:
        source: file or folder with the number.
        date: ISO 8601, a day or a time.
        commit: of the tracker's code, or its version.
        weights: checksum of the tensors.
        hardware: device, processor, threads.
        precision: arithmetic of the network.
        settings: that are not the default, "" for none.
        origin: where a number that was copied by hand stands, or the command that made it.
    """

    source: str
    date: str | None = None
    commit: str | None = None
    weights: str | None = None
    hardware: str | None = None
    precision: str | None = None
    settings: str | None = None
    origin: str | None = None

    @property
    def day(self) -> str | None:
        """The date without the time."""
        return self.date[:10] if self.date else None

    @property
    def moment(self) -> datetime:
        """For comparisons. A day is its beginning in UTC, no date is older than any."""
        if self.date is None:
            return datetime.min.replace(tzinfo=UTC)
        moment = datetime.fromisoformat(self.date)
        if moment.tzinfo is not None:
            return moment
        # the toolkit writes the machine's time
        return moment.replace(tzinfo=UTC) if len(self.date) == len("2020-01-01") else moment.astimezone()

    def row(self) -> dict[str, str]:
        """Everything as text by name."""
        settings = self.settings if self.settings is None else self.settings or "default"
        shown = {
            "date": self.day,
            "commit": self.commit and _shortened(self.commit),
            "weights": self.weights and _shortened(self.weights),
            "hardware": self.hardware,
            "precision": self.precision,
            "settings": settings,
        }
        source = f"{self.source}: {self.origin}" if self.origin else self.source
        return {name: text or NOT_RECORDED for name, text in shown.items()} | {"source": source}


def _shortened(text: str) -> str:
    """The first digits of a checksum or commit; other text as it is."""
    return CHECKSUM.sub(r"\1", text)


def read_conditions(document: Mapping[str, Any], source: str) -> Conditions:
    """Conditions as `tracker.benchmarks.validation.conditions` writes them.

    Raises:
        KeyError, TypeError, ValueError: not in that form.
    """
    texts = {name: document.get(name) for name in ("date", "commit", "precision", "hardware", "origin")}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise TypeError(f"'{name}' is no text")
    if texts["date"]:
        datetime.fromisoformat(texts["date"])
    weights = document.get("weights")
    version = document.get("version")
    settings = document.get("settings")
    return Conditions(
        source,
        date=texts["date"] or None,
        commit=texts["commit"] or (f"version {version}" if version else None),
        weights=str(weights["checksum"]) if isinstance(weights, Mapping) else weights and str(weights),
        hardware=texts["hardware"] or _hardware(document),
        precision=texts["precision"],
        settings=None if settings is None else _settings(settings),
        origin=texts["origin"],
    )


def _hardware(document: Mapping[str, Any]) -> str | None:
    device = str(document["device"]) if document.get("device") else None
    parts = [document.get("gpu"), device, document.get("processor")]
    if document.get("threads"):
        parts.append(counted(document["threads"], "thread"))
    return ", ".join(str(part) for part in parts if part) or None


def _settings(settings: Mapping[str, Any] | str) -> str:
    if isinstance(settings, str):
        return settings
    # device, precision and threads are told as what they came to
    apart = ("device", "precision", "threads", "DMB_DEVICE", "DMB_PRECISION", "DMB_THREADS")
    return " ".join(f"{name}={value}" for name, value in settings.items() if name not in apart)


@dataclass(frozen=True)
class DevelopmentSet:
    """What was measured on that is no benchmark of the paper; the same protocol on the same sequences is the same set.

    Attributes:
        protocol: how it is measured.
        sequences: their names, sorted.
        title: for people.
        note: for people.
    """

    protocol: str
    sequences: tuple[str, ...]
    title: str = field(default="", compare=False)
    note: str = field(default="", compare=False)


Place = str | DevelopmentSet  # key of a benchmark in published.toml, or a development set


@dataclass(frozen=True)
class Measurement:
    """One number. Shares are between 0 and 1."""

    place: Place
    tracker: str
    metric: str
    value: float
    conditions: Conditions


@dataclass(frozen=True)
class Curve:
    """A curve that belongs to a tracker's numbers: "expected overlap" over frames, or "success" over thresholds."""

    place: Place
    tracker: str
    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    conditions: Conditions


@dataclass
class Found:
    """What sources hold."""

    measurements: list[Measurement] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take over what another one holds."""
        self.measurements += other.measurements
        self.curves += other.curves
        self.remarks += [remark for remark in other.remarks if remark not in self.remarks]


class Results:
    """Everything that was found, by cell; of several measurements the newest stands, of equally old ones the later."""

    def __init__(self, found: Found) -> None:
        self.remarks = found.remarks
        self._cells: dict[tuple[Place, str, str], list[Measurement]] = {}
        self._curves: dict[tuple[Place, str, str], Curve] = {}
        self._sets: dict[DevelopmentSet, DevelopmentSet] = {}
        for one in found.measurements:
            if isinstance(one.place, DevelopmentSet):
                known = self._sets.setdefault(one.place, one.place)
                if not known.title.strip() or (not known.note and one.place.note):
                    self._sets[one.place] = one.place
            cell = self._cells.setdefault((one.place, one.tracker, one.metric), [])
            if not any(_same(one, other) for other in cell):
                cell.append(one)
        for cell in self._cells.values():
            cell.reverse()
            cell.sort(key=lambda one: one.conditions.moment, reverse=True)
        for curve in sorted(found.curves, key=lambda curve: curve.conditions.moment):
            self._curves[curve.place, curve.tracker, curve.kind] = curve

    def cell(self, place: Place, tracker: str, metric: str) -> Measurement | None:
        """The measurement that stands."""
        cell = self._cells.get((place, tracker, metric))
        return cell[0] if cell else None

    def older(self, place: Place) -> list[tuple[Measurement, Measurement]]:
        """Measurements that do not stand, each with the one that does."""
        return [(old, cell[0]) for key, cell in self._cells.items() if key[0] == place for old in cell[1:]]

    def trackers(self, places: Iterable[Place]) -> list[str]:
        """Trackers with a measurement in one of these places, ours first."""
        wanted = list(places)
        found = dict.fromkeys(tracker for place, tracker, _ in self._cells if place in wanted)
        return sorted(found, key=lambda tracker: tracker != OURS)

    def metrics(self, place: Place) -> list[str]:
        """Measures of a place in the order they were found, EAO first."""
        found = dict.fromkeys(metric for other, _, metric in self._cells if other == place)
        return sorted(found, key=lambda metric: metric != "EAO")

    def standing(self, place: Place, tracker: str) -> list[Measurement]:
        """The measurements of a tracker that stand."""
        return [cell[0] for key, cell in self._cells.items() if key[:2] == (place, tracker)]

    def curves(self, place: Place, kind: str) -> list[Curve]:
        """Curves of a kind, ours first."""
        found = [curve for key, curve in self._curves.items() if key[0] == place and key[2] == kind]
        return sorted(found, key=lambda curve: curve.tracker != OURS)

    @property
    def development_sets(self) -> list[DevelopmentSet]:
        """In the order they were found."""
        return list(self._sets.values())


def _same(one: Measurement, other: Measurement) -> bool:
    """Whether two measurements of a cell are one that was read twice, an analysis that was repeated for instance."""
    return one.value == other.value and one.conditions.source == other.conditions.source
