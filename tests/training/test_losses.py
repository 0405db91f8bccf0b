"""The loss of eq. 12 by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tracker.training.losses import hard_iou, hardest, segmentation_loss


def test_perfect_mask_costs_nothing_and_the_opposite_a_lot() -> None:
    label = torch.zeros(1, 1, 8, 8)
    label[..., 2:6, 2:6] = 1
    logit = 60 * (label - 0.5)
    assert segmentation_loss(logit, label) == pytest.approx(0.0, abs=1e-6)
    assert segmentation_loss(-logit, label) > 20


def test_undecided_mask_by_hand() -> None:
    label = torch.zeros(1, 1, 8, 8)
    label[..., :2] = 1
    # every pixel at p = 0.5: cross-entropy ln 2; IoU of 16 targets, 64 pixels: (8 + 1) / (32 + 16 - 8 + 1)
    expected = math.log(2) + 1 - 9 / 41
    assert segmentation_loss(torch.zeros(1, 1, 8, 8), label) == pytest.approx(expected, rel=1e-5)


def test_ignored_pixels_do_not_count() -> None:
    label = torch.zeros(1, 1, 8, 8)
    label[..., :4] = 1
    logit = 20 * (label - 0.5)
    label[..., 7, :] = -1
    logit[..., 7, :] = -logit[..., 7, :]
    assert segmentation_loss(logit, label) == pytest.approx(0.0, abs=1e-3)
    assert hard_iou(logit, label).item() == 1.0


def test_an_absent_target_has_no_iou() -> None:
    label = torch.zeros(2, 1, 8, 8)
    label[1, ..., :4, :4] = 1
    iou = hard_iou(torch.ones(2, 1, 8, 8), label)
    assert math.isnan(iou[0])
    assert iou[1] == pytest.approx(16 / 64)


def test_the_hardest_pixels_alone_count() -> None:
    values = torch.tensor([[9.0, 1.0, 5.0, 2.0, 0.0], [4.0, 3.0, 0.0, 0.0, 0.0]]).view(2, 1, 1, 5)
    valid = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0, 0.0]]).view(2, 1, 1, 5)
    assert hardest(values, valid, 1.0).tolist() == pytest.approx([17 / 5, 7 / 2])
    assert hardest(values, valid, 0.4).tolist() == pytest.approx([7.0, 4.0])
    assert hardest(values, 0.0 * valid, 0.4).isfinite().all()
    rng = torch.Generator().manual_seed(0)
    logit, label = torch.randn(3, 1, 16, 16, generator=rng), (torch.rand(3, 1, 16, 16, generator=rng) > 0.5).float()
    shares = [float(segmentation_loss(logit, label, hardest_share=share)) for share in (1.0, 0.7, 0.4)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] == float(segmentation_loss(logit, label))
