"""Packages that are missing, wrong, old, broken or in each other's way."""

from __future__ import annotations

import shlex
import subprocess
import sys
from configparser import ConfigParser
from types import ModuleType, SimpleNamespace

import pytest

from tests.conftest import CHECKOUT
from tests.doctor.findings import HERE, Check, named, only
from tracker.doctor import machine, packages


def test_the_pinned_versions_are_those_of_the_package() -> None:
    parser = ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    wanted = [line for line in parser["options"]["install_requires"].splitlines() if line and line[0] != "#"]
    assert set(packages.PINS) <= set(wanted)
    assert f"torch>={machine.LEAST_TORCH}" in wanted and f"opencv-python>={packages.LEAST_OPENCV}" in wanted
    listed = packages.NEEDED | packages.OPTIONAL
    assert {f"{name}>={least}" for name, least, *_ in listed.values()} <= set(wanted)
    apart = {"torch", "opencv-python", "av", *packages.PINNED}  # what has a check of its own
    assert {line.partition("=")[0].rstrip(">") for line in wanted} == apart | {name for name, *_ in listed.values()}
    assert parser["options"]["python_requires"] == ">={}.{}".format(*packages.PYTHONS[0])


@pytest.mark.parametrize(
    ("version", "status", "words"),
    [((3, 9, 1), "problem", "3.11 or newer"), ((3, 11, 0), "ok", "3."), ((3, 20, 0), "note", "newer than 3.13")],
)
def test_python(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], status: str, words: str
) -> None:
    monkeypatch.setattr(packages, "sys", SimpleNamespace(version_info=version, executable="python"))
    found = only(packages.python_version(HERE))
    assert found.status == status and words in found.text


PINNED_CHECKS: dict[str, Check] = {
    "attributee": packages.attributee, "vot-trax": packages.trax, "vot-toolkit": packages.toolkit
}  # fmt: skip


@pytest.mark.parametrize("name", PINNED_CHECKS)
@pytest.mark.parametrize("version", [None, "99.0"])
def test_a_pinned_package_must_have_its_version(
    versions: dict[str, str | None], name: str, version: str | None
) -> None:
    versions[name] = version
    found = only(PINNED_CHECKS[name](HERE))
    assert found.status == "problem" and found.name == name
    assert ("is not installed" if version is None else "is 99.0; ") in found.text
    assert found.remedy == f"{shlex.quote(sys.executable)} -m pip install {name}=={packages.PINNED[name]}"


def test_attributee_that_breaks_while_it_is_imported(
    versions: dict[str, str | None], modules: dict[str, object]
) -> None:
    modules["attributee"] = TypeError("dataclass_transform() takes 0 positional arguments")
    found = only(packages.attributee(HERE))
    assert found.status == "problem" and "TypeError: dataclass_transform()" in found.text
    assert found.remedy.endswith("--force-reinstall attributee==0.1.9")
    versions["attributee"] = "0.1.10"
    found = only(packages.attributee(HERE))
    assert "is 0.1.10; newer ones break the toolkit" in found.text


