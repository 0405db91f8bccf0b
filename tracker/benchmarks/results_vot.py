"""Reads what the VOT toolkit has found: analyses of a workspace, and from its results what no analysis holds.

The paper's R of VOT2016 to VOT2019 counts failures in 100 frames. The toolkit's analysis has failures per sequence,
weighted by length, from which that cannot be computed; the results themselves have it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tracker.benchmarks.results import (
    OURS,
    Conditions,
    Curve,
    DevelopmentSet,
    Found,
    Measurement,
    Place,
    ResultsError,
    counted,
    read_conditions,
)  # fmt: skip
from tracker.benchmarks.results_published import Published
from vot_workspace.evaluation import HEADER
from vot_workspace.layout import CONFIGURATION
from vot_workspace.scores import ScoresError, read_scores
from vot_workspace.writer import STACKS

ANALYSES = "analysis"  # folder of a workspace
CONDITIONS = "conditions.json"  # beside a tracker's results, written by hand: the toolkit does not record them
FAILURE = "2"  # line of a result where the target was lost
FORMS = {"supervised": "reset-based", "multistart": "multi-start"}
CHECKSUM = re.compile(r"weights ([0-9a-f]{64})")
RATE = "failures per 100 frames"
FAILURES = "failures per sequence"


@dataclass(frozen=True)
class Experiment:
    """One experiment of an analysis: its name, what its analyses found, by class with their parameters."""

    name: str
    parameters: Mapping[str, Any]
    analyses: list[tuple[Mapping[str, Any], list[Any]]]

    @property
    def form(self) -> str:
        """"supervised" or "multistart", "" for others."""
        kinds = {str(parameters["type"]).split(".")[-2] for parameters, _ in self.analyses}
        return next((form for form in FORMS if form in kinds), "")

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Of the expected average overlap, frames."""
        found = ((one["low"], one["high"]) for one, _ in self.analyses if str(one["type"]).endswith(".EAOScore"))
        return next(found, None)

    @property
    def changed(self) -> str:
        """What makes it another experiment than a challenge's main one, as text."""
        names = ("realtime", "noise", "inject", "transformers")
        return ", ".join(name for name in names if self.parameters.get(name))

    @property
    def protocol(self) -> str:
        """As text."""
        return protocol(self.form, self.bounds, self.changed)


def protocol(form: str, bounds: tuple[int, int] | None, changed: str = "") -> str:
    """How an experiment measures, as text."""
    known = "no EAO" if bounds is None else f"EAO bounds {bounds[0]}-{bounds[1]}"
    return f"VOT toolkit, {changed + ', ' if changed else ''}{FORMS[form]}, {known}"


def stack_protocol(stack: str) -> str:
    """The protocol of the first experiment of one of our stacks; raises ResultsError where there is no such."""
    try:
        content = yaml.safe_load((STACKS / stack).read_text(encoding="utf-8"))
        experiment = next(iter(content["experiments"].values()))
        bounds = [(one["low"], one["high"]) for one in experiment["analyses"] if "low" in one]
        return protocol(experiment["type"], bounds[0] if bounds else None)
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise ResultsError(f"there is no stack '{stack}' among ours; measure again with this version") from error


def is_workspace(folder: Path) -> bool:
    """Whether a folder is a workspace of the toolkit."""
    return (folder / CONFIGURATION).is_file()


def read_workspace(folder: Path, name: str, published: Published) -> Found:
    """Read all analyses of a workspace.

    Args:
        folder: the workspace.
        name: of it, for people.
        published: the paper's benchmarks.

    Raises:
        ResultsError: not analysed yet, or an analysis is damaged.
    """
    paths = sorted((folder / ANALYSES).glob("*.json"))
    if not paths:
        raise ResultsError(
            f"workspace '{folder}' has no analysis; make one: vot analysis --workspace {folder} TRACKER ..."
        )
    found = Found()
    for path in paths:
        found.add(read_analysis(path, name, published))
    return found


def workspace_of(path: Path) -> Path | None:
    """The workspace in whose analysis folder a file lies, if it does."""
    folder = path.absolute().parent
    return folder.parent if folder.name == ANALYSES and is_workspace(folder.parent) else None


