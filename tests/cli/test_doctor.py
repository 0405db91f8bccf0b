"""`dmb doctor`: its report and exit codes, also beside everything that can be broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment
from tests.doctor.findings import HERE, Check, named
from tracker.cli import doctor
from tracker.cli.doctor import CHECKS, examine, main
from tracker.doctor.finding import Finding, Surroundings


@pytest.mark.slow
def test_the_whole_command_with_the_real_weights() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tracker.cli.main", "doctor", "--json"], capture_output=True, text=True, check=False,
        env=clean_environment(),
    )  # fmt: skip
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert checks["self test"]["status"] == "ok" and "mean overlap 0." in checks["self test"]["text"]


def fixed(status: str) -> Check:
    return lambda _: [Finding("thing", status, "is\nso", "do this" if status == "problem" else "")]  # type: ignore


def test_lines_exit_codes_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    checks = {"good": fixed("ok"), "hint": fixed("note"), "bad": fixed("problem"), "self test": fixed("problem")}
    assert main(["--fast"], checks={"good": checks["good"], "hint": checks["hint"]}) == 0
    assert capsys.readouterr().out == "ok       thing: is so\nnote     thing: is so\nnothing is broken\n"
    assert main(["--fast"], checks=checks) == 1
    assert capsys.readouterr().out.endswith("problem  thing: is so\n         type: do this\n1 problem, see above\n")
    assert main(["--json"], checks=checks) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["ok"] and [check["status"] for check in document["checks"]] == [
        "ok", "note", "problem", "problem"
    ]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(["--what"])
    assert ended.value.code == 2


def test_a_check_that_breaks_down_is_a_finding_and_the_next_one_follows() -> None:
    def broken(_: Surroundings) -> Iterable[Finding]:
        raise RuntimeError("unforeseen")

    found = list(examine(HERE, {"first": broken, "second": fixed("ok")}))
    assert [one.status for one in found] == ["problem", "ok"]
    assert "first" in found[0].name and "unforeseen" in found[0].text


FAKES = {
    "torch": "raise OSError('libtorch_cpu.so: cannot open shared object file')",
    "cv2": "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
    "attributee": "raise TypeError('dataclass_transform() takes 0 positional arguments')",
    "trax": "x = 1",
    "vot": "raise TypeError('dataclass_transform() takes 0 positional arguments')",
    "av": "raise ImportError('no av')",
    "numpy": "raise ImportError('numpy is broken')",
    "safetensors": "raise ImportError('no safetensors')",
    "tqdm": "raise ImportError('no tqdm')",
}


def test_it_runs_where_everything_else_is_broken(tmp_path: Path) -> None:
    for name, code in FAKES.items():
        (tmp_path / f"{name}.py").write_text(code)
    environ = clean_environment()
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(CHECKOUT)])
    done = subprocess.run(
        [sys.executable, "-m", "tracker.cli.main", "doctor", "--json"], capture_output=True, text=True, check=False,
        env=environ, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1 and not done.stderr, done.stderr
    found = [Finding(**check) for check in json.loads(done.stdout)["checks"]]
    for name in ("torch", "numpy", "safetensors", "tqdm", "opencv-python", "attributee", "vot-trax", "vot-toolkit"):
        assert named(found, name).status == "problem" and named(found, name).remedy, name
    assert "opencv-python-headless" in named(found, "opencv-python").remedy
    assert named(found, "av").status == named(found, "weights").status == named(found, "self test").status == "note"
    assert not any("the check itself failed" in one.text for one in found)


@pytest.mark.parametrize("name", ["numpy", "queue"])
def test_a_file_that_hides_a_module_is_named_and_crashes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    environ = clean_environment(PYTHONPATH=os.pathsep.join([str(tmp_path), str(CHECKOUT)]))
    command = [sys.executable, "-m", "tracker.cli.main", "doctor", "--fast"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=tmp_path)
    assert done.returncode == 1 and "see above" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"'{tmp_path / name}.py' was imported in place of the module '{name}'"), done.stderr
    assert "Traceback" not in done.stderr


def test_all_checks_are_made_in_the_order_of_the_report() -> None:
    assert list(CHECKS)[-1] == "self test" and set(doctor.SLOW) <= set(CHECKS)
    assert len(CHECKS) == 7
