"""Are the packages there, have they the right versions, and can they be imported?"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tracker.doctor.finding import Finding, Surroundings, installed, load, numbers, pip, told

PYTHONS = ((3, 11), (3, 13))  # first and last version that is tested
IMPORT_SECONDS = 120  # for the toolkit, which brings numba and matplotlib
OPENCVS = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Package:
    """What DMB needs of a package.

    Attributes:
        module: that is imported.
        name: of the distribution.
        version: the least one, or the only one.
        only: why no other version will do; "" where newer ones will.
        use: the part of DMB that needs it; "" where nothing works without it.
    """

    module: str
    name: str
    version: str
    only: str = ""
    use: str = ""

    @property
    def wanted(self) -> str:
        """The requirement, as pip reads it."""
        return f"{self.name}{'==' if self.only else '>='}{self.version}"


VOT = "the TraX process and evaluations with the VOT toolkit need it"  # the extra "vot"

PACKAGES = (
    Package("numpy", "numpy", "1.26"),
    Package("cv2", "opencv-python", "4.10"),
    Package("safetensors", "safetensors", "0.5"),
    Package("skimage", "scikit-image", "0.24"),
    Package("yaml", "pyyaml", "6"),
    Package("PIL", "pillow", "10"),
    Package("tqdm", "tqdm", "4.66"),
    Package("av", "av", "18", use="`dmb track` needs it for videos"),
    Package("matplotlib", "matplotlib", "3.8", use="the plot of `dmb ablate` needs it"),
    Package("distributed", "distributed", "2025.1", use="`--workers` and `--cluster` need it"),
    Package("attributee", "attributee", "0.1.9", "newer ones break the toolkit on Python 3.11 and later", VOT),
    Package("trax", "vot-trax", "4.0.2", "that release belongs to the toolkit 0.7.4", VOT),
    Package("vot", "vot-toolkit", "0.7.4", "other releases do not run TraX trackers in all experiments", VOT),
)


def python_version(_: Surroundings) -> Iterator[Finding]:
    """Python's own version."""
    version, (first, last) = tuple(sys.version_info[:2]), PYTHONS
    text = ".".join(map(str, sys.version_info[:3]))
    if version < first:
        yield Finding("python", "problem", f"{text} is too old; DMB needs 3.11 or newer", "python3.11 -m venv .venv")
    elif version > last:
        yield Finding("python", "note", f"{text} is newer than 3.13, the last one that DMB is tested with")
    else:
        yield Finding("python", "ok", f"{text}, {sys.executable}")


def packages(_: Surroundings) -> Iterator[Finding]:
    """One line for each package that is not as it should be, one for all others."""
    fine = []
    for package in PACKAGES:
        version = _version(package)
        wrong = _wrong(package, version)
        if wrong is None:
            fine.append(f"{package.name} {version or 'of unknown version'}")
        elif package.use and (version is None or not package.only):
            yield Finding(package.name, "note", f"{wrong[0]}; {package.use}", wrong[1])
        else:
            yield Finding(package.name, "problem", *wrong)
    if fine:
        yield Finding("packages", "ok", ", ".join(fine))


def _version(package: Package) -> str | None:
    """The installed version; OpenCV comes under four names."""
    names = OPENCVS if package.name in OPENCVS else (package.name,)
    return next(filter(None, map(installed, names)), None)


def _wrong(package: Package, version: str | None) -> tuple[str, str] | None:
    """What is wrong with a package, and the command to type against it."""
    if package.only and version != package.version:
        text = "is not installed" if version is None else f"is {version}; {package.only}: it must be {package.version}"
        return text, pip(package.wanted)
    try:
        module = _toolkit() if package.module == "vot" else load(package.module)
    except Exception as error:
        if version is None:
            return "is not installed", pip(package.wanted)
        if package.module == "cv2" and ".so" in str(error):  # a library of the system is missing: libGL, mostly
            remedy = f"{_uninstall(*filter(installed, OPENCVS))} && {pip(f'{OPENCVS[2]}>={package.version}')}"
            return f"{version} cannot be imported ({told(error)}); the variant without windows does not need it", remedy
        return f"{version} cannot be imported ({told(error)})", pip("--force-reinstall", package.wanted)
    if package.module == "trax" and not hasattr(module, "Region"):
        again = pip("--force-reinstall", "--no-deps", package.wanted)
        where = getattr(module, "__file__", None) or "a folder without code"
        return f"`import trax` gives {where}, which is not vot-trax", f"{_uninstall('trax')} && {again}"
    if not package.only and version is not None and numbers(version) < numbers(package.version):
        return f"{version} is too old; DMB needs {package.version}", pip("--upgrade", package.wanted)
    return None


def _uninstall(*names: str) -> str:
    return shlex.join([sys.executable, "-m", "pip", "uninstall", "-y", *names])


def _toolkit() -> Any:
    """Import the VOT toolkit, which is under the GPLv3, in a process of its own; raises ImportError."""
    words = [sys.executable, "-c", "import vot"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=IMPORT_SECONDS)
    if done.returncode:
        raise ImportError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
