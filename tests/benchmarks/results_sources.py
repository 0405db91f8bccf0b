"""Sources as the commands and the VOT toolkit write them, with numbers that can be told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHECKSUM = "c0ffee" + 58 * "0"
DATE = "2026-11-20T10:00:00+00:00"
CONDITIONS = {
    "date": DATE,
    "version": "0.1.0",
    "commit": "abc123abc123",
    "weights": {"name": "best.safetensors", "checksum": CHECKSUM},
    "device": "cuda:0",
    "gpu": "Some GPU",
    "precision": "bfloat16",
    "threads": 4,
    "torch": "2.13.0",
    "processor": "Some CPU",
    "settings": {"gate": "off", "threads": 4},
}


def write(path: Path, document: Mapping[str, Any]) -> Path:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def sequence_names(count: int) -> list[str]:
    return [f"sequence{number:03d}" for number in range(count)]


def analysis(
    trackers: Mapping[str, tuple[float, float, float]],
    *,
    count: int = 60,
    bounds: tuple[int, int] = (100, 356),
    form: str = "supervised",
    timestamp: str = "2026-11-20T12:00:00.5",
    **parameters: object,
) -> dict[str, Any]:
    """An analysis of the toolkit 0.7.4: EAO, accuracy, and failures per sequence or robustness, by tracker."""
    kind = f"vot.analysis.{form}."
    analyses = [
        {"type": f"{kind}AverageAccuracyRobustness"},
        {"type": f"{kind}EAOScore", "low": bounds[0], "high": bounds[1]},
        {"type": f"{kind}EAOCurve"},
    ]
    values = trackers.values()
    results = [
        [[accuracy, third, [0.5, accuracy], 100.0] for _, accuracy, third in values],
        [[eao] for eao, _, _ in values],
        [[[0.0, eao + 0.2, eao]] for eao, _, _ in values],
    ]
    facts = {"realtime": None, "noise": None, "inject": None, "transformers": [], "analyses": analyses} | parameters
    return {
        "toolkit": "0.7.4",
        "timestamp": timestamp,
        "trackers": {name: {"label": name, "env": {}} for name in trackers},
        "sequences": {name: {"length": 100} for name in sequence_names(count)},
        "results": {"baseline": {"parameters": facts, "type": "", "results": results}},
    }


def workspace(folder: Path, document: Mapping[str, Any], stack: str = "vot2018/shortterm") -> Path:
    """A workspace with an analysis."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"registry: []\nstack: {stack}\nsequences: sequences\n")
    write(folder / "analysis" / "first.json", document)
    return folder


def results(folder: Path, tracker: str, failures: Sequence[Sequence[int]]) -> None:
    """Results in a workspace: failures of every repetition of every sequence."""
    for name, repetitions in zip(sequence_names(len(failures)), failures, strict=True):
        runs = folder / "results" / tracker / "baseline" / name
        runs.mkdir(parents=True)
        for number, count in enumerate(repetitions, 1):
            lines = ["1", *["2"] * count, *["2.0,2.0,5.0,5.0"] * (99 - count)]
            (runs / f"{name}_{number:03d}.txt").write_text("\n".join(lines) + "\n")


def measured(path: Path, *entries: Mapping[str, Any], **facts: object) -> Path:
    """A file that is kept by hand."""
    return write(path, {"format": "dmb measurements", "measurements": list(entries)} | facts)
