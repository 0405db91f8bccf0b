"""Views: where they look, what lies beyond the border, and boxes of masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.test_synthesis import picture
from tracker.training.recipes import SOURCE_SIZE, box_of
from tracker.training.sources import cut_source
from tracker.training.warp import View, boxes_of, elastic_field, outside, sample, view_grid

CPU = torch.device("cpu")


def test_view_shows_the_source_where_it_should() -> None:
    image, mask = picture(0)
    source = cut_source(image, mask, 1.0, (0, 0))
    assert source.center == pytest.approx((150, 100), abs=1)
    grid = view_grid([View(np.array(source.center), 144.0, 0.0, False)], 72, CPU)
    pixels = torch.from_numpy(source.image).permute(2, 0, 1)[None].float()
    view = sample(pixels, torch.tensor([[288.0, 200.0]]), grid, mirror=False)
    assert view.shape == (1, 3, 72, 72)
    assert view[0, :, 36, 36].tolist() == pytest.approx([200, 30, 40], abs=2)
    assert grid[0, 0, 0].tolist() == pytest.approx([150 - 71, 100 - 71], abs=1.0)


def test_beyond_the_extent_the_border_repeats_or_the_image_is_mirrored() -> None:
    ramp = torch.arange(10.0).view(1, 1, 1, 10).expand(1, 1, 10, 10)
    padded = torch.zeros(1, 1, SOURCE_SIZE, SOURCE_SIZE)
    padded[..., :10, :10] = ramp
    extent = torch.tensor([[10.0, 10.0]])
    x = torch.arange(-2.0, 12.0)
    grid = torch.stack([x, torch.full_like(x, 5.0)], -1).view(1, 1, 14, 2).expand(1, 2, 14, 2)
    ramp_up = [float(value) for value in range(10)]
    repeated = sample(padded, extent, grid, mirror=False)[0, 0, 0].tolist()
    assert repeated == pytest.approx([0, 0, *ramp_up, 9, 9], abs=1e-4)
    mirrored = sample(padded, extent, grid, mirror=True)[0, 0, 0].tolist()
    assert mirrored == pytest.approx([2, 1, *ramp_up, 8, 7], abs=1e-4)


def test_a_turned_and_flipped_view_keeps_its_center_and_turns_its_axes() -> None:
    center = np.array([100.0, 60.0])
    straight, turned, flipped = view_grid(
        [View(center, 64.0, 0.0, False), View(center, 64.0, np.pi / 2, False), View(center, 64.0, 0.0, True)], 64, CPU
    )
    for grid in (straight, turned, flipped):
        assert grid.mean((0, 1)).tolist() == pytest.approx([100.0, 60.0], abs=1e-3)
    # one pixel to the right in the region: right, down and left in the source
    assert (straight[5, 6] - straight[5, 5]).tolist() == pytest.approx([1.0, 0.0], abs=1e-4)
    assert (turned[5, 6] - turned[5, 5]).tolist() == pytest.approx([0.0, 1.0], abs=1e-4)
    assert (flipped[5, 6] - flipped[5, 5]).tolist() == pytest.approx([-1.0, 0.0], abs=1e-4)


def test_outside_is_what_lies_beyond_the_extent() -> None:
    grid = torch.tensor([[[[0.0, 0.0], [9.0, 4.0], [9.1, 4.0], [-0.1, 2.0], [3.0, 4.5]]]])
    assert outside(grid, torch.tensor([[10.0, 5.0]]))[0, 0].tolist() == [False, False, True, True, True]


def test_a_still_bends_smoothly_and_a_video_does_not() -> None:
    field = elastic_field(64, torch.tensor([0.0, 5.0]), torch.Generator().manual_seed(0))
    assert field.shape == (2, 64, 64, 2)
    assert field[0].abs().max() == 0
    assert 1.0 < field[1].std() < 10.0
    assert field[1].diff(dim=0).abs().max() < 1.5


def test_boxes_are_those_of_each_mask() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((20, 17, 23)) > 0.99
    masks[0] = False
    for mask, (x0, y0, x1, y1) in zip(masks, boxes_of(torch.from_numpy(masks)), strict=True):
        box = box_of(mask)
        if box is None:
            assert np.isnan([x0, y0, x1, y1]).all()
        else:
            assert ((x0 + x1) / 2, (y0 + y1) / 2) == box[0] and (x1 - x0 + 1, y1 - y0 + 1) == box[1]
