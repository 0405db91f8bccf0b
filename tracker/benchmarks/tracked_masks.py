"""Masks that the tracker segments on sequences with ground-truth polygons, kept in files.

Why files: how a box is fitted to a mask can then be compared again and again without running the network. One file
per sequence; a run that was interrupted goes on with the sequences that are missing.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.benchmarks.similarity import overlap
from tracker.files import replacing
from tracker.geometry.region import Polygon, edge_angle, polygon_from_box, polygon_to_mask

if TYPE_CHECKING:
    from tracker.tracker import DMB

RESTART_AFTER = 5  # frames from a failure to the next initialisation, as the VOT toolkit's reset-based evaluation does
DAMAGE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)  # of npz files
PATTERN = "color/%08d.jpg"  # of the images, where a sequence's facts do not say otherwise


class MaskCacheError(ValueError):
    """Stored masks are of no use, or a sequence cannot be read; the message says what to do."""


@dataclass(frozen=True)
class PolygonSequence:
    """A sequence of the VOT format: its images, and a polygon 4 x 2 for each (None: the target is not annotated)."""

    name: str
    images: list[Path]
    polygons: list[Polygon | None]

    @classmethod
    def read(cls, folder: Path, limit: int | None = None) -> PolygonSequence:
        """Read a sequence folder, at most its first `limit` frames; the images are only named.

        Raises:
            MaskCacheError: the ground truth is unreadable.
        """
        pattern = PATTERN
        try:
            if (folder / "sequence").is_file():
                facts = (line.partition("=") for line in (folder / "sequence").read_text().splitlines())
                pattern = {name.strip(): value.strip() for name, _, value in facts}.get("channels.color", PATTERN)
            lines = [line for line in (folder / "groundtruth.txt").read_text().splitlines() if line.strip()][:limit]
            polygons = [_polygon(line) for line in lines]
            images = [folder / (pattern % (index + 1)) for index in range(len(lines))]
        except (OSError, ValueError, TypeError) as error:
            raise MaskCacheError(f"sequence '{folder.name}' cannot be read ({error}); restore it") from error
        return cls(folder.name, images, polygons)

    def truth(self) -> NDArray[np.float64]:
        """The polygons n x 8, NaN where the target is not annotated."""
        rows = [np.full(8, np.nan) if polygon is None else np.ravel(polygon) for polygon in self.polygons]
        return np.array(rows, np.float64).reshape(-1, 8)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` as H x W x 3, RGB."""
        image = cv2.imread(str(self.images[index]), cv2.IMREAD_COLOR)
        if image is None:
            path = self.images[index]
            raise MaskCacheError(f"image '{path.name}' of sequence '{self.name}' is missing or damaged; restore it")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _polygon(line: str) -> Polygon | None:
    """Read a box or a polygon of four corners; None where the target is not annotated (NaN, or a single number)."""
    numbers = [float(text) for text in line.split(",")]
    if len(numbers) == 1 or not np.isfinite(numbers).all():
        return None
    if len(numbers) not in (4, 8):
        raise ValueError(f"'{line}' is neither a box nor a polygon of four corners")
    if len(numbers) == 4:
        return polygon_from_box((numbers[0], numbers[1], numbers[2], numbers[3]))
    return np.reshape(numbers, (4, 2))


@dataclass(frozen=True)
class TrackedMasks:
    """The masks of one sequence.

    Attributes:
        frames: n, index of the frame of each mask, growing.
        masks: n x H x W bool, as segmented. Frames that were not segmented, or failed, have none.
        start_angles: n, degrees; where a mask is the first one after an initialisation, the angle of the polygon that
            was given there, else NaN.
        failures: index of each frame in which the target was lost.
        length: frames that were looked at.
    """

    frames: NDArray[np.int64]
    masks: NDArray[np.bool_]
    start_angles: NDArray[np.float64]
    failures: NDArray[np.int64]
    length: int

    def first(self, limit: int | None) -> TrackedMasks:
        """Those of the first `limit` frames."""
        if limit is None or limit >= self.length:
            return self
        kept = self.frames < limit
        failures = self.failures[self.failures < limit]
        return TrackedMasks(self.frames[kept], self.masks[kept], self.start_angles[kept], failures, limit)