def _stack(workspace: Path) -> str | None:
    try:
        content = yaml.safe_load((workspace / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ResultsError(f"'{workspace / CONFIGURATION}' cannot be read; restore it") from error
    stack = content.get("stack") if isinstance(content, dict) else None
    return stack if isinstance(stack, str) else ""


def read_analysis(path: Path, name: str, published: Published) -> Found:
    """Read WORKSPACE/analysis/NAME.json, or such a file without its workspace.

    Args:
        path: the file.
        name: of its source, for people.
        published: the paper's benchmarks.

    Raises:
        ResultsError: damaged.
    """
    workspace = workspace_of(path)
    try:
        tables = {table.experiment: table for table in read_scores(path)}
        document = json.loads(path.read_text(encoding="utf-8"))
        lengths = {sequence: int(facts["length"]) for sequence, facts in document["sequences"].items()}
        found = Found()
        for experiment in _experiments(document):
            if not experiment.form:
                continue
            stack = None if workspace is None else _stack(workspace)
            place = _place(experiment, stack, lengths, name, published)
            for index, (reference, facts) in enumerate(document["trackers"].items()):
                tracker = _Tracker(reference, facts, document, workspace)
                conditions = tracker.conditions(name)
                scores = dict(tables[experiment.name].scores[reference])
                if isinstance(place, str) and RATE in published.metrics(place) and FAILURES in scores:
                    title = f"{published.benchmarks[place].title}, {reference}"
                    where = f"{title}: the analysis in '{name}'"
                    _to_paper(scores, tracker.rate(experiment.name, lengths), where, found)
                # an EAO whose bounds lie beyond the sequences' lengths is NaN
                found.measurements += [
                    Measurement(place, tracker.name, metric, value, conditions)
                    for metric, value in scores.items()
                    if math.isfinite(value)
                ]
                found.curves += _curves(experiment, index, tracker.name, place, conditions)
        return found
    except ScoresError as error:
        raise ResultsError(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(
            f"'{path}' is not an analysis of the toolkit 0.7.4 ({type(error).__name__}: {error}); analyse again"
        ) from error


def _experiments(document: Mapping[str, Any]) -> Iterator[Experiment]:
    for name, content in document["results"].items():
        parameters = content["parameters"]
        yield Experiment(name, parameters, list(zip(parameters["analyses"], content["results"], strict=True)))


def _place(
    experiment: Experiment, stack: str | None, lengths: Mapping[str, int], name: str, published: Published
) -> Place:
    key = None if experiment.changed else published.vot(stack, experiment.form, experiment.bounds, len(lengths))
    if key is not None:
        return key
    title = f"{name}, {experiment.name}"
    extent = f"{counted(len(lengths), 'sequence')}, {counted(sum(lengths.values()), 'frame')}"
    note = f"{experiment.protocol}; {extent}: {', '.join(lengths)}"
    return DevelopmentSet(experiment.protocol, tuple(sorted(lengths)), title, note)


def _to_paper(scores: dict[str, float], rate: float | None, where: str, found: Found) -> None:
    """Give failures in the paper's unit, or tell why they are left out."""
    failures = scores.pop(FAILURES)
    if rate is not None:
        scores[RATE] = rate
        return
    found.remarks.append(
        f"{where} has {failures:.3f} failures per sequence; the paper's R needs the workspace with all results, so "
        "that it stays empty"
    )


def _curves(
    experiment: Experiment, index: int, tracker: str, place: Place, conditions: Conditions
) -> list[Curve]:
    for parameters, result in experiment.analyses:
        if str(parameters["type"]).endswith(".EAOCurve"):
            points = [(at, float(value)) for at, value in enumerate(result[index][0]) if math.isfinite(float(value))]
            x, y = zip(*points, strict=True) if points else ((), ())
            return [Curve(place, tracker, "expected overlap", x, y, conditions)] if points else []
    return []


@dataclass(frozen=True)
class _Tracker:
    """A tracker of an analysis, with what the workspace knows of it."""

    name: str
    facts: Mapping[str, Any]
    document: Mapping[str, Any]
    workspace: Path | None

    def conditions(self, source: str) -> Conditions:
        """From the analysis, its settings, and what lies beside the results."""
        settings = {key: text for key, text in (self.facts.get("env") or {}).items() if key.startswith("DMB_")}
        settings.pop("DMB_WEIGHTS", None)
        facts: dict[str, Any] = {"date": self.document["timestamp"], "settings": settings or None}
        if settings.get("DMB_PRECISION", "auto") != "auto":
            facts["precision"] = settings["DMB_PRECISION"]
        facts |= {"origin": f"vot-toolkit {self.document['toolkit']}", "weights": self._validated_weights()}
        path = None if self.workspace is None else self.workspace / "results" / self.name / CONDITIONS
        if path is not None and path.is_file():
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(told, dict):
                    raise TypeError
                return read_conditions(facts | told, source)
            except (OSError, KeyError, TypeError, ValueError) as error:
                raise ResultsError(
                    f"'{path}' does not tell conditions (date, commit, weights, hardware, precision); mend or remove it"
                ) from error
        return read_conditions(facts, source)

    def _validated_weights(self) -> str | None:
        """The checksum that `dmb validate --keep` notes in its workspace."""
        registry = None if self.workspace is None else self.workspace / "trackers.ini"
        if self.name != OURS or registry is None or not registry.is_file():
            return None
        first = registry.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        found = CHECKSUM.search(first) if first.startswith(HEADER) else None
        return found[1] if found else None

    def rate(self, experiment: str, lengths: Mapping[str, int]) -> float | None:
        """Failures in 100 frames, from the results; None where one is missing or is not text."""
        if self.workspace is None:
            return None
        failures = 0.0
        for sequence in lengths:
            folder = self.workspace / "results" / self.name / experiment / sequence
            runs = sorted(folder.glob(f"{sequence}_[0-9][0-9][0-9].txt"))
            if not runs:
                return None
            counts = [run.read_text(encoding="utf-8").split().count(FAILURE) for run in runs]
            failures += sum(counts) / len(counts)
        return 100 * failures / sum(lengths.values())


def is_analysis(document: Mapping[str, Any]) -> bool:
    """Whether JSON is an analysis of the toolkit."""
    return {"toolkit", "trackers", "sequences", "results"} <= document.keys()


