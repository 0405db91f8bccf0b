"""DMB behind the interface of the got10k toolkit (`init`, `update`, `track`), which many evaluation scripts expect.

The toolkit itself is not needed: it asks for these names only, and not for its base class.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tracker.api.videos import shared_engine
from tracker.config import TrackerConfig
from tracker.data.images import ImageError, check_image, read
from tracker.engine.engine import Engine
from tracker.media.targets import has_display
from tracker.network import DMBNet
from tracker.tracking.result import Result
from tracker.tracking.tracker import DMB


class GOT10kTracker:
    """A box tracker as the got10k toolkit runs it.

    Args:
        model: the network, or an engine around it; by default what the environment variables DMB_... ask for.
        config: parameters; by default, where there is no model either, what the environment variables ask for.
        name: under which the toolkit files the results.
        origin: what the boxes call the top-left pixel. 0, or 1 where the annotations count from 1, as those of GOT-10k
            and OTB do; the toolkit passes them unchanged.

    Raises:
        WeightsError, DeviceError, SettingsError: see `tracker.api.videos.shared_engine`.
        ValueError: another origin.
    """

    is_deterministic = True

    def __init__(
        self,
        model: DMBNet | Engine | None = None,
        config: TrackerConfig | None = None,
        *,
        name: str = "DMB",
        origin: int = 0,
    ) -> None:
        if origin not in (0, 1):
            raise ValueError(f"the origin is {origin!r}; it must be 0 or 1, the number of the top-left pixel")
        self.name, self.origin = name, origin
        self.dmb = DMB(*shared_engine(model, config))

    def init(self, image: Any, box: ArrayLike) -> None:
        """Start on a target.

        Args:
            image: Pillow image, or array H x W x 3 RGB uint8.
            box: x, y, w, h; pixels.

        Raises:
            ImageError: unusable image.
            RegionError: unusable box.
        """
        region = np.asarray(box)
        if region.shape == (4,) and region.dtype.kind in "iuf":
            region = region - np.array([self.origin, self.origin, 0, 0])
        self.dmb.initialize(image, region, masks=False)

    def update(self, image: Any) -> NDArray[np.float64]:
        """Find the target in the next frame.

        Returns:
            x, y, w, h; the box around the mask, as the VOT toolkit gets it for rectangles.

        Raises:
            ImageError: unusable image.
            StateError: `init` has not been called.
        """
        return self._box(self.dmb.track(image))

    def track(
        self, img_files: Sequence[Any], box: ArrayLike, visualize: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Track through a sequence.

        Args:
            img_files: N images: paths, Pillow images or arrays.
            box: x, y, w, h in the first one.
            visualize: show every frame with its box in a window; without a display a warning says so.

        Returns:
            Boxes N x 4, the first one as given, and N times in seconds without the reading of files.

        Raises:
            ValueError: no images.
            ImageError: an image cannot be read, or is unusable.
            RegionError: unusable box.
        """
        if not len(img_files):
            raise ValueError("there are no images to track through; give at least one")
        boxes, times = np.zeros((len(img_files), 4)), np.zeros(len(img_files))
        for index, file in enumerate(img_files):
            image = _read(file)
            start = time.perf_counter()
            if index:
                boxes[index] = self.update(image)
            else:
                self.init(image, box)
                boxes[0] = np.asarray(box)
            times[index] = time.perf_counter() - start
            if visualize:
                visualize = self._show(image, boxes[index])
        if visualize:
            cv2.destroyWindow(self.name)
        return boxes, times

    def _show(self, image: Any, box: NDArray[np.float64]) -> bool:
        """Draw a frame in a window; returns whether there is one."""
        if not has_display():
            warnings.warn("there is no display to show frames on; the boxes are tracked anyway", stacklevel=3)
            return False
        shown = cv2.cvtColor(self.dmb.levels(check_image(image)), cv2.COLOR_RGB2BGR)
        left, top = (round(float(value)) - self.origin for value in box[:2])
        right, bottom = round(left + float(box[2])) - 1, round(top + float(box[3])) - 1
        cv2.rectangle(shown, (left, top), (right, bottom), (0, 0, 255), 2)
        cv2.imshow(self.name, shown)
        cv2.waitKey(1)
        return True

    def _box(self, result: Result) -> NDArray[np.float64]:
        x, y, width, height = result.box
        return np.array([x + self.origin, y + self.origin, width, height], np.float64)


def _read(image: Any) -> Any:
    """Read an image file; images are returned as they are."""
    if not isinstance(image, str | os.PathLike):
        return image
    try:
        return read(Path(image))
    except ImageError as error:
        raise ImageError(f"the image '{image}' {error}; name an existing image file") from error
