"""What `dmb validate` measures on sequences with masks, as text and as JSON, and what it was measured with."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker import __version__
from tracker.benchmarks.masks import Score, run
from tracker.benchmarks.record import record
from tracker.data.sequences import MaskSequence
from tracker.files import replace_file
from tracker.settings import Settings

if TYPE_CHECKING:
    from tracker.tracking.tracker import DMB

INITS = ("mask", "box")
PATHS = ("weights", "log", "peers")  # settings that are named elsewhere, or concern one machine only
CHECKOUT = Path(__file__).resolve().parents[2]  # or, installed, the folder of packages


@dataclass(frozen=True)
class Means:
    """Means over sequences; the speed over all their frames."""

    region: float  # J
    contour: float  # F
    start: float  # J of frames 1 to 10
    fps: float

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Means:
        """The means of at least one score."""
        frames = sum(len(score.overlaps) for score in scores)
        return cls(
            float(np.mean([score.mean for score in scores])),
            float(np.mean([score.boundary_mean for score in scores])),
            float(np.mean([score.start for score in scores])),
            frames / max(sum(score.seconds for score in scores), 1e-9),
        )

    @property
    def both(self) -> float:
        """J&F."""
        return (self.region + self.contour) / 2

    def line(self) -> str:
        """The numbers as text."""
        means = f"J {self.region:.3f}  F {self.contour:.3f}  J of frames 1-10 {self.start:.3f}"
        return f"{means}  {self.fps:.2f} fps  J&F {self.both:.3f}"


@dataclass(frozen=True)
class MaskValidation:
    """Scores by what the tracker was initialized from, "mask" or "box"."""

    scores: dict[str, list[Score]]

    def mean_lines(self) -> list[str]:
        """The means as text, a line for each initialization."""
        return [
            f"{f'mean of {len(scores)}':24s} {init:4s}  {Means.of(scores).line()}"
            for init, scores in self.scores.items()
        ]

    def box2seg_lines(self) -> list[str]:
        """J of the masks that Box2Seg makes of the first boxes, beside J of the boxes themselves."""
        scores = self.scores.get("box", [])
        rows = [(score.name, score.first, score.filled_box) for score in scores]
        if rows:
            means = np.mean([row[1:] for row in rows], axis=0)
            rows.append((f"mean of {len(rows)}", float(means[0]), float(means[1])))
        return [
            f"{name:24s} Box2Seg J {first:.3f}  filled box J {box:.3f}  difference {first - box:+.3f}"
            for name, first, box in rows
        ]

    def document(self) -> dict[str, Any]:
        """Everything for JSON."""
        rows = []
        for init, scores in self.scores.items():
            for score in scores:
                row: dict[str, Any] = {"sequence": score.name, "init": init, "frames": len(score.overlaps) + 1}
                row |= {"J": score.mean, "F": score.boundary_mean, "J_frames_1_10": score.start, "fps": score.fps}
                if init == "box":
                    row |= {"box2seg_J": score.first, "filled_box_J": score.filled_box}
                rows.append(row)
        return {"sequences": rows, "means": {init: self._mean_row(init) for init in self.scores}}

    def _mean_row(self, init: str) -> dict[str, float]:
        scores = self.scores[init]
        means = Means.of(scores)
        row = {"J": means.region, "F": means.contour, "J&F": means.both}
        row |= {"J_frames_1_10": means.start, "fps": means.fps}
        if init == "box":
            first = float(np.mean([score.first for score in scores]))
            box = float(np.mean([score.filled_box for score in scores]))
            row |= {"box2seg_J": first, "filled_box_J": box, "box2seg_gain": first - box}
        return row


def validate_masks(
    tracker: DMB,
    sequences: Sequence[MaskSequence],
    inits: Sequence[str],
    *,
    limit: int | None,
    say: Callable[[str], None],
) -> MaskValidation:
    """Track sequences with masks.

    Args:
        tracker: a `DMB`.
        sequences: at least one.
        inits: what it starts from, of INITS.
        limit: most frames of a sequence; None for all.
        say: is called with a line for each sequence and initialization.

    Raises:
        SequenceError: a damaged sequence, or one without a target.
    """
    scores: dict[str, list[Score]] = {init: [] for init in inits}
    for sequence in sequences:
        for init in inits:
            score = run(tracker, sequence, from_box=init == "box", limit=limit)
            scores[init].append(score)
            say(f"{score.name:24s} {init:4s}  {score.line()}")
    return MaskValidation(scores)


def processor_name() -> str:
    """The processor's model, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, models), platform.processor() or platform.machine())


def commit(checkout: Path = CHECKOUT) -> str | None:
    """The commit of a checkout of the project, with "-dirty" where files differ from it; None where this is none."""
    if not (checkout / ".git").exists():  # else git would find a repository around an installed package
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    except (OSError, subprocess.SubprocessError):  # no git, or no commit
        return None
    return done.stdout.strip() or None


def conditions(settings: Settings, weights: Path, checksum: str) -> dict[str, Any]:
    """What a validation was made with: date, code, weights, arithmetic, machine, and settings that are not the default.

    Raises:
        DeviceError: no such device.
    """
    import torch

    from tracker.engine.engine import resolve_device, resolve_precision

    device = resolve_device(settings.device)
    default = Settings()
    changed = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name not in PATHS}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": commit(),
        "weights": {"name": weights.name, "checksum": checksum},
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "precision": str(resolve_precision(settings.precision, device)).removeprefix("torch."),
        "threads": settings.threads or torch.get_num_threads(),
        "torch": torch.__version__,
        "processor": processor_name(),
        "settings": {name: value for name, value in changed.items() if value != getattr(default, name)},
    }


def records(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of what `dmb validate` has measured: masks by initialization, and VOT."""
    found = []
    masks, vot = document.get("masks"), document.get("vot")
    if masks:
        limit = f", first {masks['first_frames']} frames" if masks["first_frames"] else ""
        names = {row["sequence"] for row in masks["sequences"]}
        for init, means in masks["means"].items():
            data = f"{masks['source']}, {len(names)} sequences, all but the first frame, from the {init}{limit}"
            found.append(record(document, data, means))
    if vot:
        data = f"{vot['source']}, {len(vot['sequences'])} sequences, {vot['stack']}"
        found.append(record({**document, "threads": vot["threads_per_worker"]}, data, vot["scores"]))
    return found


def _finite(value: object) -> object:
    """Replace NaN and infinity, which JSON does not know, by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write JSON, atomically; raises OSError where that fails."""
    replace_file(path, json.dumps(_finite(document), indent=2, allow_nan=False) + "\n")
