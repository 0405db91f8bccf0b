"""What counts as an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError


class ImageError(UserError):
    """The image is no image that can be tracked in; the message says what is wrong with it."""


def check_image(image: object) -> NDArray[np.uint8]:
    """Return an image as H x W x 3 uint8 (grey images are repeated).

    Raises:
        ImageError: no array, or of another shape or type.
    """
    if not isinstance(image, np.ndarray):
        raise ImageError(f"the image is a {type(image).__name__}; give a numpy array, height x width x 3, RGB, uint8")
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ImageError(
            f"the image has shape {image.shape} and type {image.dtype}; give height x width x 3, RGB, uint8"
        )
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] != 3:
        raise ImageError(f"the image has {image.shape[2]} channels; give 3 (RGB) or 1 (grey)")
    return image
