"""Many videos: those of a folder or pattern, or of a manifest, which is a CSV file or JSON lines."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker.errors import UserError

MANIFESTS = (".csv", ".jsonl", ".ndjson")
VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv")
COLUMNS = ("source", "prompts", "output")


class ManifestError(UserError):
    """A manifest cannot be used; the message names the line."""


@dataclass(frozen=True)
class Row:
    """One video: its source, its prompts as words of the command line, and the folder for its results."""

    source: str
    words: tuple[str, ...]
    output: str
    line: int = 0


def rows_of(source: str) -> list[Row] | None:
    """The videos that a source names; None where it is a single one.

    Raises:
        ManifestError: a manifest's line is not understood.
        OSError: it cannot be read.
    """
    path = Path(os.path.expanduser(source))
    if path.suffix.lower() in MANIFESTS and path.is_file():
        return list(_manifest(path))
    pattern = any(character in source for character in "*?[") and not path.exists()
    if not path.is_dir() and not pattern:
        return None
    from tracker.data.images import SUFFIXES  # here, because OpenCV comes with it

    if path.is_dir():
        found = sorted(path.iterdir())
        if any(one.suffix.lower() in SUFFIXES for one in found):
            return None
    else:
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    found = [one for one in found if not one.name.startswith(".")]  # macOS puts ._clip.mp4 beside clip.mp4
    videos = [one for one in found if one.suffix.lower() in VIDEOS or (one.is_dir() and _pictures(one, SUFFIXES))]
    if not videos:
        return None
    common = os.path.commonpath([one.parent for one in videos])
    names = [(one.stem, one.name, os.path.relpath(one, common)) for one in videos]
    count = Counter(name for each in names for name in set(each))
    outputs = [next((name for name in each if count[name] == 1), each[-1]) for each in names]
    return [Row(str(one), (), output) for one, output in zip(videos, outputs, strict=True)]


def _pictures(folder: Path, suffixes: Sequence[str]) -> bool:
    return any(one.suffix.lower() in suffixes for one in folder.iterdir())


def _manifest(path: Path) -> Iterator[Row]:
    lines: list[tuple[int, dict[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(io.StringIO(text))
            lines = [(reader.line_num, dict(row)) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"'{path}' cannot be read ({error}); save it as plain text in UTF-8") from error
    if path.suffix.lower() != ".csv":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    lines.append((number, dict(json.loads(line))))
                except (ValueError, TypeError) as error:
                    raise ManifestError(f"'{path}', line {number} is no JSON object ({error}); correct it") from error
    if not lines:
        raise ManifestError(f"'{path}' names no videos; give it the columns source, prompts and output")
    outputs = set[str]()
    for number, row in lines:
        where = f"'{path}', line {number}"
        if None in row:
            raise ManifestError(f'{where} has more fields than columns; put what holds commas in "quotes"')
        others = [str(name) for name in row if name not in COLUMNS]
        if others or not row.get("source"):
            told = f"has '{others[0]}'" if others else "names no source"
            raise ManifestError(f"{where} {told}; its columns are source, prompts (--box 1,2,30,40) and output")
        prompts = row.get("prompts") or ()
        try:
            words = shlex.split(prompts) if isinstance(prompts, str) else [str(word) for word in prompts]
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{where}: prompts are '{prompts}' ({error}); give them as --box 1,2,30,40") from error
        source = str(row["source"])
        output = os.path.normpath(str(row.get("output") or Path(source).stem))
        if output in outputs:
            raise ManifestError(f"{where} has the output '{output}' of another line; give each its own")
        outputs.add(output)
        yield Row(_beside(path, source), tuple(_beside_masks(path, words)), output, number)


def _beside(manifest: Path, name: str) -> str:
    """A path as a manifest means it: from its own folder."""
    return name if "://" in name or name.isdecimal() else str(manifest.parent / os.path.expanduser(name))


def _beside_masks(manifest: Path, words: Sequence[str]) -> Iterator[str]:
    for before, word in zip(("", *words), words, strict=False):
        if word.startswith("--mask="):
            yield f"--mask={_beside(manifest, word.removeprefix('--mask='))}"
        else:
            yield _beside(manifest, word) if before == "--mask" else word
