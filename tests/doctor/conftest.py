"""Versions and modules that are pretended."""

from __future__ import annotations

import pytest

from tracker.doctor import finding, machine, packages


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions that are pretended; everything else is as installed."""
    pretended: dict[str, str | None] = {}
    real = finding.installed

    def installed(name: str) -> str | None:
        return pretended[name] if name in pretended else real(name)

    for module in (packages, machine):
        monkeypatch.setattr(module, "installed", installed)
    return pretended


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Modules that are pretended: an exception is raised, everything else imported."""
    pretended: dict[str, object] = {}
    real = finding.load

    def load(name: str) -> object:
        if name not in pretended:
            return real(name)
        module = pretended[name]
        if isinstance(module, Exception):
            raise module
        return module

    for module in (packages, machine):
        monkeypatch.setattr(module, "load", load)
    return pretended
