"""Files of measurements that are kept by hand: numbers of a benchmark's server, or of a document.

    {"format": "dmb measurements",
     "about": "where these numbers come from",
     "measurements": [
       {"benchmark": "got10k", "tracker": "DMB", "scores": {"AO": 0.5, "SR75": 0.4},
        "date": "2026-11-25", "commit": "...", "weights": "checksum", "hardware": "...", "precision": "bfloat16",
        "settings": "", "origin": "report of the server"},
       {"set": {"title": "...", "protocol": "...", "sequences": ["..."], "note": "..."}, "tracker": "MIL", ...}]}

"benchmark" is a key of published.toml; everything else goes to "set". Shares are between 0 and 1. Conditions may be
left out and then read "not recorded".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tracker.benchmarks.results import DevelopmentSet, Found, Measurement, Place, ResultsError, read_conditions
from tracker.benchmarks.results_published import Published

RATES = ("failures per sequence", "failures per 100 frames", "fps")  # all else is a share
FACTS = ("date", "commit", "weights", "hardware", "precision", "settings", "origin")
FIELDS = ("benchmark", "set", "tracker", "scores", *FACTS)


def read_measured(document: dict[str, Any], path: Path, published: Published) -> Found:
    """Read such a file.

    Raises:
        ResultsError: an entry is not as described above; the message says which one and why.
        KeyError, TypeError, ValueError, AttributeError: the same, less clearly.
    """
    name = path.as_posix() if not path.is_absolute() and ".." not in path.parts else path.name
    found = Found()
    for number, entry in enumerate(document["measurements"], 1):
        where = f"'{path}', measurement {number}"
        unknown = [field for field in entry if field not in FIELDS]
        if unknown:
            raise ResultsError(f"{where}: '{unknown[0]}' is not known; use {', '.join(FIELDS)}")
        place = _place(entry, where, published)
        facts = {fact: entry[fact] for fact in FACTS if fact in entry}
        try:
            conditions = read_conditions(facts, name)
        except (TypeError, ValueError) as error:
            raise ResultsError(f"{where}: a condition is wrong ({error}); correct it or leave it out") from error
        if not isinstance(entry.get("tracker"), str) or not isinstance(entry.get("scores"), dict):
            raise ResultsError(f'{where}: "tracker" (a name) or "scores" (numbers by name) is missing; add it')
        for metric, value in entry["scores"].items():
            _check(metric, value, place, where, published)
            found.measurements.append(Measurement(place, entry["tracker"], metric, float(value), conditions))
    if document.get("about"):
        found.remarks.append(f"{name}: {document['about']}")
    return found


def _place(entry: dict[str, Any], where: str, published: Published) -> Place:
    if ("benchmark" in entry) == ("set" in entry):
        raise ResultsError(f'{where}: give either "benchmark" or "set"')
    if "benchmark" in entry:
        if entry["benchmark"] not in published.benchmarks:
            known = ", ".join(published.benchmarks)
            raise ResultsError(f'{where}: there is no benchmark \'{entry["benchmark"]}\'; use {known}, or "set"')
        return str(entry["benchmark"])
    facts = entry["set"]
    try:
        names = tuple(sorted(str(name) for name in facts["sequences"]))
        return DevelopmentSet(str(facts["protocol"]), names, str(facts["title"]), str(facts.get("note", "")))
    except (KeyError, TypeError) as error:
        raise ResultsError(f'{where}: "set" needs title, protocol and sequences') from error


def _check(metric: str, value: object, place: Place, where: str, published: Published) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ResultsError(f"{where}: {metric} is {value!r}; it must be a number")
    if value < 0 or (value > 1 and metric not in RATES):
        raise ResultsError(f"{where}: {metric} is {value}; it must be between 0 and 1")
    if isinstance(place, str) and metric not in published.metrics(place):
        known = ", ".join(published.metrics(place))
        raise ResultsError(f"{where}: the paper has no '{metric}' of {published.benchmarks[place].title}; use {known}")
