"""Packages that are missing, wrong, old, broken or in each other's way."""

from __future__ import annotations

import shlex
import subprocess
import sys
from configparser import ConfigParser
from types import ModuleType, SimpleNamespace

import pytest

from tests.conftest import CHECKOUT
from tests.doctor.findings import HERE, named, only
from tracker.doctor import machine, packages

PIP = f"{shlex.quote(sys.executable)} -m pip"
PINNED = [package.name for package in packages.PACKAGES if package.only]


def test_the_versions_are_those_of_the_package() -> None:
    parser = ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    lines = (parser["options"]["install_requires"] + parser["options.extras_require"]["vot"]).splitlines()
    wanted = {line for line in lines if line and line[0] != "#"}
    assert {package.wanted for package in packages.PACKAGES} | {f"torch>={machine.LEAST_TORCH}"} == wanted
    assert parser["options"]["python_requires"] == ">={}.{}".format(*packages.PYTHONS[0])


@pytest.mark.parametrize(
    ("version", "status", "words"),
    [((3, 9, 1), "problem", "3.11 or newer"), ((3, 11, 0), "ok", "3."), ((3, 20, 0), "note", "newer than 3.13")],
)
def test_python(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], status: str, words: str) -> None:
    monkeypatch.setattr(packages, "sys", SimpleNamespace(version_info=version, executable="python"))
    found = only(packages.python_version(HERE))
    assert found.status == status and words in found.text


@pytest.mark.parametrize("name", PINNED)
@pytest.mark.parametrize("version", [None, "99.0"])
def test_a_pinned_package_must_have_its_version(
    versions: dict[str, str | None], name: str, version: str | None
) -> None:
    versions[name] = version
    found = named(packages.packages(HERE), name)
    assert found.status == ("note" if version is None else "problem")  # the extra "vot" may be left out
    assert ("is not installed; the TraX process" if version is None else "is 99.0; ") in found.text
    (package,) = (one for one in packages.PACKAGES if one.name == name)
    assert found.remedy == f"{PIP} install {package.wanted}" and "==" in package.wanted


def test_the_other_package_called_trax(modules: dict[str, object]) -> None:
    modules["trax"] = ModuleType("trax")
    modules["trax"].__file__ = "/home/me/trax.py"
    found = named(packages.packages(HERE), "vot-trax")
    assert found.status == "problem" and "/home/me/trax.py, which is not vot-trax" in found.text
    assert found.remedy == f"{PIP} uninstall -y trax && {PIP} install --force-reinstall --no-deps vot-trax==4.0.2"


def test_a_toolkit_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Traceback ...\nTypeError: no such thing\n")

    monkeypatch.setattr(packages.subprocess, "run", run)
    found = named(packages.packages(HERE), "vot-toolkit")
    assert found.status == "problem" and "TypeError: no such thing" in found.text
    assert found.remedy == f"{PIP} install --force-reinstall vot-toolkit==0.7.4"


def test_opencv_without_libraries_of_the_system(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    modules["cv2"] = ImportError("libGL.so.1: cannot open shared object file: No such file")
    found = named(packages.packages(HERE), "opencv-python")
    assert found.status == "problem" and "libGL.so.1" in found.text
    assert found.remedy.startswith(f"{PIP} uninstall -y opencv-python && ")
    assert found.remedy.endswith("pip install 'opencv-python-headless>=4.10'")
    versions["opencv-python"], versions["opencv-contrib-python"] = None, "4.5.1"
    modules["cv2"] = SimpleNamespace()
    assert "4.5.1 is too old; DMB needs 4.10" in named(packages.packages(HERE), "opencv-python").text


def test_packages_that_are_old_missing_and_broken(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    versions["numpy"], versions["pyyaml"], versions["av"] = "1.20.0", None, None
    modules["yaml"], modules["PIL"] = ModuleNotFoundError("yaml"), ImportError("_imaging: bad ELF")
    modules["av"], modules["matplotlib"] = ModuleNotFoundError("av"), ImportError("ft2font: bad ELF")
    found = list(packages.packages(HERE))
    assert "1.20.0 is too old; DMB needs 1.26" in named(found, "numpy").text
    assert named(found, "pyyaml").text == "is not installed"
    assert named(found, "pyyaml").remedy == f"{PIP} install 'pyyaml>=6'"
    assert "cannot be imported (ImportError: _imaging: bad ELF)" in named(found, "pillow").text
    assert named(found, "av").status == named(found, "matplotlib").status == "note"
    assert named(found, "av").text == "is not installed; `dmb track` needs it for videos"
    assert named(found, "packages").status == "ok" and "numpy" not in named(found, "packages").text
