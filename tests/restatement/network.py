"""The network from image to mask (Sections III-B and III-D), on one sample, by the release's parameter names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tests.restatement.layers import Array, batch_norm, convolution, max_pool, relu, upsample
from tests.restatement.reader import read

Parameters = Mapping[str, Array]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Query(NamedTuple):
    """What is known of the current frame; h, w are H/16, W/16."""

    query: Array  # 128 x h x w
    value: Array  # 512 x h x w
    stride4: Array  # 256 x 4h x 4w
    stride8: Array  # 512 x 2h x 2w
    stride16: Array  # 1024 x h x w


def normalize(image: Array) -> Array:
    """An RGB image 3 x H x W with values 0..255 as the encoders see it."""
    return np.stack([(image[c] / 255.0 - MEAN[c]) / STD[c] for c in range(3)])


def convolve(x: Array, parameters: Parameters, name: str, *, stride: int = 1) -> Array:
    """The convolution of that name; without bias where there is none."""
    return convolution(x, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), stride=stride)


def norm(x: Array, parameters: Parameters, name: str) -> Array:
    """The batch norm of that name."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    return batch_norm(x, weight, bias, parameters[f"{name}.running_mean"], parameters[f"{name}.running_var"])


def bottleneck(x: Array, parameters: Parameters, name: str, *, stride: int, stride_on: str = "3x3") -> Array:
    """1x1, 3x3, 1x1, each with its norm; the release strides in the 3x3 one."""
    strides = (stride, 1) if stride_on == "1x1" else (1, stride)
    y = relu(norm(convolve(x, parameters, f"{name}.conv1", stride=strides[0]), parameters, f"{name}.bn1"))
    y = relu(norm(convolve(y, parameters, f"{name}.conv2", stride=strides[1]), parameters, f"{name}.bn2"))
    y = norm(convolve(y, parameters, f"{name}.conv3"), parameters, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in parameters:
        x = convolve(x, parameters, f"{name}.downsample.0", stride=stride)
        x = norm(x, parameters, f"{name}.downsample.1")
    return relu(y + x)


def stages(stem: Array, parameters: Parameters, encoder: str) -> tuple[Array, Array, Array]:
    """From the stem's convolution to "Conv4_e" of ResNet-50: features at strides 4, 8 and 16."""
    x = max_pool(relu(norm(stem, parameters, f"{encoder}.bn1")))
    features = []
    for stage, blocks, stride in (("res2", 3, 1), ("res3", 4, 2), ("res4", 6, 2)):
        for block in range(blocks):
            x = bottleneck(x, parameters, f"{encoder}.{stage}.{block}", stride=stride if block == 0 else 1)
        features.append(x)
    return features[0], features[1], features[2]


# Eq. 1. The text passes each input through "three convolutional layers individually": three inputs, one convolution
# each, and their sum is normalized.
def memorize(image: Array, mask: Array, parameters: Parameters) -> tuple[Array, Array]:
    """K_A and V_A, 128 and 512 x h x w, of a normalized image 3 x H x W and the target's mask 1 x H x W."""
    stem = convolve(image, parameters, "Encoder_M.conv1", stride=2)
    stem = stem + convolve(mask, parameters, "Encoder_M.conv1_m", stride=2)
    stem = stem + convolve(1.0 - mask, parameters, "Encoder_M.conv1_o", stride=2)
    features = stages(stem, parameters, "Encoder_M")[2]
    return convolve(features, parameters, "KV_M_r4.Key"), convolve(features, parameters, "KV_M_r4.Value")


# Eq. 2.
def ask(image: Array, parameters: Parameters) -> Query:
    """Q_t and V_Q,t of a normalized image 3 x H x W, and the features that the decoder and the filter see."""
    stem = convolve(image, parameters, "Encoder_Q.conv1", stride=2)
    stride4, stride8, stride16 = stages(stem, parameters, "Encoder_Q")
    query, value = (convolve(stride16, parameters, f"KV_Q_r4.{name}") for name in ("Key", "Value"))
    return Query(query, value, stride4, stride8, stride16)


def residual(x: Array, parameters: Parameters, name: str) -> Array:
    """x + conv2(relu(conv1(relu(x)))): the shortcut takes x before the activation."""
    y = convolve(relu(x), parameters, f"{name}.conv1")
    return x + convolve(relu(y), parameters, f"{name}.conv2")


def refinement(skip: Array, coarse: Array, parameters: Parameters, name: str) -> Array:
    """Add the upsampled coarse features to the skip's own; "two residual blocks" (III-D): before and after the sum."""
    fine = residual(convolve(skip, parameters, f"{name}.convFS"), parameters, f"{name}.ResFS")
    return residual(fine + upsample(coarse, 2), parameters, f"{name}.ResMM")


# Section III-D. "Added to the read-out features" (Section IV): the release adds the map behind the first residual
# block, to every channel of what the read-out has become. The rival of Table VIII, "cat", is told of as "two coordinate
# channels"; it is read as the same one map, appended there as channel 257 and mixed by a 1x1 convolution.
def decode_to_stride8(
    readout: Array, stride8: Array, spatial_map: Array | None, parameters: Parameters, *, position: str = "add"
) -> Array:
    """Features 256 x 2h x 2w of R_t 1024 x h x w, the skip 512 x 2h x 2w and the map 1 x h x w, if any."""
    x = residual(convolve(readout, parameters, "Decoder.convFM"), parameters, "Decoder.ResMM")
    if spatial_map is not None and position == "add":
        x = np.stack([channel + spatial_map[0] for channel in x])
    elif spatial_map is not None:
        x = convolve(np.concatenate([x, spatial_map]), parameters, "Decoder.merge")
    return refinement(stride8, x, parameters, "Decoder.RF3")


def decode_to_stride4(features8: Array, stride4: Array, parameters: Parameters) -> Array:
    """Logits 2 x 16h x 16w, background first, of features 256 x 2h x 2w and the skip 256 x 4h x 4w."""
    x = refinement(stride4, features8, parameters, "Decoder.RF2")
    return upsample(convolve(relu(x), parameters, "Decoder.pred2"), 4)


def predict_coarse(features8: Array, parameters: Parameters) -> Array:
    """The same prediction from stride 8, an addition to the paper: logits 2 x 16h x 16w."""
    return upsample(convolve(relu(features8), parameters, "Decoder.pred2"), 8)


def mask_probability(logits: Array) -> Array:
    """H x W from logits 2 x H x W: softmax, soft aggregation of the one object with its background, softmax again."""
    background, target = np.exp(logits[0]), np.exp(logits[1])
    p = target / (background + target)
    odds_target, odds_background = p / (1.0 - p), (1.0 - p) / p
    return odds_target / (odds_target + odds_background)


def segment(
    query: Query, keys: Sequence[Array], values: Sequence[Array], spatial_map: Array, parameters: Parameters
) -> Array:
    """The mask's probability H x W from the current frame, the remembered ones and the map 1 x h x w."""
    readout = read(query.query, query.value, keys, values)
    features8 = decode_to_stride8(readout, query.stride8, spatial_map, parameters)
    return mask_probability(decode_to_stride4(features8, query.stride4, parameters))
