"""The way in that no other module hides: the `dmb` command, and `from dmb_tracker import DMB`.

The package is called `tracker`, and so are many people's own files. Where one of these comes first on Python's path,
this module, whose name nobody else has, finds the package beside itself.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent
PACKAGES = ("tracker", "vot_workspace")


def _load(name: str) -> None:
    """Import one of our packages, whatever else has its name.

    Raises:
        ImportError: another module of that name has been imported before.
    """
    place = HOME / name / "__init__.py"
    loaded = sys.modules.get(name)
    if loaded is not None:
        other = getattr(loaded, "__file__", None)
        if other is None or not place.samefile(other):
            raise ImportError(
                f"a module '{name}' ({other or 'without a file'}) was imported before DMB, which is called so, too; "
                "import dmb_tracker first, or rename that file"
            )
        return
    spec = importlib.util.spec_from_file_location(name, place, submodule_search_locations=[str(place.parent)])
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _is_hidden(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is None or spec.origin is None or Path(spec.origin).resolve() != HOME / name / "__init__.py"


def main() -> int:
    """The `dmb` command; returns the exit code."""
    if any(map(_is_hidden, PACKAGES)):  # so that processes that are started find them as well
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(HOME) if not others else f"{HOME}{os.pathsep}{others}"
    for name in PACKAGES:
        _load(name)
    from tracker.errors import hidden

    try:
        from tracker.cli.main import main as command

        return command()
    except (ImportError, AttributeError) as error:
        sentence = hidden()
        if not sentence:
            raise
        print(f"dmb: error: {sentence} ({error})", file=sys.stderr)
        return 1


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__version__":
        raise AttributeError(name)
    _load("tracker")
    import tracker

    return getattr(tracker, name)


if __name__ == "__main__":
    sys.exit(main())
