"""Help, versions and mistyped words answer at once: nothing heavy is imported for them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import clean_environment
from tracker.cli.benchmark import BENCHMARKS
from tracker.cli.main import COMMANDS

HEAVY = ("torch", "cv2", "vot", "trax", "scipy", "skimage", "matplotlib", "numba", "onnx", "onnxruntime")
# `dmb vot --help` is the toolkit's own, in a process of its own
HELP = [[name, "--help"] for name in COMMANDS if name != "vot"]
HELP += [["benchmark", name, "--help"] for name in BENCHMARKS]
HELP += [[*words.split(), "--help"] for words in ("workspace from-masks", "weights convert", "weights info")]
HELP += [[*words.split(), "--help"] for words in ("score davis", "export onnx")]
MISTAKES = [["trakc"], ["track", "--boks"], ["benchmark", "sped"], ["evaluate"]]
MISTAKES += [["train", "first", "--outptu"]]

CODE = """\
import contextlib, io, json, sys
from tracker.cli.main import main

found = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
        try:
            code = main(words)
        except SystemExit as stop:
            code = stop.code
    loaded = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    found.append([words, code, bool(output.getvalue()), loaded])
print(json.dumps(found))
"""


def called(lines: list[list[str]]) -> list[tuple[list[str], int, bool, list[str]]]:
    """Run command lines one after the other in a new process: their exit codes, whether they spoke, what is loaded."""
    words = [sys.executable, "-c", CODE, json.dumps(lines), json.dumps(HEAVY)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=clean_environment())
    assert done.returncode == 0, done.stderr
    return [tuple(one) for one in json.loads(done.stdout)]


def test_help_and_version_import_nothing_heavy() -> None:
    for words, code, spoke, loaded in called([["--help"], ["--version"], ["help"], ["help", "track"], *HELP]):
        assert (code, spoke, loaded) == (0, True, []), words


def test_mistakes_are_told_before_anything_heavy_is_imported() -> None:
    for words, code, spoke, loaded in called(MISTAKES):
        assert (code, spoke, loaded) == (2, True, []), words


def test_the_heavy_ones_would_be_seen() -> None:
    code = "import sys, tracker.tracking.tracker; sys.exit(not {'torch', 'cv2'} <= set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], env=clean_environment(), check=False).returncode == 0
