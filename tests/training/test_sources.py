"""What is drawn: parts of objects, pairs of them, and only videos that are long enough."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.test_synthesis import frame
from tracker.training.data import DataError
from tracker.training.drawer import MaterialDrawer
from tracker.training.sources import Files


def test_parts_are_drawn_as_often_as_asked_and_keep_their_own_surroundings() -> None:
    stills, rng = Files([frame(3)], {}), np.random.default_rng(0)
    whole = stills.still(0).objects[1].area
    for share, expected in ((0.0, False), (1.0, True)):
        drawer = MaterialDrawer(stills, part_share=share, composite_share=1.0, distractor_share=0.0)
        recipe = drawer.draw(3, rng, video_share=0.0)
        assert len(set(recipe.target)) == 1
        area = (stills.pack([recipe]).masks[0] == 1).sum()
        assert (area < 0.75 * whole) == expected
        assert (recipe.background is None) == expected, "the rest of the object stays beside its part"


def test_pairs_are_drawn_as_often_as_asked() -> None:
    stills, rng = Files([frame(3)], {}), np.random.default_rng(0)
    whole = stills.still(0).objects[1].area
    for share, expected in ((0.0, False), (1.0, True)):
        drawer = MaterialDrawer(stills, pair_share=share, distractor_share=0.0)
        recipe = drawer.draw(3, rng, video_share=0.0)
        assert len(set(recipe.target)) == 1
        area = (stills.pack([recipe]).masks[0] == 1).sum()
        assert (area > 1.03 * whole) == expected


def test_videos_shorter_than_a_sample_are_passed_over() -> None:
    videos = {"long": [frame(seed, {1: 1}) for seed in range(5)], "short": [frame(seed, {1: 1}) for seed in range(3)]}
    drawer, rng = MaterialDrawer(Files([frame(0)], videos)), np.random.default_rng(0)
    for _ in range(8):
        assert len(drawer.draw(5, rng, video_share=1.0).target) == 5
    drawer = MaterialDrawer(Files([frame(0)], {"short": videos["short"]}))
    with pytest.raises(DataError, match="fewer than 5 frames"):
        drawer.draw(5, rng, video_share=1.0)
