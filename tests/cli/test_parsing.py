"""The command line's parser: what is misspelt, help at 80 columns, and the endings of all commands."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import clean_environment
from tracker.cli import ending
from tracker.cli.main import COMMANDS, main
from tracker.cli.parsing import Parser, reflow

OTHERS = ("vot", "train")  # the toolkit's command line, and one with a parser of its own


def parser() -> Parser:
    made = Parser(prog="dmb try")
    made.add_argument("source", metavar="SOURCE")
    made.add_argument("--output", required=True, metavar="DIR", help="a folder")
    made.add_argument("--workers", type=int, default=3, metavar="N", help="processes")
    made.add_argument("--init", choices=("mask", "box"), default="mask", help="start")
    made.add_argument("--fast", action="store_true", help="in haste")
    return made


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a", "--ouput", "x"], "unknown option --ouput; did you mean --output?"),
        (["a", "--ouput=x"], "unknown option --ouput; did you mean --output?"),
        (["a", "--out", "x"], "unknown option --out; did you mean --output?"),
        (["a", "--output", "x", "--zzz"], "unknown option --zzz; see dmb try --help"),
        (["a", "--output", "x", "-q"], "unknown option -q; see dmb try --help"),
        (["a"], "--output must be given; see dmb try --help"),
        ([], "SOURCE, --output must be given; see dmb try --help"),
        (["a", "b", "--output", "x"], "'b' is one argument too many; see dmb try --help"),
        (["a", "--output", "x", "--workers", "two"], "--workers: 'two' is not a whole number"),
        (["a", "--output", "x", "--init", "maks"], "--init: 'maks' is not possible; did you mean mask?"),
        (["a", "--output", "x", "--init", "zzz"], "--init: 'zzz' is not possible; use one of: mask, box"),
        (["a", "--output"], "--output: expected one argument"),
    ],
)
def test_a_mistake_is_one_sentence_and_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(arguments)
    captured = capsys.readouterr()
    assert stop.value.code == 2 and captured.err == f"dmb try: error: {sentence}\n" and not captured.out


def test_what_is_right_is_read() -> None:
    found = parser().parse_args(["--output", "x", "--fast", "--", "--ouput"])
    assert vars(found) == {"source": "--ouput", "output": "x", "workers": 3, "init": "mask", "fast": True}


def test_help_wins_over_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["--ouput", "x", "--help"])
    assert stop.value.code == 0 and "processes (default: 3)" in capsys.readouterr().out


def test_text_fits_a_width() -> None:
    text = (
        "A paragraph that is\nwritten over two lines.\n\n  --form mask   what stands here is long and hangs,\n"
        "                as this does\n  - a bullet that is longer than a line\n    and goes on\n  short\n"
    )
    assert reflow(text, 36).split("\n") == [
        "A paragraph that is written over two",
        "lines.",
        "",
        "  --form mask   what stands here is",
        "                long and hangs, as",
        "                this does",
        "  - a bullet that is longer than a",
        "    line and goes on",
        "  short",
    ]


def all_parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that takes options, with its parser as the user meets it."""
    from tracker.cli import benchmark, workspace

    for name, load in (*COMMANDS.items(), *((f"benchmark {key}", load) for key, load in benchmark.BENCHMARKS.items())):
        if name in (*OTHERS, "benchmark"):
            continue
        function: Callable[..., int] = load()
        module = sys.modules[getattr(function, "func", function).__module__]
        made = module._parser(*(module.BENCHMARKS[key] for key in getattr(function, "args", ())))
        whole = made[0] if isinstance(made, tuple) else made
        yield name, whole
        for action in whole._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from ((f"{name} {key}", child) for key, child in action.choices.items())
    yield "workspace from-masks", workspace._masks_parser()


@pytest.mark.parametrize(("name", "made"), [pytest.param(*each, id=each[0]) for each in all_parsers()])
def test_help_reads_well_at_80_columns(
    name: str, made: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert isinstance(made, Parser) and made.prog == f"dmb {name}"
    text = made.format_help()
    long = [line for line in text.splitlines() if len(line) > 80]
    assert not long
    words = " ".join(text.split())
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        assert action.help, action
        if action.option_strings and action.default not in (None, False, argparse.SUPPRESS, []):
            default = action.default
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
            shown = "the current folder" if default == Path() else re.escape(shown)
            assert re.search(rf"{action.option_strings[-1]} .*?\(default: {shown}\b", words), action
        if action.choices is not None:
            assert all(str(choice) in words for choice in action.choices), action


@pytest.mark.parametrize("width", ["80", "40"])
def test_the_overviews_fit_and_tell_the_exit_codes(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert main(["benchmark", "--help"]) == 0
    both = text + capsys.readouterr().out
    assert max(map(len, both.splitlines())) <= int(width)
    for line in ending.EXIT_CODES.splitlines():
        assert line.split()[0] in text


def test_help_about_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["help", "doctor"])
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("usage: dmb doctor")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trak"], "dmb: error: there is no command 'trak'; did you mean track?"),
        (["--verson"], "dmb: error: there is no option '--verson'; did you mean --version?"),
        (["benchmark", "davs"], "dmb benchmark: error: there is no benchmark 'davs'; did you mean davis?"),
        (["weights", "conver"], "dmb weights: error: there is no command 'conver'; did you mean convert?"),
        (["weights", "info", "--outpt", "x"], "dmb weights info: error: unknown option --outpt; see dmb weights info"),
        (["weights", "convert", "--ouput", "x"], "dmb weights convert: error: unknown option --ouput; did you mean"),
        (["score", "davs"], "dmb score: error: there is no command 'davs'; did you mean davis?"),
        (["validate", "--mask", "x"], "dmb validate: error: unknown option --mask; did you mean --masks?"),
        (["results", "x", "--ouput", "y"], "dmb results: error: unknown option --ouput; did you mean --output?"),
        (["evaluate", "DMB", "--worker", "2"], "dmb evaluate: error: unknown option --worker; did you mean --workers?"),
        (["export", "onyx"], "dmb export: error: format: 'onyx' is not possible; did you mean onnx?"),
    ],
)
def test_misspelt_words_of_every_command_are_suggested(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = int(str(stop.code))
    error = capsys.readouterr().err
    assert code == 2 and error.startswith(sentence) and error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        ("OSError('no room')", 1, "dmb try: error: no room\n"),
        ("KeyboardInterrupt", 130, "dmb try: go on later\n"),
        ("SystemExit(2)", 2, ""),
    ],
)
def test_a_command_ends_in_good_order(raised: str, code: int, told: str) -> None:
    program = (
        "import sys\nfrom tracker.cli.ending import command\n"
        "@command('dmb try', interrupted='go on later')\ndef main(words):\n"
        f"    raise {raised}\nsys.exit(main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=clean_environment()
    )
    assert (done.returncode, done.stderr) == (code, told)


def test_a_defect_keeps_its_traceback() -> None:
    @ending.command("dmb try")
    def broken(words: list[str]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken([])
    assert broken.__name__ == "broken"
