"""What is drawn: parts of objects, pairs of them, and only videos that are long enough."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.test_synthesis import frame
from tracker.training.data import DataError
from tracker.training.sources import MaterialDrawer, still_source


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


def test_pairs_are_drawn_as_often_as_asked() -> None:
    still, rng = frame(3), np.random.default_rng(0)
    whole = (still_source(still).mask == 1).sum()
    for share, expected in ((0.0, False), (1.0, True)):
        drawer = MaterialDrawer([still], {}, pair_share=share, distractor_share=0.0)
        areas = {int((source.mask == 1).sum()) for source in drawer.draw(3, rng, video_share=0.0).target}
        assert len(areas) == 1
        assert (areas.pop() > 1.03 * whole) == expected


def test_videos_shorter_than_a_sample_are_passed_over() -> None:
    videos = {"long": [frame(seed, {1: 1}) for seed in range(5)], "short": [frame(seed, {1: 1}) for seed in range(3)]}
    drawer, rng = MaterialDrawer([frame(0)], videos), np.random.default_rng(0)
    for _ in range(8):
        assert len(drawer.draw(5, rng, video_share=1.0).target) == 5
    drawer = MaterialDrawer([frame(0)], {"short": videos["short"]})
    with pytest.raises(DataError, match="fewer than 5 frames"):
        drawer.draw(5, rng, video_share=1.0)
