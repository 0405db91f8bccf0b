"""The comparison of box fits, on masks whose boxes are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.polygon_sequences import SHAPE, polygon
from tests.geometry.test_region import turned
from tracker.benchmarks import box_fitting
from tracker.benchmarks.box_fitting import METHODS, Comparison, add_labelled, add_tracked, sequence_table, table
from tracker.benchmarks.sequences import open_sequences
from tracker.benchmarks.tracked_masks import PolygonSequence, TrackedMasks
from tracker.config import BoxFitConfig
from tracker.geometry.region import edge_angle, polygon_to_mask


def tracked(count: int = 3) -> tuple[PolygonSequence, TrackedMasks]:
    """Masks that are the ground truth, but for the last frame, which has no ground truth."""
    sequence = PolygonSequence("box", [Path()] * count, [polygon(index) for index in range(count - 1)] + [None])
    masks = np.stack([polygon_to_mask(polygon(index), SHAPE) for index in range(count)])
    angles = np.array([10.0] + [np.nan] * (count - 1))
    return sequence, TrackedMasks(np.arange(count), masks, angles, np.zeros(0, np.int64), count)


def test_perfect_masks_have_perfect_boxes() -> None:
    comparison = Comparison(BoxFitConfig())
    add_tracked(comparison, *tracked())
    assert comparison.count == 2
    assert set(comparison.fits) == set(METHODS)
    for method in ("min_area", "moments", "greedy", "optimise"):
        fits = comparison.fits[method]
        assert fits.overlap > 0.85 and fits.weighted_overlap >= fits.overlap and fits.milliseconds > 0
    assert comparison.fits["ellipse"].overlap < comparison.fits["moments"].overlap
    assert sum(comparison.best_shares().values()) == pytest.approx(1)


def test_sequences_count_alike_and_ties_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean is one of sequence means; equal overlaps divide a mask."""
    boxes = {"moments": (10, 10), "ellipse": (10, 10), "min_area": (5, 10)}

    def fit(mask: np.ndarray, config: BoxFitConfig, angle: float | None) -> np.ndarray | None:
        if config.method not in boxes:
            return None
        width, height = boxes[config.method]
        return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)

    monkeypatch.setattr(box_fitting, "fit_rotated_box", fit)
    mask = np.zeros((20, 20), bool)
    mask[:10, :10] = True
    comparison = Comparison(BoxFitConfig(background_weight=0.25))
    comparison.add("long", [(mask, mask, None)] * 3)
    wide = np.zeros_like(mask)
    wide[:10] = True
    comparison.add("short", [(mask, wide, None)])
    assert comparison.fits["moments"].overlap == pytest.approx((1 + 0.5) / 2)
    assert comparison.fits["min_area"].overlap == pytest.approx((0.5 + 0.25) / 2)
    assert comparison.fits["greedy"].overlap == 0
    shares = comparison.best_shares()
    assert shares["moments"] == shares["ellipse"] == pytest.approx(0.5) and shares["min_area"] == 0
    assert [line.split(" | ")[:3] for line in sequence_table(comparison)[2:]] == [
        ["| long", "3", "0.500"],
        ["| short", "1", "0.250"],
    ]


def test_every_method_goes_on_from_its_own_angle_until_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[float | None]] = {method: [] for method in METHODS}

    def fit(mask: np.ndarray, config: BoxFitConfig, angle: float | None) -> np.ndarray:
        seen[config.method].append(angle)
        return turned(50, 22, 1 + METHODS.index(config.method), (50, 45))

    monkeypatch.setattr(box_fitting, "fit_rotated_box", fit)
    mask = polygon_to_mask(polygon(0), SHAPE)
    comparison = Comparison(BoxFitConfig())
    comparison.add("box", [(mask, mask, given) for given in (None, None, 30.0, None)])
    for index, method in enumerate(METHODS):
        assert seen[method] == [None, pytest.approx(1 + index), 30.0, pytest.approx(1 + index)]
    assert edge_angle(turned(50, 22, 3, (50, 45))) == pytest.approx(3)


def test_labels_are_compared_with_themselves_and_empty_ones_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "box"
    folder.mkdir(parents=True)
    for index in range(3):
        mask = 255 * polygon_to_mask(polygon(index), SHAPE).astype(np.uint8)
        if index == 1:
            mask[:] = 0
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), np.zeros((*SHAPE, 3), np.uint8))
        cv2.imwrite(str(folder / f"{index:05d}.png"), mask)
    comparison = Comparison(BoxFitConfig())
    with open_sequences(tmp_path / "set") as sequences:
        add_labelled(comparison, sequences["box"])
    assert comparison.count == 2
    assert comparison.fits["moments"].overlap > 0.9
    shorter = Comparison(BoxFitConfig())
    with open_sequences(tmp_path / "set") as sequences:
        add_labelled(shorter, sequences["box"], 2)
    assert shorter.count == 1


def test_the_table_has_a_row_for_every_method_and_dashes_for_what_was_not_measured() -> None:
    comparison, nothing = Comparison(BoxFitConfig()), Comparison(BoxFitConfig())
    add_tracked(comparison, *tracked())
    lines = table(comparison, nothing)
    assert len(lines) == 2 + len(METHODS)
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[0] == METHODS[0] and float(cells[1]) > 0.85 and cells[2].endswith("%") and cells[4:] == ["-"] * 3
    assert [cell.strip() for cell in table(nothing, comparison)[2].strip("|").split("|")][1:4] == ["-"] * 3
