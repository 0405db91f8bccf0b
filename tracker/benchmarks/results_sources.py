"""Recognises by their content what other commands have written, and takes the numbers out of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tracker.benchmarks.ablation import ROWS
from tracker.benchmarks.box_run import PARTS, STACK
from tracker.benchmarks.results import (
    OURS,
    Curve,
    DevelopmentSet,
    Found,
    Measurement,
    Place,
    ResultsError,
    counted,
    read_conditions,
)  # fmt: skip
from tracker.benchmarks.results_measured import read_measured
from tracker.benchmarks.results_published import Published
from tracker.benchmarks.results_vot import (
    is_analysis,
    is_workspace,
    read_analysis,
    read_workspace,
    stack_protocol,
    workspace_of,
)  # fmt: skip

MEASURED = "dmb measurements"  # "format" of files that are kept by hand
KNOWN = (
    "the --output of `dmb validate`, `dmb ablate`, `dmb benchmark` and `dmb score`, workspaces of the VOT toolkit with "
    f'their analyses, and files of measurements ("format": "{MEASURED}")'
)
SCORES = "scores.json"
BOX_METRICS = ("AO", "SR50", "SR75", "Success", "Precision", "NormalisedPrecision")
MASK_METRICS = {"J&F": "J&F", "J": "J", "F": "F", "J_frames_1_10": "J of frames 1-10", "fps": "fps"}
BOX2SEG_METRICS = {"box2seg_J": "Box2Seg J", "filled_box_J": "filled box J"}
DAVIS_METRICS = {"J&F-Mean": "J&F", "J-Mean": "J", "F-Mean": "F"}


def read_sources(paths: Iterable[Path], published: Published) -> Found:
    """Read files and folders.

    Raises:
        ResultsError: one of them is missing, damaged, or nothing that is known here.
    """
    found = Found()
    for path in paths:
        if not path.exists():
            raise ResultsError(f"'{path}' does not exist; name a file or folder that a command has written")
        found.add(_folder(path, published) if path.is_dir() else _file(path, published))
    return found


def _label(path: Path) -> str:
    """A path for people: without the folders of one machine."""
    if path.is_absolute() or ".." in path.parts:
        path = Path(*path.resolve().parts[-2:])
    return path.as_posix()


def _folder(folder: Path, published: Published) -> Found:
    """Read a folder that a command has written, or one that holds such folders and files."""
    found = _written(folder, published)
    if found is None:
        inner = [_written(path, published) for path in sorted(folder.iterdir()) if path.is_dir()]
        known = [one for one in inner if one is not None]
        if not known:
            raise ResultsError(f"'{folder}' holds nothing that is known here; known are {KNOWN}")
        found = Found()
        for one in known:
            found.add(one)
    return found


def _written(folder: Path, published: Published) -> Found | None:
    """What a folder itself holds; None for nothing."""
    if is_workspace(folder):
        return read_workspace(folder, _label(folder), published)
    if _is_box_run(folder) and not (folder / SCORES).is_file():
        raise ResultsError(
            f"'{folder}' holds a run of `dmb benchmark` without scores; those of a test split are computed by the "
            "benchmark's server: write its numbers into a file of measurements (docs/results/measured.json is an "
            "example); any other run goes on with the same command"
        )
    paths = sorted(folder.glob("*.json"))
    if (folder / SCORES).is_file():
        paths = [folder / SCORES]
    elif [path.name for path in paths] == ["run.json"]:
        raise ResultsError(
            f"'{folder}' holds masks of `dmb benchmark davis` without scores; run the same command again without "
            "--no-score"
        )
    found = Found()
    known = 0
    for path in paths:
        document = _load(path)
        reader = _reader(document)
        if reader is None:
            found.remarks.append(f"'{_label(path)}' was passed over: it is nothing that is known here")
            continue
        known += 1
        found.add(_read(reader, document, path, published))
    return found if known else None


def _is_box_run(folder: Path) -> bool:
    """Whether `dmb benchmark got10k`, `trackingnet` or `otb` has begun to write a folder."""
    sequences, workspace = (folder / part for part in PARTS)
    return sequences.is_dir() and is_workspace(workspace) and (workspace / STACK).is_file()


def _file(path: Path, published: Published) -> Found:
    document = _load(path)
    reader = _reader(document)
    if reader is None:
        raise ResultsError(f"'{path}' is nothing that is known here; known are {KNOWN}")
    return _read(reader, document, path, published)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"'{path}' cannot be read ({error.strerror}); name another one") from error
    except ValueError as error:
        raise ResultsError(f"'{path}' holds no JSON, so it is nothing that is known here; known are {KNOWN}") from error
    return document if isinstance(document, dict) else {}


Reader = Callable[[dict[str, Any], Path, Published], Found]


def _reader(document: Mapping[str, Any]) -> Reader | None:
    """The function that reads a document."""
    keys = document.keys()
    parts = [document[part] for part in ("vot", "masks") if isinstance(document.get(part), dict)]
    if document.get("format") == MEASURED:
        return read_measured
    if is_analysis(document):
        return lambda document, path, published: read_analysis(path, _analysed(path), published)
    if parts and all("identity" in part for part in parts):
        return _ablation
    if parts and {"weights", "date"} <= keys:
        return _validation
    if {"year", "objects", "all"} <= keys:
        return _davis
    if {"benchmark", "split", "scores", "sequences"} <= keys:
        return _boxes
    return None


def _analysed(path: Path) -> str:
    """The name of an analysis's source: its workspace, if it lies in one."""
    return _label(path) if workspace_of(path) is None else _label(path.parent.parent)


