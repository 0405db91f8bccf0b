"""The loss of eq. 12: binary cross-entropy plus soft IoU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def hardest(cross_entropy: Tensor, valid: Tensor, share: float) -> Tensor:
    """Mean of the largest values of each sample: of so many of them as are `share` of its valid ones.

    Args:
        cross_entropy: N x 1 x H x W, 0 where it is not valid.
        valid: N x 1 x H x W, 0 or 1.
        share: above 0, up to 1.

    Returns:
        N.
    """
    counts = (share * valid.sum((1, 2, 3))).ceil()
    if share == 1.0:
        return cross_entropy.sum((1, 2, 3)) / counts.clamp(min=1.0)
    most = max(1, int(share * cross_entropy[0].numel()) + 1)
    values = cross_entropy.flatten(1).topk(min(most, cross_entropy[0].numel()), dim=1).values
    counted = torch.arange(values.shape[1], device=values.device) < counts.unsqueeze(1)
    return (values * counted).sum(1) / counts.clamp(min=1.0)


def segmentation_loss(logit: Tensor, label: Tensor, *, iou_weight: float = 1.0, hardest_share: float = 1.0) -> Tensor:
    """Cross-entropy plus soft IoU, averaged over the batch.

    Pixels are weighted so that target and background count alike in one half of the cross-entropy: in a search
    region the target is a twentieth of the area.

    Args:
        logit: N x 1 x H x W.
        label: N x 1 x H x W: 1 target, 0 background, negative = ignored.
        iou_weight: lambda of eq. 12.
        hardest_share: share of the pixels, the hardest ones, that the other half of the cross-entropy counts (release:
            0.4).
    """
    valid = (label >= 0).to(logit.dtype)
    target = label.clamp(min=0.0)
    cross_entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none") * valid
    foreground, background = target * valid, (1.0 - target) * valid
    plain = hardest(cross_entropy, valid, hardest_share)
    balanced = 0.5 * (cross_entropy * foreground).sum((1, 2, 3)) / foreground.sum((1, 2, 3)).clamp(min=16.0)
    balanced = balanced + 0.5 * (cross_entropy * background).sum((1, 2, 3)) / background.sum((1, 2, 3)).clamp(min=16.0)
    probability = torch.sigmoid(logit) * valid
    intersection = (probability * foreground).sum((1, 2, 3))
    union = (probability + foreground - probability * foreground).sum((1, 2, 3))
    visible = (foreground.sum((1, 2, 3)) > 0).to(logit.dtype)  # an absent target has no IoU to improve
    iou = (intersection + 1.0) / (union + 1.0)
    return (0.5 * plain + 0.5 * balanced + iou_weight * visible * (1.0 - iou)).mean()


@torch.no_grad()
def hard_iou(logit: Tensor, label: Tensor) -> Tensor:
    """IoU of the thresholded mask per sample (N); NaN where the target is absent from the label."""
    valid = label >= 0
    predicted, target = (logit > 0) & valid, (label > 0.5) & valid
    union = (predicted | target).sum((1, 2, 3)).float()
    iou = (predicted & target).sum((1, 2, 3)).float() / union.clamp(min=1.0)
    return torch.where(target.sum((1, 2, 3)) > 0, iou, torch.full_like(iou, float("nan")))
