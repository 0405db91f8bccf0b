"""The spatial map that guides the decoder: where the target is expected, on the grid of the crop that is segmented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.checkpoints.weights import WeightsError
from tracker.config import TrackerConfig
from tracker.geometry.crop import Crop
from tracker.geometry.distance_map import distance_map, gaussian_map
from tracker.network import DMBNet
from tracker.network.model import STRIDE
from tracker.tracking.localization import Point, SearchResult, to_cells


class SpatialMaps:
    """Makes spatial maps of the kind that a network was trained with.

    Args:
        model: the network.
        config: the tracker's parameters.

    Raises:
        WeightsError: the parameters ask for another kind; the message says what to do.
    """

    def __init__(self, model: DMBNet, config: TrackerConfig) -> None:
        self.config = config
        self.encoding = config.position.encoding or model.position
        self.kind = config.position.spatial_map or model.spatial_map
        if self.encoding not in ("none", model.position):
            raise _untrained("position", self.encoding, model.position)
        if self.kind != model.spatial_map and self.encoding != "none":
            raise _untrained("spatial_map", self.kind, model.spatial_map)

    def make(
        self, crop: Crop, center: Point, size: tuple[float, float], located: SearchResult | None = None
    ) -> NDArray[np.float32]:
        """The spatial map S/16 x S/16 of a crop: zeros without positional encoding.

        "distance" gives distances to the target's center, in sides of the search region whatever the crop shows;
        "response" the filter's windowed scores, and where there is no filter yet or none at all its label, a Gaussian.

        Args:
            crop: the crop.
            center: x, y where the target is expected, image pixels.
            size: its width and height.
            located: what the search region of this frame showed; None in the first frame.
        """
        cells, at = crop.size // STRIDE, to_cells(crop, center)
        target = float(np.sqrt(np.prod(size))) * crop.scale / STRIDE
        if self.encoding == "none":
            return np.zeros((cells, cells), np.float32)
        if self.kind == "distance":
            return distance_map(cells, at, self.config.crop.factor * target)
        if located is not None and located.where is not None:
            return located.response(crop)
        return gaussian_map(cells, at, self.config.filter.label_sigma * target)


def _untrained(name: str, wanted: str, trained: str) -> WeightsError:
    return WeightsError(
        f"DMB_{name.upper()} is '{wanted}', but the weights were trained with '{trained}'; train others with "
        f'{name} = "{wanted}" in the plan (docs/TRAINING.md) and name their file by DMB_WEIGHTS'
    )