def test_the_other_package_called_trax(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    versions["trax"] = "1.4.1"
    found = only(packages.trax(HERE))
    assert found.status == "problem" and "something else than vot-trax" in found.text
    assert "pip uninstall -y trax && " in found.remedy
    assert found.remedy.endswith("pip install --force-reinstall --no-deps vot-trax==4.0.2")

    versions["trax"] = None
    modules["trax"] = ModuleType("trax")
    modules["trax"].__file__ = "/home/me/trax.py"
    found = only(packages.trax(HERE))
    assert found.status == "problem" and "/home/me/trax.py, which is not vot-trax" in found.text
    assert found.remedy == "mv /home/me/trax.py /home/me/trax_.py"
    modules["trax"] = OSError("libtrax.so: cannot open shared object file")
    assert "cannot be imported (OSError: libtrax.so" in only(packages.trax(HERE)).text


def test_a_toolkit_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Traceback ...\nTypeError: no such thing\n")

    monkeypatch.setattr(packages.subprocess, "run", run)
    found = only(packages.toolkit(HERE))
    assert found.status == "problem" and "cannot be imported (TypeError: no such thing)" in found.text
    assert found.remedy.endswith("vot-toolkit==0.7.4 vot-trax==4.0.2 attributee==0.1.9")


@pytest.mark.parametrize(
    ("error", "words", "remedy"),
    [
        ("libGL.so.1: cannot open shared object file: No such file", "no libGL ", "sudo apt-get install libgl1"),
        ("libgthread-2.0.so.0: cannot open shared object file", "no libgthread ", "sudo apt-get install libglib2.0-0"),
        ("libXext.so.6: cannot open shared object file", "no libXext ", "sudo apt-get install libxext6"),
        ("libodd.so.1: cannot open shared object file", "no libodd ", "opencv-python-headless"),
        ("numpy.core.multiarray failed to import", "multiarray", "--force-reinstall opencv-python"),
    ],
)
def test_opencv_that_cannot_be_imported(modules: dict[str, object], error: str, words: str, remedy: str) -> None:
    modules["cv2"] = ImportError(error)
    found = only(packages.opencv(HERE))
    assert found.status == "problem" and words in found.text and found.remedy.endswith(remedy)
    if "apt-get" in remedy:
        assert "pip uninstall -y opencv-python && " in found.text and "opencv-python-headless" in found.text


def test_opencv_missing_old_and_doubled(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    modules["cv2"] = SimpleNamespace(__version__="4.5.1")
    found = only(packages.opencv(HERE))
    assert found.status == "problem" and "4.5.1 is too old" in found.text and "opencv-python>=4.10" in found.remedy
    modules["cv2"] = SimpleNamespace(__version__="5.0.0")
    versions["opencv-contrib-python"] = "4.12.0"
    found = only(packages.opencv(HERE))
    assert found.status == "note" and "opencv-python and opencv-contrib-python lie over each other" in found.text
    versions["opencv-python"] = "4.13.0"
    pip = f"{shlex.quote(sys.executable)} -m pip"
    alone = f"{pip} uninstall -y opencv-python opencv-contrib-python && {pip} install opencv-python==4.13.0"
    assert only(packages.opencv(HERE)).remedy == alone
    modules["cv2"] = ImportError("cv2.gapi: no such thing")
    assert only(packages.opencv(HERE)).remedy == alone
    modules["cv2"] = SimpleNamespace(__version__="5.0.0")
    versions["opencv-python"] = "4.5.1"
    assert only(packages.opencv(HERE)).remedy.endswith(" && " + f"{pip} install 'opencv-python>=4.10'")
    modules["cv2"] = ModuleNotFoundError("No module named 'cv2'")
    versions["opencv-contrib-python"] = versions["opencv-python"] = None
    found = only(packages.opencv(HERE))
    assert found.text == "is not installed" and found.remedy.endswith("pip install 'opencv-python>=4.10'")


def test_pyav_is_optional(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    modules["av"], versions["av"] = ModuleNotFoundError("No module named 'av'"), None
    found = only(packages.video(HERE))
    assert found.status == "note" and "`dmb track` needs it" in found.text and found.remedy.endswith("pip install av")


def test_other_packages(versions: dict[str, str | None], modules: dict[str, object]) -> None:
    versions["numpy"], versions["pyyaml"] = "1.20.0", None
    modules["yaml"], modules["PIL"] = ModuleNotFoundError("yaml"), ImportError("_imaging: bad ELF")
    found = list(packages.needed_packages(HERE))
    assert "1.20.0 is too old; DMB needs 1.26" in named(found, "numpy").text
    assert named(found, "pyyaml").text == "is not installed"
    assert "cannot be imported (ImportError: _imaging: bad ELF)" in named(found, "pillow").text
    assert named(found, "packages").status == "ok" and "numpy" not in named(found, "packages").text


def test_what_only_some_commands_need_is_a_note(
    versions: dict[str, str | None], modules: dict[str, object]
) -> None:
    modules["shtab"], versions["shtab"] = ModuleNotFoundError("No module named 'shtab'"), None
    modules["matplotlib"], versions["jinja2"] = ImportError("ft2font: bad ELF"), "2.11"
    modules["tqdm"], versions["tqdm"] = ModuleNotFoundError("No module named 'tqdm'"), None
    found = list(packages.needed_packages(HERE))
    assert {one.name: one.status for one in found} == {
        "shtab": "note", "matplotlib": "note", "jinja2": "note", "tqdm": "problem", "packages": "ok"
    }  # fmt: skip
    assert named(found, "shtab").text == "is not installed; `dmb completion` needs it"
    assert "ft2font: bad ELF); the plots of `dmb results`" in named(found, "matplotlib").text
    assert "2.11 is too old" in named(found, "jinja2").text
    assert named(found, "tqdm").remedy.endswith("pip install 'tqdm>=4.66'")
