"""Masks of a tracker that starts again after failures, and the folder that keeps them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.benchmarks.polygon_sequences import SHAPE, BrightTracker, polygon, write_sequence
from tracker.benchmarks.tracked_masks import (
    MaskCache,
    MaskCacheError,
    PolygonSequence,
    TrackedMasks,
    track_masks,
    tracked_masks,
)
from tracker.geometry.region import edge_angle, polygon_to_mask
from tracker.tracker import DMB


def masks_of(tracker: BrightTracker, sequence: PolygonSequence) -> TrackedMasks:
    return track_masks(cast(DMB, tracker), sequence)


def test_a_sequence_is_read_with_its_facts(tmp_path: Path) -> None:
    sequence = PolygonSequence.read(write_sequence(tmp_path / "box", 4), 3)
    assert sequence.name == "box" and len(sequence.images) == len(sequence.polygons) == 3
    assert sequence.polygons[2] is not None and np.allclose(sequence.polygons[2], polygon(2), atol=1e-3)
    assert sequence.image(2).shape == (*SHAPE, 3) and sequence.image(2)[45, 54, 0] == 220


def test_boxes_and_missing_regions_are_understood(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "box", 3, facts="")
    (folder / "groundtruth.txt").write_text("1,2,10,5\nnan,nan,nan,nan\n0\n\n")
    sequence = PolygonSequence.read(folder)
    assert sequence.images[1] == folder / "color" / "00000002.jpg"
    first, *others = sequence.polygons
    assert first is not None and first.tolist() == [[1, 2], [10, 2], [10, 6], [1, 6]] and others == [None, None]


def test_damaged_sequences_are_one_sentence(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "box", 2)
    (folder / "color" / "00000002.png").write_bytes(b"image")
    with pytest.raises(MaskCacheError, match=r"image '00000002.png' of sequence 'box' is missing or damaged"):
        masks_of(BrightTracker(), PolygonSequence.read(folder))
    (folder / "groundtruth.txt").write_text("one,two\n")
    with pytest.raises(MaskCacheError, match="sequence 'box' cannot be read"):
        PolygonSequence.read(folder)


def test_every_segmented_frame_gives_a_mask(tmp_path: Path) -> None:
    sequence = PolygonSequence.read(write_sequence(tmp_path / "box", 6))
    tracker = BrightTracker(unsegmented=(2,))
    found = masks_of(tracker, sequence)
    assert found.frames.tolist() == [1, 3, 4, 5] and len(found.failures) == 0 and found.length == 6
    assert np.array_equal(found.masks[1], polygon_to_mask(polygon(3), SHAPE))
    assert found.start_angles[0] == pytest.approx(edge_angle(polygon(0)), abs=0.01)
    assert np.isnan(found.start_angles[1:]).all()
    [(region, wants_masks)] = tracker.initialisations
    assert np.allclose(region, polygon(0), atol=1e-3) and not wants_masks


def test_after_a_failure_the_ground_truth_is_given_again(tmp_path: Path) -> None:
    sequence = PolygonSequence.read(write_sequence(tmp_path / "box", 12))
    tracker = BrightTracker(lost=(3,))
    found = masks_of(tracker, sequence)
    # lost in frame 3, again initialised in frame 8, lost in frame 11
    assert found.frames.tolist() == [1, 2, 9, 10]
    assert found.failures.tolist() == [3, 11] and found.first(8).failures.tolist() == [3]
    assert np.isfinite(found.start_angles).tolist() == [True, False, True, False]
    assert found.start_angles[2] == pytest.approx(edge_angle(polygon(8)), abs=0.01)
    assert len(tracker.initialisations) == 2 and np.allclose(tracker.initialisations[1][0], polygon(8), atol=1e-3)


def test_the_cache_gives_back_what_it_got_and_fewer_frames(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "box", 6)
    sequence = PolygonSequence.read(folder)
    cache = MaskCache(tmp_path / "masks", "weights a")
    assert cache.load(sequence) is None
    made = masks_of(BrightTracker(), sequence)
    cache.store(sequence, made)
    found = cache.load(sequence)
    assert found is not None and len(found.failures) == 0 and found.length == 6
    assert np.array_equal(found.masks, made.masks) and np.array_equal(found.frames, made.frames)
    shorter = cache.load(PolygonSequence.read(folder, 4))
    assert shorter is not None and shorter.frames.tolist() == [1, 2, 3] and len(shorter.masks) == 3
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["box.npz"]
    cache.store(sequence, found.first(4))
    assert cache.load(sequence) is None  # those of fewer frames are made again


def test_foreign_and_damaged_masks_are_refused(tmp_path: Path) -> None:
    sequence = PolygonSequence.read(write_sequence(tmp_path / "box", 3))
    MaskCache(tmp_path, "weights a").store(sequence, masks_of(BrightTracker(), sequence))
    with pytest.raises(MaskCacheError, match=r"other weights or parameters \(weights a instead of weights b\)"):
        MaskCache(tmp_path, "weights b").load(sequence)
    whole = (tmp_path / "box.npz").read_bytes()
    for at in range(0, len(whole), 97):
        (tmp_path / "box.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(MaskCacheError):  # a byte that nothing depends on does no harm; nothing else may be raised
            MaskCache(tmp_path, "weights a").load(sequence)
    for content in (b"", b"masks", whole[:200]):
        (tmp_path / "box.npz").write_bytes(content)
        with pytest.raises(MaskCacheError, match=r"box.npz' are damaged .*; remove the file"):
            MaskCache(tmp_path, "weights a").load(sequence)


def test_masks_of_a_sequence_with_another_ground_truth_are_refused(tmp_path: Path) -> None:
    sequence = PolygonSequence.read(write_sequence(tmp_path / "box", 4))
    cache = MaskCache(tmp_path, "weights a")
    cache.store(sequence, masks_of(BrightTracker(), sequence))
    moved = [*sequence.polygons[:2], polygon(9), sequence.polygons[3]]
    with pytest.raises(MaskCacheError, match="another ground truth"):
        cache.load(replace(sequence, polygons=moved))


@pytest.mark.parametrize(("line", "readable"), [("nan,nan,nan,nan", True), ("0", True), ("1,2,3,4,5,6", False)])
def test_only_what_says_so_is_not_annotated(tmp_path: Path, line: str, readable: bool) -> None:
    folder = write_sequence(tmp_path / "box", 3)
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    (folder / "groundtruth.txt").write_text("\n".join([lines[0], line, lines[2]]))
    if readable:
        assert [polygon is None for polygon in PolygonSequence.read(folder).polygons] == [False, True, False]
    else:
        with pytest.raises(MaskCacheError, match="neither a box nor a polygon of four corners"):
            PolygonSequence.read(folder)


def test_a_target_that_is_never_segmented_gives_no_masks(tmp_path: Path) -> None:
    sequence = PolygonSequence.read(write_sequence(tmp_path / "box", 3))
    cache = MaskCache(tmp_path / "masks", "a")
    cache.store(sequence, masks_of(BrightTracker(unsegmented=(1, 2)), sequence))
    found = cache.load(sequence)
    assert found is not None and len(found.frames) == len(found.masks) == 0


def test_only_missing_sequences_are_tracked(tmp_path: Path) -> None:
    sequences = [PolygonSequence.read(write_sequence(tmp_path / name, 3)) for name in ("one", "two")]
    cache = MaskCache(tmp_path / "masks", "a")
    trackers: list[BrightTracker] = []
    lines: list[str] = []

    def load() -> DMB:
        trackers.append(BrightTracker())
        return cast(DMB, trackers[-1])

    cache.store(sequences[0], masks_of(BrightTracker(), sequences[0]))
    for _ in range(2):
        found = dict((sequence.name, masks) for sequence, masks in tracked_masks(sequences, cache, load, lines.append))
        assert {name: len(masks.frames) for name, masks in found.items()} == {"one": 2, "two": 2}
    assert len(trackers) == 1 and len(trackers[0].initialisations) == 1
    assert [line.split() for line in lines] == [["two", "3", "frames,", "2", "masks,", "failures:", "0"]]
