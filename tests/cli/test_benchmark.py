"""`dmb benchmark`: names its benchmarks, and calls them without importing torch for the help."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tracker.cli.benchmark import BENCHMARKS, USAGE
from tracker.cli.main import main


def test_a_benchmark_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark"]) == 2
    assert "davis" in capsys.readouterr().err
    assert main(["benchmark", "flight"]) == 2
    assert "there is no benchmark 'flight'; use one of: davis, failures, peers, speed" in capsys.readouterr().err


def test_every_benchmark_is_in_the_help() -> None:
    assert all(f"\n  {name} " in USAGE for name in BENCHMARKS)


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in BENCHMARKS)])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = (
        f"import sys\nfrom tracker.cli.main import main\ntry:\n    main(['benchmark', *{arguments!r}])\n"
        "finally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"dmb benchmark {' '.join(arguments[:-1])}" in done.stdout, done.stderr
