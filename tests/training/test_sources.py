"""What is drawn: parts of objects, and only videos that are long enough."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.test_synthesis import frame
from tracker.training.data import DataError
from tracker.training.sources import MaterialDrawer, part_of, still_source


def test_a_part_is_one_side_of_a_line() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 20:70] = 1
    for seed in range(20):
        part = part_of(mask, np.random.default_rng(seed)) > 0
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


def test_parts_are_drawn_as_often_as_asked_and_keep_their_own_surroundings() -> None:
    still, rng = frame(3), np.random.default_rng(0)
    whole = (still_source(still).mask == 1).sum()
    for share, expected in ((0.0, False), (1.0, True)):
        drawer = MaterialDrawer([still], {}, part_share=share, composite_share=1.0, distractor_share=0.0)
        material = drawer.draw(3, rng, video_share=0.0)
        areas = {int((source.mask == 1).sum()) for source in material.target}
        assert len(areas) == 1
        assert (areas.pop() < 0.75 * whole) == expected
        assert (material.background is None) == expected, "the rest of the object stays beside its part"


def test_videos_shorter_than_a_sample_are_passed_over() -> None:
    videos = {"long": [frame(seed, {1: 1}) for seed in range(5)], "short": [frame(seed, {1: 1}) for seed in range(3)]}
    drawer, rng = MaterialDrawer([frame(0)], videos), np.random.default_rng(0)
    for _ in range(8):
        assert len(drawer.draw(5, rng, video_share=1.0).target) == 5
    drawer = MaterialDrawer([frame(0)], {"short": videos["short"]})
    with pytest.raises(DataError, match="fewer than 5 frames"):
        drawer.draw(5, rng, video_share=1.0)
