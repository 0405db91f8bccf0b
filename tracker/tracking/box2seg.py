"""Box2Seg: from the first box to a pseudo mask (Section IV-A c).

The network was trained with boxes in place of some first masks. One pass remembers the box and segments the very
same frame; the result, cut to the box, replaces the box in memory.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tracker.config import Box2SegConfig
from tracker.engine.engine import Engine
from tracker.network import QueryFeatures


def pseudo_mask(
    engine: Engine,
    image: Tensor,
    features: QueryFeatures,
    box_mask: NDArray[np.float32],
    spatial_map: NDArray[np.float32],
    config: Box2SegConfig,
) -> NDArray[np.float32]:
    """Segment the target of a box.

    Args:
        engine: runs the network.
        image: the normalized crop 1 x 3 x S x S.
        features: its query features.
        box_mask: S x S, the box (or polygon) filled with ones.
        spatial_map: S/16 x S/16, centered on the box.
        config: parameters.

    Returns:
        The probability of the target S x S, zero outside the slightly widened box; the box itself where the
        network sees too little in it to be believed.
    """
    keys, values = engine.encode_memory(image, box_mask)
    probability = engine.segment(features, keys, values, spatial_map)
    filled = (box_mask > 0.5).astype(np.uint8)
    rows, columns = np.flatnonzero(filled.any(1)), np.flatnonzero(filled.any(0))
    if not len(rows):
        return box_mask
    shorter = min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    width = max(config.min_dilation, round(config.dilation * shorter))
    probability = probability * cv2.dilate(filled, np.ones((width, width), np.uint8))
    if (probability > 0.5).sum() < config.min_area * filled.sum():
        return box_mask
    return probability.astype(np.float32)
