"""The first frame seen in many ways: the samples from which the correlation filter starts.

One image is little to learn a filter from. Shifts give background on all sides, the rest is what the target
will soon do: turn, blur, face the other way. Every sample is a fixed transformation; nothing is random. The
samples are cut from a crop twice as large, so that shifts and rotations bring in real image and not padding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.geometry.crop import Crop

EXPANSION = 2  # side of the crop that samples are cut from, in units of the search crop's (release)
SHIFT = 0.3  # shift of the target along x, y or both, in units of the crop's side (ATOM: 0.6 of its half)
BLUR_REFERENCE = 256  # crop size at which the blurs below are in pixels (release's filter crop)
BLURS = ((2.0, 0.2), (0.2, 2.0), (3.0, 1.0), (1.0, 3.0), (2.0, 2.0))  # standard deviations along x, y (ATOM)
ROTATIONS = (5, -5, 10, -10, 20, -20, 30, -30, 45, -45, 60, -60)  # degrees (ATOM)
SAMPLES = 1 + 8 + 1 + len(BLURS) + len(ROTATIONS)


def augment_initial(image: NDArray[np.uint8], crop: Crop) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut the initial samples: identity, eight shifts, flip, five blurs, twelve rotations.

    Args:
        image: H x W x 3 RGB.
        crop: the search crop, centerd on the target.

    Returns: The samples S x size x size x 3 (S = 27, `size` the crop's), identity first, and the target's
        center in each, S x 2 (x, y) in crop pixels. Shifts are by whole crop pixels, so that these centers
        are exact and nothing is resampled twice.
    """
    size = crop.size
    margin = (EXPANSION - 1) * size // 2  # rows and columns of the large crop on each side of the sample
    side = crop.side * (size + 2 * margin) / size
    large = replace(crop, side=side, size=size + 2 * margin).extract(image)
    middle = ((large.shape[1] - 1) / 2, (large.shape[0] - 1) / 2)

    def cut(source: NDArray[np.uint8], dx: int = 0, dy: int = 0) -> NDArray[np.uint8]:
        return source[margin - dy : margin - dy + size, margin - dx : margin - dx + size]

    shift = round(SHIFT * size)
    shifts = [(dx, dy) for dy in (-shift, 0, shift) for dx in (-shift, 0, shift) if (dx, dy) != (0, 0)]
    samples = [cut(large)]
    samples += [cut(large, dx, dy) for dx, dy in shifts]
    samples.append(cut(large)[:, ::-1])
    for sigma_x, sigma_y in BLURS:
        scale = size / BLUR_REFERENCE
        blurred = cv2.GaussianBlur(large, (0, 0), sigmaX=sigma_x * scale, sigmaY=sigma_y * scale)
        samples.append(cut(np.asarray(blurred, dtype=np.uint8)))
    for angle in ROTATIONS:
        turn = cv2.getRotationMatrix2D(middle, angle, 1.0)
        turned = cv2.warpAffine(
            large,
            turn,
            (large.shape[1], large.shape[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        samples.append(cut(np.asarray(turned, dtype=np.uint8)))

    centers = np.full((len(samples), 2), (size - 1) / 2)
    centers[1 : 1 + len(shifts)] += np.array(shifts)
    return np.stack(samples), centers
