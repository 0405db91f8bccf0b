"""Compares the ways to fit a rotated box to a mask: how well, and in how many milliseconds.

Against ground-truth polygons, on masks that the tracker has segmented; and against the mask itself, on sequences with
a mask for every frame. Every method sees the masks in their order, with its own last angle, as in the tracker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tracker.benchmarks.sequences import MaskSequence
from tracker.benchmarks.similarity import overlap
from tracker.benchmarks.tracked_masks import PolygonSequence, TrackedMasks
from tracker.config import BoxFitConfig, BoxFitMethod
from tracker.geometry.box_search import weighted_overlap
from tracker.geometry.region import edge_angle, polygon_to_mask
from tracker.geometry.rotated_box import fit_rotated_box

METHODS: tuple[BoxFitMethod, ...] = get_args(BoxFitMethod)
TIE = 1e-9  # overlaps that differ by less are equal


@dataclass
class Fits:
    """What one method reached, by the names of the sequences; one number for each mask."""

    overlaps: dict[str, list[float]] = field(default_factory=dict)  # with the reference, 0 to 1
    weighted: dict[str, list[float]] = field(default_factory=dict)  # the same, background inside the box counting less
    seconds: list[float] = field(default_factory=list)  # of every fit

    @staticmethod
    def _mean(values: Mapping[str, Sequence[float]]) -> float:
        return float(np.mean([np.mean(numbers) for numbers in values.values()])) if values else float("nan")

    @property
    def overlap(self) -> float:
        """Mean of the sequences' mean overlaps; NaN without any."""
        return self._mean(self.overlaps)

    @property
    def weighted_overlap(self) -> float:
        """Mean of the sequences' mean weighted overlaps; NaN without any."""
        return self._mean(self.weighted)

    @property
    def milliseconds(self) -> float:
        """Median time of a fit; NaN without any."""
        return 1e3 * float(np.median(self.seconds)) if self.seconds else float("nan")


class Comparison:
    """Fits boxes to masks by several methods.

    Args:
        config: parameters of all methods.
        methods: to compare.
    """

    def __init__(self, config: BoxFitConfig, methods: Sequence[BoxFitMethod] = METHODS) -> None:
        self.configs = {method: replace(config, method=method) for method in methods}
        self.fits = {method: Fits() for method in methods}

    @property
    def count(self) -> int:
        """Masks so far."""
        return len(next(iter(self.fits.values())).seconds)

    def add(
        self,
        name: str,
        masks: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_], float | None]],
    ) -> None:
        """Fit boxes to the masks of one sequence.

        Args:
            name: of the sequence.
            masks: mask H x W, what its box is compared with H x W (not empty), and the angle of a box that was given
                just before, degrees (None: the last one goes on).
        """
        last: dict[BoxFitMethod, float | None] = dict.fromkeys(self.configs)
        for mask, reference, given in masks:
            for method, config in self.configs.items():
                angle = last[method] if given is None else given
                start = time.perf_counter()
                polygon = fit_rotated_box(mask, config, angle)
                fits = self.fits[method]
                fits.seconds.append(time.perf_counter() - start)
                shape = (mask.shape[0], mask.shape[1])
                box = np.zeros(shape, np.bool_) if polygon is None else polygon_to_mask(polygon, shape)
                last[method] = angle if polygon is None else edge_angle(polygon)
                fits.overlaps.setdefault(name, []).append(overlap(box, reference))
                inside, total = int(np.count_nonzero(box & reference)), int(np.count_nonzero(reference))
                weighted = weighted_overlap(inside, total, int(np.count_nonzero(box)), config.background_weight)
                fits.weighted.setdefault(name, []).append(weighted)

    def best_shares(self) -> dict[BoxFitMethod, float]:
        """Share of the masks on which each method's overlap is the highest; equal ones divide a mask."""
        if not self.count:
            return dict.fromkeys(self.configs, float("nan"))
        table = np.array([np.concatenate([*fits.overlaps.values()]) for fits in self.fits.values()])
        best = table >= table.max(0) - TIE
        shares = (best / best.sum(0)).mean(1)
        return dict(zip(self.configs, map(float, shares), strict=True))


def add_tracked(comparison: Comparison, sequence: PolygonSequence, masks: TrackedMasks) -> None:
    """Compare boxes of segmented masks with the ground-truth polygons of their frames; those without are passed over.

    Both are filled to pixels and cut at the image's border, as the VOT toolkit does it.
    """

    def triples() -> Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_], float | None]]:
        for frame, mask, angle in zip(masks.frames, masks.masks, masks.start_angles, strict=True):
            truth = sequence.polygons[frame]
            reference = np.zeros_like(mask) if truth is None else polygon_to_mask(truth, (mask.shape[0], mask.shape[1]))
            if reference.any():
                yield mask, reference, None if np.isnan(angle) else float(angle)

    comparison.add(sequence.name, triples())


def add_labelled(comparison: Comparison, sequence: MaskSequence, limit: int | None = None) -> None:
    """Compare boxes of labels with the labels; empty ones are passed over.

    Raises:
        SequenceError: damaged.
    """
    labels = (frame.mask for frame in sequence.frames(limit))
    comparison.add(sequence.name, ((label, label, None) for label in labels if label.any()))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float, form: str) -> str:
    return "-" if np.isnan(value) else format(value, form)


def table(tracked: Comparison, labelled: Comparison) -> list[str]:
    """One line of Markdown for each method: both comparisons side by side."""
    head = ["method", "overlap with the polygon", "best on", "ms per fit"]
    head += ["IoU with the mask", "weighted IoU with the mask", "ms per fit on these"]
    lines = [_row(head), _row(["---"] * len(head))]
    shares = tracked.best_shares()
    for method in tracked.configs:
        here, there = tracked.fits[method], labelled.fits[method]
        lines.append(
            _row(
                (
                    method,
                    _number(here.overlap, ".4f"),
                    _number(shares[method], ".0%"),
                    _number(here.milliseconds, ".2f"),
                    _number(there.overlap, ".4f"),
                    _number(there.weighted_overlap, ".4f"),
                    _number(there.milliseconds, ".2f"),
                )
            )
        )
    return lines


def sequence_table(comparison: Comparison) -> list[str]:
    """One line of Markdown for each sequence: its masks and the mean overlap of every method."""
    head = ("sequence", "masks", *comparison.configs)
    lines = [_row(head), _row(["---"] * len(head))]
    names = next(iter(comparison.fits.values())).overlaps
    for name in names:
        means = (f"{np.mean(fits.overlaps[name]):.3f}" for fits in comparison.fits.values())
        lines.append(_row((name, str(len(names[name])), *means)))
    return lines
