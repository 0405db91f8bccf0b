"""The record of a measurement, which every command that measures writes into its JSON, and the table of many of them.

    {..., "records": [{"data": "DAVIS 2017 val, from the mask", "tracker": "DMB", "scores": {"J&F": 0.66},
                       "date": "2026-11-28T10:00:00+00:00", "commit": "...", "weights": "checksum",
                       "hardware": "...", "precision": "bfloat16", "settings": "gate=off"}]}

Shares are between 0 and 1. What was not told is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracker.errors import UserError
from vot_workspace.scores import ScoresError, read_scores

TRACKER = "DMB"
RECORDS = "records"  # of a document
CONDITIONS = ("date", "commit", "weights", "hardware", "precision", "settings")
SHOWN = {"date": len("2026-11-28"), "weights": 12}  # first characters that the table shows
ANALYSIS = {"toolkit", "trackers", "results"}  # keys of an analysis of the VOT toolkit
APART = ("device", "precision", "threads", "DMB_DEVICE", "DMB_PRECISION", "DMB_THREADS")  # told as what they came to


class RecordsError(UserError):
    """No records can be read; the message names the source and says what to do."""


def record(
    facts: Mapping[str, Any], data: str, scores: Mapping[str, float | None], tracker: str = TRACKER
) -> dict[str, Any]:
    """Make a record.

    Args:
        facts: what it was measured with, as `tracker.benchmarks.validation.conditions` tells it; may lack anything.
        data: what was measured on, and how.
        scores: by their names; those that are None or not finite are left out.
        tracker: whose scores these are.
    """
    weights, settings, version = facts.get("weights"), facts.get("settings"), facts.get("version")
    threads = f"{facts['threads']} threads" if facts.get("threads") else None
    parts = [facts.get("gpu"), facts.get("device"), facts.get("processor"), threads]
    if isinstance(settings, Mapping):
        chosen = " ".join(f"{name}={value}" for name, value in settings.items() if name not in APART)
        settings = chosen or "default"
    return {
        "data": data,
        "tracker": tracker,
        "scores": {name: value for name, value in scores.items() if value is not None and math.isfinite(value)},
        "date": facts.get("date"),
        "commit": facts.get("commit") or (f"version {version}" if version else None),
        "weights": weights["checksum"] if isinstance(weights, Mapping) else weights,
        "hardware": ", ".join(str(part) for part in parts if part) or None,
        "precision": facts.get("precision"),
        "settings": settings,
    }


def read_records(sources: Iterable[Path]) -> list[dict[str, Any]]:
    """Read the records of files and folders.

    A folder's are those of its JSON files and of those one folder below it. An analysis in a workspace of the VOT
    toolkit makes a record for each experiment and tracker.

    Raises:
        RecordsError: a source is missing, is damaged, or holds no record.
    """
    found: list[dict[str, Any]] = []
    for source in sources:
        paths = sorted([*source.glob("*.json"), *source.glob("*/*.json")]) if source.is_dir() else [source]
        records = [one for path in paths for one in _read(path, source)]
        if not records:
            raise RecordsError(
                f"'{source}' holds no record; name a JSON file or a folder that `dmb validate`, `ablate`, `benchmark` "
                "or `score` of this version has written, or an analyzed workspace"
            )
        found += records
    return found


def _read(path: Path, source: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordsError(f"'{path}' cannot be read ({error.strerror}); name another file") from error
    except ValueError as error:
        raise RecordsError(f"'{path}' is not JSON; name another file") from error
    if not isinstance(document, dict):
        return []
    if document.keys() >= ANALYSIS:
        return _analysis(path, document, source)
    records = document.get(RECORDS, [])
    try:
        return [
            {"data": str(one["data"]), "tracker": str(one["tracker"])}
            | {"scores": {str(name): float(value) for name, value in one["scores"].items()}}
            | {name: None if one.get(name) is None else str(one[name]) for name in CONDITIONS}
            for one in records
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordsError(
            f"'{path}' has a damaged record ({type(error).__name__}: {error}); restore the file, or measure again"
        ) from error


def _analysis(path: Path, document: Mapping[str, Any], source: Path) -> list[dict[str, Any]]:
    folder = source if source.is_dir() else path.parent
    facts = {"date": str(document.get("timestamp", "")) or None}
    try:
        tables = read_scores(path)
    except ScoresError as error:
        raise RecordsError(str(error)) from error
    return [
        record(facts, f"{folder.resolve().name}, {table.experiment}", scores, tracker)
        for table in tables
        for tracker, scores in table.scores.items()
        if scores
    ]


def table(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Records as lines of a Markdown table: by data and tracker, the newest first."""
    newest = sorted(records, key=lambda one: one["date"] or "", reverse=True)
    rows = [["data", "tracker", "scores", *CONDITIONS]]
    for one in sorted(newest, key=lambda one: (one["data"], one["tracker"])):
        scores = ", ".join(f"{name} {value:.3f}" for name, value in one["scores"].items())
        told = [str(one[name] or "-")[: SHOWN.get(name)] for name in CONDITIONS]
        rows.append([one["data"], one["tracker"], scores, *told])
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]
