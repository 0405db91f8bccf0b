"""Archives for the evaluation servers of GOT-10k and TrackingNet, and what the servers would stumble over.

The servers answer a malformed archive with silence or with an error about something else, so everything that can be
known beforehand is checked here.

- GOT-10k, as the got10k toolkit packs it: NAME/NAME_001.txt with a box x,y,w,h per line (a tracker with randomness adds
  _002 and _003), and NAME/NAME_time.txt with seconds per line, one column for each repetition.
- TrackingNet, as its devkit reads it: NAME.txt with a box x,y,w,h per line.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tracker.benchmarks.boxes import TrackedBoxes
from tracker.files import replace_file

DATE = (1980, 1, 1, 0, 0, 0)  # of the files inside: equal results make equal archives
IGNORED = ("__MACOSX/", ".DS_Store")  # what macOS adds, and the servers pass over
REPETITIONS = 3
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class _Form:
    """A kind of text file in an archive: numbers per line, what they are, and whether the last two are a size."""

    columns: int
    what: str
    sizes: bool


BOXES = _Form(4, "x,y,w,h", True)


def got10k_files(one: TrackedBoxes) -> dict[str, str]:
    """The texts of one sequence by their paths, as GOT-10k's server wants them."""
    times = "".join(f"{value:.8f}\n" for value in one.seconds)
    return {f"{one.name}/{one.name}_001.txt": _box_text(one), f"{one.name}/{one.name}_time.txt": times}


def trackingnet_files(one: TrackedBoxes) -> dict[str, str]:
    """The text of one sequence by its path, as TrackingNet's server wants it; OTB's results look the same."""
    return {f"{one.name}.txt": _box_text(one)}


def _box_text(one: TrackedBoxes) -> str:
    return "".join(",".join(f"{value:.3f}" for value in box) + "\n" for box in one.boxes)


def write_archive(path: Path, files: Mapping[str, str]) -> None:
    """Write a zip file of texts by their paths, atomically; raises OSError where that fails."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), text, zipfile.ZIP_DEFLATED)
    replace_file(path, content.getvalue())


def check_archive(path: Path, benchmark: str, lengths: Mapping[str, int]) -> list[str]:
    """What is wrong with an archive, a sentence for each file; empty where it can be submitted.

    Args:
        path: of the zip file.
        benchmark: "got10k" or "trackingnet".
        lengths: frames of every sequence that must be in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            names = [name for name in names if not name.startswith(IGNORED[0]) and not name.endswith(IGNORED[1])]
            texts = {name: archive.read(name).decode("utf-8", "replace") for name in names}
    except FileNotFoundError:
        return [f"'{path}' does not exist; name the zip file to check"]
    except (*DAMAGE, OSError) as error:
        return [f"'{path}' is not a readable zip file ({error}); write it again"]
    nested = _nested(texts, benchmark)
    if nested:
        return [f"everything lies in the folder '{nested}' of the archive; pack what is in that folder, not the folder"]
    check = _check_got10k if benchmark == "got10k" else _check_trackingnet
    known: set[str] = set()
    complaints = [text for name, length in lengths.items() for text in check(texts, name, length, known)]
    return complaints + [f"'{name}' belongs to no sequence; take it out" for name in texts if name not in known]


def _nested(texts: Mapping[str, str], benchmark: str) -> str:
    """The one folder around everything that should be at the top of the archive; "" where there is none."""
    parts = [PurePosixPath(name).parts for name in texts]
    depth = 2 if benchmark == "got10k" else 1
    tops = {part[0] for part in parts if len(part) > depth}
    return tops.pop() if len(tops) == 1 and all(len(part) > depth for part in parts) else ""


def _check_trackingnet(texts: Mapping[str, str], name: str, length: int, known: set[str]) -> list[str]:
    file = f"{name}.txt"
    known.add(file)
    if file not in texts:
        return [f"sequence '{name}' is missing: there is no '{file}'"]
    return _check_text(file, texts[file], length, BOXES)


def _check_got10k(texts: Mapping[str, str], name: str, length: int, known: set[str]) -> list[str]:
    files = [f"{name}/{name}_{number:03d}.txt" for number in range(1, REPETITIONS + 1)]
    times = f"{name}/{name}_time.txt"
    known |= {*files, times}
    present = [file for file in files if file in texts]
    if files[0] not in texts:
        return [f"sequence '{name}' is missing: there is no '{files[0]}'"]
    complaints = [text for file in present for text in _check_text(file, texts[file], length, BOXES)]
    if present != files[: len(present)]:
        complaints.append(f"'{files[1]}' is missing, yet there is '{present[-1]}'; number repetitions without a gap")
    if times not in texts:
        return [*complaints, f"'{times}' is missing; write the seconds of each frame, a line per frame"]
    seconds = _Form(len(present), "seconds" if len(present) == 1 else "seconds of each repetition", False)
    return complaints + _check_text(times, texts[times], length, seconds)


def _check_text(file: str, text: str, length: int, form: _Form) -> list[str]:
    """The first thing that is wrong with a file."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        complaint = _check_line(line, form)
        if complaint:
            return [f"line {number} of '{file}' {complaint}"]
    if len(lines) != length:
        return [f"'{file}' has {len(lines)} lines; its sequence has {length} frames, write a line for each"]
    return []


def _check_line(line: str, form: _Form) -> str:
    if not line.strip():
        return "is empty; write a line for each frame"
    words = [word.strip() for word in line.split(",")]
    if any(re.search(r"[\s;|]", word) for word in words):
        return f"is '{line.strip()[:40]}', whose numbers are not separated by commas; write {form.what} with commas"
    if len(words) != form.columns:
        return f"holds {len(words)} number{'s' * (len(words) != 1)} instead of {form.columns}; write {form.what}"
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            return f"holds '{word[:40]}', which is not a number; write {form.what}"
        if not math.isfinite(numbers[-1]):
            return f"holds '{word}', which is not finite; write a number"
    lowest = min(numbers[2:] if form.sizes else numbers)
    return f"holds {lowest:g} as {'a size' if form.sizes else 'a time'}; it must not be negative" if lowest < 0 else ""
