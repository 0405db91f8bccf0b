"""Small toolkit workspaces with generated sequences, and what `vot` leaves in them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from tests.conftest import CHECKOUT, clean_environment
from tracker.geometry.region import box_from_mask, box_to_mask, polygon_to_mask

Form = Literal["rectangle", "polygon", "mask"]
Mask = NDArray[np.bool_]

SHAPE = (120, 240)  # height, width of all frames
SIDE = (36, 26)  # width, height of the targets
TIMEOUT = 300  # seconds per answer: a loaded machine is not a failure


@dataclass
class Video:
    """One sequence: targets of bright patches, each on its path, before a blurred background.

    Attributes:
        name: of the sequence.
        paths: by object name, the center x, y in each frame.
        form: of the ground truth.
        anchors: value by frame, for multi-start.
    """

    name: str
    paths: Mapping[str, Sequence[tuple[float, float]]]
    form: Form = "rectangle"
    anchors: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.paths.values())))

    def corners(self, target: str, frame: int) -> NDArray[np.float64]:
        """Corners 4 x 2 of a target, which turns by two degrees per frame unless its truth is a rectangle."""
        angle = 0.0 if self.form == "rectangle" else np.radians(10 + 2 * frame)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        half = (np.array(SIDE) - 1) / 2
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        return signs * half @ turn + np.array(self.paths[target][frame])

    def truth(self, target: str, frame: int) -> Mask:
        """Mask H x W of a target."""
        return polygon_to_mask(self.corners(target, frame), SHAPE)

    def image(self, frame: int) -> NDArray[np.uint8]:
        """One frame, H x W x 3 BGR."""
        rng = np.random.default_rng(0)
        image = cv2.GaussianBlur(rng.integers(0, 256, (*SHAPE, 3)).astype(np.uint8), (0, 0), 5)
        for target in self.paths:
            patches = rng.integers(0, 2, (4, 6, 1)) * np.array([40, 60, 220]) + 30
            texture = cv2.resize(patches.astype(np.uint8), SIDE, interpolation=cv2.INTER_NEAREST)
            source = np.array([[0, 0], [SIDE[0] - 1, 0], [SIDE[0] - 1, SIDE[1] - 1]], np.float32)
            matrix = cv2.getAffineTransform(source, self.corners(target, frame)[:3].astype(np.float32))
            size = (SHAPE[1], SHAPE[0])
            image = cv2.warpAffine(texture, matrix, size, dst=image, borderMode=cv2.BORDER_TRANSPARENT)
        return np.asarray(image, np.uint8)

    def write(self, folder: Path) -> None:
        """Write the sequence as the toolkit reads it."""
        (folder / "color").mkdir(parents=True)
        for frame in range(len(self)):
            cv2.imwrite(str(folder / "color" / f"{frame + 1:08d}.jpg"), self.image(frame))
        facts = {"name": self.name, "fps": 20, "length": len(self), "format": "default"}
        facts |= {"channels.color": "color/%08d.jpg", "width": SHAPE[1], "height": SHAPE[0]}
        (folder / "sequence").write_text("".join(f"{key}={value}\n" for key, value in facts.items()))
        for target in self.paths:
            lines = [self._line(target, frame) for frame in range(len(self))]
            name = f"groundtruth_{target}.txt" if len(self.paths) > 1 else "groundtruth.txt"
            (folder / name).write_text("\n".join(lines) + "\n")
        if self.anchors:
            values = [str(self.anchors.get(frame, 0)) for frame in range(len(self))]
            (folder / "anchor.value").write_text("\n".join(values) + "\n")

    def _line(self, target: str, frame: int) -> str:
        if self.form == "mask":
            return write_mask(self.truth(target, frame))
        corners = self.corners(target, frame)
        box = box_from_mask(self.truth(target, frame))
        return ",".join(f"{value:.4f}" for value in (corners.ravel() if self.form == "polygon" else box))


def straight(length: int, start: tuple[float, float], step: tuple[float, float]) -> list[tuple[float, float]]:
    """A path at constant speed."""
    return [(start[0] + step[0] * frame, start[1] + step[1] * frame) for frame in range(length)]


def write_mask(mask: Mask) -> str:
    """The toolkit's run-length text of a mask: offset, size, runs of zeros and ones in turn."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])))
    runs = np.diff(np.concatenate([[0], changes]))
    return "m" + ",".join(str(value) for value in (0, 0, mask.shape[1], mask.shape[0], *runs))


