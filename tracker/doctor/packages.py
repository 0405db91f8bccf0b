"""Are the packages there, are they the right ones, and can they be imported?"""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tracker.doctor.finding import Finding, Surroundings, installed, load, numbers, pip, told

PYTHONS = ((3, 11), (3, 13))  # first and last version that is tested
PINNED = {"vot-toolkit": "0.7.4", "vot-trax": "4.0.2", "attributee": "0.1.9"}
REASONS = {
    "vot-toolkit": "other releases do not run TraX trackers in all experiments",
    "vot-trax": "that release belongs to the toolkit 0.7.4",
    "attributee": "newer ones break the toolkit on Python 3.11 and later",
}
PINS = [f"{name}=={version}" for name, version in PINNED.items()]
# module -> distribution, least version
NEEDED: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy", "1.26"),
    "safetensors": ("safetensors", "0.5"),
    "skimage": ("scikit-image", "0.24"),
    "yaml": ("pyyaml", "6"),
    "PIL": ("pillow", "10"),
    "tqdm": ("tqdm", "4.66"),
}
# likewise, and what of DMB's needs it: the toolkit, which brings the first two, has a check of its own
OPTIONAL: dict[str, tuple[str, ...]] = {
    "jinja2": ("jinja2", "3.1", "the page of `dmb results` needs it"),
    "matplotlib": ("matplotlib", "3.8", "the plots of `dmb results` and `dmb ablate` need it"),
    "shtab": ("shtab", "1.7", "`dmb completion` needs it"),
}
OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")
LEAST_OPENCV = "4.10"
# shared libraries that OpenCV wants of the system -> the packages of Debian and Ubuntu that hold them
SYSTEM_LIBRARIES = {
    "libGL": "libgl1",
    "libgthread": "libglib2.0-0",
    "libglib": "libglib2.0-0",
    "libSM": "libsm6",
    "libICE": "libice6",
    "libXext": "libxext6",
    "libXrender": "libxrender1",
    "libxcb": "libxcb1",
}
IMPORT_SECONDS = 120  # for the toolkit, which brings numba and matplotlib


def python_version(_: Surroundings) -> Iterator[Finding]:
    """Python's own version."""
    text, version = platform.python_version(), tuple(sys.version_info[:2])
    first, last = PYTHONS
    if version < first:
        yield Finding("python", "problem", f"{text} is too old; DMB needs 3.11 or newer", "python3.11 -m venv .venv")
    elif version > last:
        yield Finding("python", "note", f"{text} is newer than 3.13, the last one that DMB is tested with")
    else:
        yield Finding("python", "ok", f"{text}, {sys.executable}")


def needed_packages(_: Surroundings) -> Iterator[Finding]:
    """The packages that have no trouble of their own kind."""
    fine = []
    for module, (name, least, *uses) in (NEEDED | OPTIONAL).items():
        wrong = _wrong(module, name, least)
        if wrong is None:
            fine.append(f"{name} {installed(name) or 'of unknown version'}")
            continue
        text, remedy = wrong
        if uses:
            yield Finding(name, "note", f"{text}; {uses[0]}", remedy)
        else:
            yield Finding(name, "problem", text, remedy)
    if fine:
        yield Finding("packages", "ok", ", ".join(fine))


def _wrong(module: str, name: str, least: str) -> tuple[str, str] | None:
    """What is wrong with a package, and the command to type against it."""
    version = installed(name)
    try:
        load(module)
    except Exception as error:
        if version is None:
            return "is not installed", pip(f"{name}>={least}")
        return f"{version} cannot be imported ({told(error)})", pip("--force-reinstall", f"{name}>={least}")
    if version is not None and numbers(version) < numbers(least):
        return f"{version} is too old; DMB needs {least}", pip(f"{name}>={least}")
    return None


def opencv(_: Surroundings) -> Iterator[Finding]:
    """Can OpenCV be imported?"""
    found = {name: version for name in OPENCV if (version := installed(name))}
    try:
        cv2 = load("cv2")
        version = str(cv2.__version__)
    except Exception as error:
        yield _broken_opencv(error, found)
        return
    if numbers(version) < numbers(LEAST_OPENCV):
        yield Finding("opencv", "problem", f"{version} is too old; DMB needs {LEAST_OPENCV}",
                      pip(f"{next(iter(found), OPENCV[0])}>={LEAST_OPENCV}"))  # fmt: skip
    elif len(found) > 1:
        text = f"{version}; {' and '.join(found)} lie over each other in one folder, the one installed last wins"
        yield Finding("opencv", "note", text, _one_of(found))
    else:
        yield Finding("opencv", "ok", f"{next(iter(found), 'cv2')} {version}")