def track_masks(tracker: DMB, sequence: PolygonSequence) -> TrackedMasks:
    """Follow a sequence; after a failure (no overlap with the ground truth) start again from it.

    Initialisation frames give no masks: Box2Seg has seen the polygon there.

    Raises:
        MaskCacheError: an image is damaged.
        RegionError: a polygon cannot be tracked.
    """
    frames: list[int] = []
    masks: list[NDArray[np.bool_]] = []
    angles: list[float] = []
    shape = (0, 0)
    failures: list[int] = []
    restart = 0
    running = False
    angle = np.nan
    for index, truth in enumerate(sequence.polygons):
        if not running and (truth is None or index < restart):
            continue
        image = sequence.image(index)
        shape = (image.shape[0], image.shape[1])
        if not running:
            assert truth is not None
            tracker.initialize(image, truth, masks=False)
            running, angle = True, edge_angle(truth)
            continue
        result = tracker.track(image)
        if truth is None:
            continue
        if overlap(polygon_to_mask(result.polygon, shape), polygon_to_mask(truth, shape)) <= 0:
            failures.append(index)
            restart, running = index + RESTART_AFTER, False
        elif result.segmented:
            frames.append(index)
            masks.append(result.mask)
            angles.append(angle)
            angle = np.nan
    stacked = np.stack(masks) if masks else np.zeros((0, *shape), np.bool_)
    lost = np.array(failures, np.int64)
    return TrackedMasks(np.array(frames, np.int64), stacked, np.array(angles), lost, len(sequence.polygons))


@dataclass(frozen=True)
class MaskCache:
    """A folder of masks, one file `SEQUENCE.npz` for each sequence.

    Attributes:
        folder: made where it is missing.
        identity: what the masks depend on: weights and parameters. Others' are refused.
    """

    folder: Path
    identity: str

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def load(self, sequence: PolygonSequence) -> TrackedMasks | None:
        """The masks of a sequence; None if there are none, or only those of fewer frames.

        Raises:
            MaskCacheError: damaged, or made with other weights or parameters.
        """
        path = self._path(sequence.name)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                identity, length = str(stored["identity"]), int(stored["length"])
                count, height, width = (int(number) for number in stored["shape"])
                masks = np.unpackbits(stored["bits"], count=count * height * width).astype(np.bool_)
                found = TrackedMasks(
                    stored["frames"],
                    masks.reshape(count, height, width),
                    stored["start_angles"],
                    stored["failures"],
                    length,
                )
                truth = stored["truth"]
        except DAMAGE as error:
            raise MaskCacheError(f"the masks in '{path}' are damaged ({error}); remove the file") from error
        if identity != self.identity:
            raise MaskCacheError(
                f"the masks in '{path}' were made with other weights or parameters ({identity} instead of "
                f"{self.identity}); remove them or name another folder"
            )
        compared = min(length, len(sequence.polygons))
        if not np.array_equal(truth[:compared], sequence.truth()[:compared], equal_nan=True):
            raise MaskCacheError(
                f"the masks in '{path}' belong to a sequence of that name with another ground truth; remove them or "
                "name another folder"
            )
        return found.first(len(sequence.polygons)) if length >= len(sequence.polygons) else None

    def store(self, sequence: PolygonSequence, masks: TrackedMasks) -> None:
        """Write the masks of a sequence, atomically; raises OSError where that fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._path(sequence.name)) as draft, draft.open("wb") as file:
            np.savez_compressed(
                file,
                identity=np.array(self.identity),
                truth=sequence.truth()[: masks.length],
                length=masks.length,
                shape=np.array(masks.masks.shape),
                bits=np.packbits(masks.masks),
                frames=masks.frames,
                start_angles=masks.start_angles,
                failures=masks.failures,
            )


def tracked_masks(
    sequences: Sequence[PolygonSequence],
    cache: MaskCache,
    load: Callable[[], DMB],
    say: Callable[[str], None],
) -> Iterator[tuple[PolygonSequence, TrackedMasks]]:
    """Yield every sequence with its masks, from the cache or else made and stored.

    Args:
        sequences: to track.
        cache: where masks are kept.
        load: makes the tracker; called once, and only if masks are missing.
        say: is called with a line for each sequence that is tracked.

    Raises:
        MaskCacheError: damaged or foreign masks, damaged images.
    """
    tracker: DMB | None = None
    for sequence in sequences:
        masks = cache.load(sequence)
        if masks is None:
            tracker = load() if tracker is None else tracker
            masks = track_masks(tracker, sequence)
            cache.store(sequence, masks)
            counts = f"{masks.length} frames, {len(masks.frames)} masks, failures: {len(masks.failures)}"
            say(f"{sequence.name:24s} {counts}")
        yield sequence, masks
