"""What a measurement says of the code that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tracker.benchmarks import validation


def test_a_measurement_names_the_commit_of_a_checkout_only(tmp_path: Path) -> None:
    assert validation.commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert validation.commit(tmp_path) is None  # nothing is committed
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert validation.commit(tmp_path) == head[:12]
    (tmp_path / "file").write_text("2")
    assert validation.commit(tmp_path) == f"{head[:12]}-dirty"
