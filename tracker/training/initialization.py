"""Head starts before the first step: attention that begins as feature similarity.

Random keys make attention uniform noise, and thousands of steps go by until it points anywhere. The trunk's own
features already match corresponding parts of an object, so both key convolutions start as their PCA.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tracker.network.encoders import KEY_CHANNELS
from tracker.network.model import DMBNet

SELF_SIMILARITY = 12.0  # mean logit of a position with itself; sets how peaked the attention begins
MASK_STEM_DEVIATION = 0.02  # mask stems near zero: the memory encoder begins as the query encoder


def center_tap(convolution: nn.Conv2d, matrix: Tensor, bias: Tensor) -> None:
    """Make a 3x3 convolution act as a 1x1 one."""
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[:, :, 1, 1] = matrix
        if convolution.bias is not None:
            convolution.bias.copy_(bias)


@torch.no_grad()
def quiet_mask_stems(model: DMBNet) -> None:
    """Set the mask stems near zero, so that the memory encoder begins as the query encoder."""
    for stem in (model.memory_encoder.conv1_m, model.memory_encoder.conv1_o):
        nn.init.normal_(stem.weight, std=MASK_STEM_DEVIATION)


@torch.no_grad()
def keys_from_pca(model: DMBNet, images: Tensor) -> float:
    """Set both keys to the PCA of the trunk's features.

    Args:
        model: a network whose encoders hold the trunk.
        images: N x 3 x H x W, normalized; some dozens of typical search regions.

    Returns:
        The share of the features' variance that the keys keep.
    """
    features = torch.cat([model.query_encoder(part)[2] for part in images.split(8)])
    rows = features.permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = rows.mean(0)
    variances, vectors = torch.linalg.eigh(torch.cov((rows - mean).T))
    variances, vectors = variances.flip(0), vectors.flip(1)
    kept = variances[:KEY_CHANNELS].clamp(min=1e-9)
    # half-whitened: the first few directions would drown all others
    projection = vectors[:, :KEY_CHANNELS].T * kept.pow(-0.25).unsqueeze(1)
    mean_square = kept.pow(0.5).sum()
    projection *= (SELF_SIMILARITY * KEY_CHANNELS**0.5 / mean_square).sqrt()
    for key_value in (model.memory_key_value, model.query_key_value):
        center_tap(key_value.key, projection.float(), (-projection @ mean).float())
    return float(kept.sum() / variances.sum())


@torch.no_grad()
def scale_values(model: DMBNet) -> None:
    """Give the values the variance of the features that they are made of."""
    for key_value in (model.memory_key_value, model.query_key_value):
        nn.init.kaiming_normal_(key_value.value.weight, nonlinearity="linear")
        if key_value.value.bias is not None:
            nn.init.zeros_(key_value.value.bias)
