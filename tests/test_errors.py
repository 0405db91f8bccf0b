"""Errors: what users are told, and that no class of errors is forgotten."""

from __future__ import annotations

import importlib
import pickle
import pkgutil

import tracker
import vot_workspace
from tracker.engine.engine import is_full
from tracker.errors import DeviceFullError, UserError, explained

INNER = {"tracker.cluster.tasks:TaskCancelledError"}  # never leaves its room


def test_what_users_are_told() -> None:
    assert explained(UserError("what to do")) == "what to do"
    assert explained(FileNotFoundError(2, "No such file", "x")) == "[Errno 2] No such file: 'x'"
    full = RuntimeError("CUDA out of memory")
    assert is_full(full) and explained(full) == explained(MemoryError()) == str(DeviceFullError())
    assert str(pickle.loads(pickle.dumps(DeviceFullError("cuda:1")))) == str(DeviceFullError("cuda:1"))
    assert explained(RuntimeError("a defect")) is None and explained(ValueError("a defect")) is None


def test_every_error_of_ours_is_for_users() -> None:
    """All its messages end commands as one sentence. Errors of the system stay OSError, which do the same."""
    found = set()
    for package in (tracker, vot_workspace):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__"):
                continue
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                own = isinstance(value, type) and value.__module__ == info.name
                if own and issubclass(value, Exception) and not issubclass(value, UserError | OSError):
                    found.add(f"{info.name}:{name}")
    assert found == INNER