def read_region(line: str) -> Mask | int:
    """One line of a result: a mask H x W, or the code of a special state (1 start, 2 failure)."""
    if line.startswith("m"):
        left, top, width, height, *runs = (int(value) for value in line[1:].split(","))
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        mask = np.zeros(SHAPE, np.bool_)
        part = np.zeros(width * height, np.bool_)
        part[: len(values)] = values
        mask[top : top + height, left : left + width] = part.reshape(height, width)
        return mask
    numbers = [float(value) for value in line.split(",")]
    if len(numbers) == 1:
        return int(numbers[0])
    if len(numbers) == 4:
        return box_to_mask((numbers[0], numbers[1], numbers[2], numbers[3]), SHAPE)
    return polygon_to_mask(np.array(numbers).reshape(-1, 2), SHAPE)


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union."""
    return float((first & second).sum() / max((first | second).sum(), 1))


class Workspace:
    """A toolkit workspace with the tracker DMB registered in it."""

    def __init__(
        self, folder: Path, experiment: Mapping[str, object], videos: Sequence[Video], **settings: object
    ) -> None:
        self.folder = folder
        self.videos = {video.name: video for video in videos}
        self.log = folder / "dmb.log"
        for video in videos:
            video.write(folder / "sequences" / video.name)
        (folder / "sequences" / "list.txt").write_text("".join(f"{name}\n" for name in self.videos))
        stack = {"title": "Test", "experiments": {"baseline": dict(experiment)}}
        config = {"registry": ["./trackers.ini"], "stack": "./stack.yaml"}
        (folder / "stack.yaml").write_text(yaml.safe_dump(stack))
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.register(**settings)

    def register(self, **settings: object) -> None:
        """Write trackers.ini; one thread, for several on a busy machine wait for each other."""
        chosen = {"DMB_LOG": self.log, "DMB_DEVICE": "cpu", "DMB_THREADS": 1, "DMB_CROP_SIZE": 256} | settings
        lines = ["[DMB]", "label = DMB", "protocol = traxpython", "command = tracker.trax_server"]
        lines += [f"paths = {CHECKOUT}", f"timeout = {TIMEOUT}"]
        lines += [f"env_{name} = {value}" for name, value in chosen.items()]
        (self.folder / "trackers.ini").write_text("\n".join(lines).replace("%", "%%") + "\n")

    def vot(self, *arguments: str) -> str:
        """Run the toolkit's command; returns its output, both streams."""
        nowhere = "http://127.0.0.1:9"  # the toolkit asks the network for its newest version; tests do not
        process = subprocess.run(
            [sys.executable, "-m", "vot", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(
                VOT_RESULTS_BINARY="0",
                HTTPS_PROXY=nowhere,
                https_proxy=nowhere,
                TMPDIR=str(self.folder),
                PYTHONUNBUFFERED="1",
            ),
        )
        assert process.returncode == 0, process.stdout
        return process.stdout

    def evaluate(self) -> str:
        """Evaluate DMB; returns the output."""
        return self.vot("evaluate", "--workspace", str(self.folder), "DMB")

    def results(self, sequence: str, pattern: str = "*.txt") -> dict[str, list[Mask | int]]:
        """Trajectories of one sequence by file name."""
        files = sorted((self.folder / "results" / "DMB" / "baseline" / sequence).glob(pattern))
        return {file.name: [read_region(line) for line in file.read_text().split()] for file in files}

    def processes(self) -> list[tuple[int, int]]:
        """What each TraX process did: initializations and frames."""
        found = re.findall(r"^DMB: (\d+) initializations?, (\d+) frames?", self.log.read_text(), re.MULTILINE)
        return [(int(initializations), int(frames)) for initializations, frames in found]

    def quality(self, sequence: str, trajectory: Sequence[Mask | int], target: str = "object") -> float:
        """Mean overlap with the ground truth over the frames that hold a region."""
        video = self.videos[sequence]
        overlaps = [
            overlap(region, video.truth(target, frame))
            for frame, region in enumerate(trajectory)
            if not isinstance(region, int)
        ]
        return float(np.mean(overlaps))