def _read(reader: Reader, document: dict[str, Any], path: Path, published: Published) -> Found:
    try:
        return reader(document, path, published)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(
            f"'{path}' is damaged or of another version ({type(error).__name__}: {error}); write it again"
        ) from error


def _numbers(scores: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    """The numbers of these names, under the names that tables use; what was not defined is left out."""
    found = {shown: scores.get(name) for name, shown in names.items()}
    return {shown: float(value) for shown, value in found.items() if value is not None and math.isfinite(value)}


def _validation(document: dict[str, Any], path: Path, published: Published) -> Found:
    """`dmb validate`: always a development set, since neither its J and F nor its stack are a benchmark's."""
    source = _label(path)
    found = Found()
    masks, vot = document.get("masks"), document.get("vot")
    if masks:
        conditions = read_conditions(document | {"origin": "dmb validate --masks"}, source)
        place = masks_set(masks["source"], {row["sequence"] for row in masks["sequences"]}, masks["first_frames"])
        for init, means in masks["means"].items():
            tracker = f"{OURS}, from the {init}"
            names = MASK_METRICS | BOX2SEG_METRICS
            found.measurements += [
                Measurement(place, tracker, metric, value, conditions)
                for metric, value in _numbers(means, names).items()
            ]
    if vot:
        facts = document | {"origin": "dmb validate --vot", "threads": vot["threads_per_worker"]}
        conditions = read_conditions(facts, source)
        lengths = {row["sequence"]: int(row["frames"]) for row in vot["sequences"]}
        protocol = stack_protocol(vot["stack"])
        title = f"{vot['source']}, {vot['stack']}"
        extent = f"{counted(len(lengths), 'sequence')}, {counted(sum(lengths.values()), 'frame')}"
        note = f"{protocol}; {extent}: {', '.join(lengths)}"
        place = DevelopmentSet(protocol, tuple(sorted(lengths)), title, note)
        for metric, value in _numbers(vot["scores"], {name: name for name in vot["scores"]}).items():
            found.measurements.append(Measurement(place, OURS, metric, value, conditions))
    return found


def masks_set(source: str, sequences: Iterable[str], frames: int | None) -> DevelopmentSet:
    """The development set of `dmb validate --masks`."""
    names = tuple(sorted(sequences))
    limit = f", first {frames} frames" if frames else ""
    protocol = f"J and F without the first frame{limit}"
    note = f"{protocol}; {counted(len(names), 'sequence')}: {', '.join(names)}"
    return DevelopmentSet(protocol, names, f"{source}, masks", note)


def _ablation(document: dict[str, Any], path: Path, published: Published) -> Found:
    """A row of `dmb ablate`. Its stack is not a challenge's, so that the paper's Table VIII is not beside it."""
    titles = {row.name: row.title for row in ROWS}
    tracker = titles.get(path.stem, path.stem)
    found = Found()
    for part in ("vot", "masks"):
        if part not in document:
            continue
        content = document[part]
        identity = content["identity"]
        conditions = read_conditions(identity | {"date": content["date"], "origin": "dmb ablate"}, _label(path))
        source, *names = identity["sequences"]
        protocol = f"ablation, {stack_protocol('dev.yaml') if part == 'vot' else 'J&F from the first box'}"
        note = f"{protocol}; {counted(len(names), 'sequence')}: {', '.join(names)}"
        place = DevelopmentSet(protocol, tuple(sorted(names)), f"Ablation, {source}", note)
        scores = content["scores"]
        for metric, value in _numbers(scores, {name: name for name in scores}).items():
            found.measurements.append(Measurement(place, tracker, metric, value, conditions))
    return found


def _davis(document: dict[str, Any], path: Path, published: Published) -> Found:
    """scores.json of `dmb benchmark davis`, or of `dmb score davis` for masks of any method."""
    ours = "weights" in document
    origin = "dmb benchmark davis" if ours else "dmb score davis"
    tracker = OURS if ours else str(document["masks"])
    conditions = read_conditions(document | {"origin": origin}, _label(path))
    year, init, frames = document["year"], document.get("init", "mask"), document["first_frames"]
    names = {row["sequence"] for row in document["objects"]}
    place: Place | None = published.davis(year, names) if init == "mask" and not frames else None
    if place is None:
        limit = f", first {frames} frames" if frames else ""
        protocol = f"DAVIS {year}'s J and F, from the first {init}{limit}"
        extent = f"{counted(len(names), 'sequence')}, {counted(len(document['objects']), 'object')}"
        note = f"{protocol}; {extent}: {', '.join(sorted(names))}"
        place = DevelopmentSet(protocol, tuple(sorted(names)), f"{_label(path.parent)}, DAVIS {year}", note)
    scores = _numbers(document["all"], DAVIS_METRICS)
    return Found([Measurement(place, tracker, metric, value, conditions) for metric, value in scores.items()])


def _boxes(document: dict[str, Any], path: Path, published: Published) -> Found:
    """scores.json of `dmb benchmark got10k`, `trackingnet` or `otb`."""
    name, split, frames = document["benchmark"], document["split"], document["first_frames"]
    conditions = read_conditions(document | {"origin": f"dmb benchmark, {name}"}, _label(path))
    names = [row["sequence"] for row in document["sequences"]]
    place: Place | None = None if frames else published.boxes(name, split, len(names))
    if place is None:
        limit = f", first {frames} frames" if frames else ""
        title = f"{name} {split}".strip()
        note = f"{counted(len(names), 'sequence')}{limit}" + (f": {', '.join(names)}" if len(names) <= 30 else "")
        place = DevelopmentSet(f"{title}{limit}", tuple(sorted(names)), title, note)
    scores = _numbers(document["scores"], {name: name for name in BOX_METRICS})
    found = Found([Measurement(place, OURS, metric, value, conditions) for metric, value in scores.items()])
    curve = document.get("success")
    if curve:
        x, y = (tuple(float(value) for value in curve[axis]) for axis in ("thresholds", "rates"))
        found.curves.append(Curve(place, OURS, "success", x, y, conditions))
    return found
