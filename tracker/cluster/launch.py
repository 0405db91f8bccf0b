"""The first thing that runs on a worker.

The function travels by value: a worker without DMB, or with another version of it, runs it all the same and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def launcher() -> Callable[..., dict[str, Any]]:
    """The function for workers. It is made in here because what has no name of its own is sent by value."""

    def launch(task: bytes, release: str, topic: str, *sent: object) -> dict[str, object]:
        from distributed import get_worker

        try:
            from tracker.cluster.remote import answer
            from tracker.cluster.tasks import release as own
        except ImportError as error:
            return {"refused": f"has no DMB ({error}); install DMB {release} there", "worker": get_worker().address}
        if own() != release:
            told = f"has DMB {own()}, and this is {release}; install the same version there"
            return {"refused": told, "worker": get_worker().address}
        return answer(task, topic, sent)  # type: ignore[arg-type]

    return launch
