"""A target that is hidden for long, tracked by the tiny network, which really sees it or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.robustness import tiny
from tracker import DMB
from tracker.metrics.masks import overlap


@pytest.mark.parametrize(("patience", "found"), [(3, True), (0, False)])
def test_a_target_that_was_hidden_for_long_comes_back_outside_the_search_region(patience: int, found: bool) -> None:
    def picture(x: int | None) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros((240, 320), np.bool_)
        if x is not None:
            mask[100:134, x : x + 34] = True
        image = np.full((240, 320, 3), (20, 40, 30), np.uint8)
        image[mask] = (230, 30, 20)
        return image, mask

    config = replace(tiny.CONFIG, crop=replace(tiny.CONFIG.crop, search_around_after=patience))
    dmb = DMB(tiny.tiny_engine(), config)
    dmb.initialize(*picture(60))
    for x in range(61, 66):
        assert overlap(dmb.track(picture(x)[0]).mask, picture(x)[1]) > 0.5  # the tiny network is coarse
    hidden = [dmb.track(picture(None)[0]) for _ in range(30)]
    assert max(abs(result.center[0] - 81.5) for result in hidden) < 34, "nothing to jump to"
    assert all(result.confidence < 0.3 for result in hidden[3:])
    distance = 115
    assert distance > config.crop.factor * 34 / 2 + 34 / 2, "all of it is outside of the region around the last place"
    image, mask = picture(65 + distance)
    overlaps = [overlap(dmb.track(image).mask, mask) for _ in range(4)]
    assert min(overlaps) > 0.4 if found else max(overlaps) == 0.0, overlaps
