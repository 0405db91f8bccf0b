"""Targets that are parts of an object, or two objects together."""

from __future__ import annotations

import cv2
import numpy as np

from tracker.training.recipes import objects_of
from tracker.training.targets import draw_line, draw_place, joined, part_of


def test_a_part_is_one_side_of_a_line() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 20:70] = 1
    for seed in range(20):
        part = part_of(mask, draw_line(np.random.default_rng(seed))) > 0
        rest = (mask > 0) & ~part
        assert part.sum() + rest.sum() == mask.sum()
        assert 0.3 < part.sum() / mask.sum() < 0.7
        # the line that separates them is normal to some direction: there the two do not overlap
        points, others = np.argwhere(part), np.argwhere(rest)
        angles = np.linspace(0, np.pi, 720, endpoint=False)
        directions = np.stack([np.sin(angles), np.cos(angles)])
        ours, theirs = points @ directions, others @ directions
        overlap = np.minimum(ours.max(0), theirs.max(0)) - np.maximum(ours.min(0), theirs.min(0))
        assert overlap.min() < 1.0


def disc(size: tuple[int, int], center: tuple[int, int], radius: int, color: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc of one gray on black, and its mask."""
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, center, radius, 1, -1)
    return np.repeat(mask[..., None] * np.uint8(color), 3, axis=2), mask


def test_a_pair_shows_the_second_object_under_the_first() -> None:
    image, mask = disc((120, 160), (80, 60), 24, 100)
    other_image, other_mask = disc((50, 50), (25, 25), 20, 200)
    angles = set()
    for seed in range(20):
        place = draw_place(objects_of(mask)[1], objects_of(other_mask)[1], np.random.default_rng(seed))
        picture, both = joined(image, mask, other_image, other_mask, place)
        added = (both == 1) & (mask == 0)
        assert both[mask == 1].all() and np.array_equal(picture[mask == 1], image[mask == 1])
        assert added.any() and (picture[added] > 90).mean() > 0.9, "what was added shows the second object"
        assert np.array_equal(picture[both == 0], image[both == 0])
        assert cv2.connectedComponents(both)[0] == 2, "the two touch"
        y, x = np.argwhere(added).mean(0) - (60, 80)
        angles.add(int(np.degrees(np.arctan2(y, x)) // 90))
    assert len(angles) == 4, "it lies on every side"


def test_a_second_object_that_is_hidden_changes_nothing() -> None:
    image, mask = disc((60, 60), (30, 30), 60, 100)
    other_image, other_mask = disc((50, 50), (25, 25), 20, 200)
    place = draw_place(objects_of(mask)[1], objects_of(other_mask)[1], np.random.default_rng(0))
    picture, both = joined(image, mask, other_image, other_mask, place)
    assert picture is image and both is mask
