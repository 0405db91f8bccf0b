"""What the doctor's tests look for in findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tracker.doctor.finding import Finding, Surroundings

HERE = Surroundings({}, Path())
Check = Callable[[Surroundings], Iterable[Finding]]


def only(found: Iterable[Finding]) -> Finding:
    (one,) = found
    return one


def named(found: Iterable[Finding], name: str) -> Finding:
    return only(one for one in found if one.name == name)