def _broken_opencv(error: Exception, found: dict[str, str]) -> Finding:
    missing = re.search(r"(lib\w+?)(?:-[\d.]+)?\.so", str(error))
    if missing is not None:
        library = missing.group(1)
        headless = "opencv-contrib-python-headless" if any("contrib" in name for name in found) else OPENCV[2]
        instead = " && ".join(([uninstall(*found)] if found else []) + [pip(headless)])
        package = SYSTEM_LIBRARIES.get(library)
        text = f"cannot be imported: the system has no {library} ({told(error)})"
        if package is None:
            return Finding("opencv", "problem", text, instead)
        text += f"; or, without installing system packages: {instead}"
        return Finding("opencv", "problem", text, f"sudo apt-get install {package}")
    if not found and isinstance(error, ImportError):
        return Finding("opencv", "problem", "is not installed", pip(f"{OPENCV[0]}>={LEAST_OPENCV}"))
    again = _one_of(found) if len(found) > 1 else pip("--force-reinstall", next(iter(found), OPENCV[0]))
    return Finding("opencv", "problem", f"cannot be imported ({told(error)})", again)


def _one_of(found: dict[str, str]) -> str:
    """A command that leaves the first of several OpenCVs. Uninstalling one takes the others' files along."""
    name, version = next(iter(found.items()))
    wanted = f"{name}=={version}" if numbers(version) >= numbers(LEAST_OPENCV) else f"{name}>={LEAST_OPENCV}"
    return f"{uninstall(*found)} && {pip(wanted)}"


def uninstall(*names: str) -> str:
    """A command that removes packages."""
    return shlex.join([sys.executable, "-m", "pip", "uninstall", "-y", *names])


def video(_: Surroundings) -> Iterator[Finding]:
    """PyAV, which `dmb track` reads and writes videos with; without it everything else works."""
    version = installed("av")
    try:
        load("av")
    except Exception as error:
        text = "is not installed" if version is None else f"{version} cannot be imported ({told(error)})"
        yield Finding("pyav", "note", f"{text}; `dmb track` needs it for videos",
                      pip("av") if version is None else pip("--force-reinstall", "av"))  # fmt: skip
    else:
        yield Finding("pyav", "ok", version or "of unknown version")


def trax(_: Surroundings) -> Iterator[Finding]:
    """Is `trax` what the toolkit means by it, and not the machine learning library of that name?"""
    other, again = installed("trax"), pip("--force-reinstall", "--no-deps", f"vot-trax=={PINNED['vot-trax']}")
    if other is not None:
        text = f"the package trax {other} is something else than vot-trax, and hides it"
        yield Finding("vot-trax", "problem", text, f"{uninstall('trax')} && {again}")
        return
    wrong = _pin("vot-trax")
    if wrong is not None:
        if wrong.text.startswith("is not") and platform.machine().lower() not in ("x86_64", "amd64"):
            text = f"is not installed, and has no wheel for {platform.machine()}; the toolkit runs on x86-64 only"
            wrong = Finding("vot-trax", "problem", text, wrong.remedy)
        yield wrong
        return
    try:
        module = load("trax")
    except Exception as error:
        yield Finding("vot-trax", "problem", f"cannot be imported ({told(error)})", again)
        return
    if not all(hasattr(module, name) for name in ("Server", "Region", "Image")):
        file = getattr(module, "__file__", None) or "a folder without code"
        text = f"`import trax` gives {file}, which is not vot-trax"
        shadow = file.endswith(".py") and Path(file).parent.name != "trax"
        yield Finding("vot-trax", "problem", text, shlex.join(["mv", file, f"{file[:-3]}_.py"]) if shadow else again)
        return
    yield Finding("vot-trax", "ok", PINNED["vot-trax"])


def attributee(_: Surroundings) -> Iterator[Finding]:
    """The package by whose newer releases the toolkit breaks."""
    wrong = _pin("attributee")
    try:
        load("attributee")
    except Exception as error:
        if wrong is None:
            wrong = Finding("attributee", "problem", f"cannot be imported ({told(error)})",
                            pip("--force-reinstall", f"attributee=={PINNED['attributee']}"))  # fmt: skip
    yield wrong or Finding("attributee", "ok", PINNED["attributee"])


def toolkit(_: Surroundings) -> Iterator[Finding]:
    """The VOT toolkit: GPLv3, so it is imported in a process of its own."""
    wrong = _pin("vot-toolkit")
    if wrong is not None:
        yield wrong
        return
    command = [sys.executable, "-c", "import vot"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=IMPORT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("vot-toolkit", "problem", f"cannot be started ({told(error)})", shlex.join(command))
        return
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield Finding("vot-toolkit", "problem", f"cannot be imported ({reason})", pip(*PINS))
        return
    yield Finding("vot-toolkit", "ok", PINNED["vot-toolkit"])


def _pin(name: str) -> Finding | None:
    """What is wrong with the version of a package that must have a certain one."""
    version, wanted = installed(name), PINNED[name]
    if version == wanted:
        return None
    text = "is not installed" if version is None else f"is {version}; {REASONS[name]}, so it must be {wanted}"
    return Finding(name, "problem", text, pip(f"{name}=={wanted}"))
