"""Sample families that look like the sequences on which tracking fails: small, blurred, compressed, dark, hidden.

Each family is drawn for a share of the samples, with random numbers of its own: one that is switched on changes
neither the rest of a sample nor the other families. Nothing here knows where pixels come from; a sample's T frames are
S x S search regions, and lengths are pixels of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SMALLEST, LARGEST = 20.0, 60.0  # sqrt(w*h) of a small target before it is enlarged, pixels
BORDER = 1.5  # width of an occluder's soft border, pixels
LUMA = (0.299, 0.587, 0.114)  # of R, G, B (ITU-R BT.601)


@dataclass(frozen=True)
class Families:
    """Shares of the samples that belong to each family; a sample may belong to several."""

    small_share: float = 0.0  # target of 20 to 60 pixels, enlarged
    blur_share: float = 0.0  # motion blur along the target's path
    compression_share: float = 0.0  # noise and JPEG
    gray_share: float = 0.0  # without colors
    light_share: float = 0.0  # strong changes of light from frame to frame
    occlusion_share: float = 0.0  # something hides most of the target in a later frame
    corrupt_memory_share: float = 0.0  # what is remembered of a middle frame has a piece too much, or lacks one


class FamilyDraws:
    """Who belongs to which family in a batch of B samples.

    Args:
        families: the shares.
        count: B.
        seed: of the batch.
    """

    def __init__(self, families: Families, count: int, seed: Sequence[int]) -> None:
        self.rngs: dict[str, np.random.Generator] = {}
        self.chosen: dict[str, list[int]] = {}
        for number, name in enumerate((field.name.removesuffix("_share") for field in fields(Families)), 1):
            self.rngs[name] = rng = np.random.default_rng([*seed, number])
            self.chosen[name] = np.flatnonzero(rng.random(count) < getattr(families, f"{name}_share")).tolist()

    def of(self, name: str) -> tuple[list[int], np.random.Generator]:
        """The samples of a family, and the numbers that it draws from."""
        return self.chosen[name], self.rngs[name]


def plane(size: int) -> tuple[Tensor, Tensor]:
    """Coordinates x (1 x S) and y (S x 1) of a region's pixels."""
    axis = torch.arange(size, dtype=torch.float32)
    return axis.view(1, -1), axis.view(-1, 1)


def ellipse(size: int, center: NDArray[np.float64], axes: NDArray[np.float64], angle: float) -> Tensor:
    """A filled ellipse with a soft border, S x S in 0..1; its half axes in pixels."""
    x, y = plane(size)
    x, y = x - float(center[0]), y - float(center[1])
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    distance = torch.hypot((cos * x + sin * y) / float(axes[0]), (cos * y - sin * x) / float(axes[1]))
    return ((1.0 - distance) * float(axes.min()) / BORDER + 0.5).clamp(0.0, 1.0)


def beyond(size: int, point: NDArray[np.float64], angle: float) -> Tensor:
    """The half of a region that lies beyond a line through `point`, S x S in 0..1; `angle` is the normal's."""
    x, y = plane(size)
    along = float(np.cos(angle)) * (x - float(point[0])) + float(np.sin(angle)) * (y - float(point[1]))
    return (along / BORDER + 0.5).clamp(0.0, 1.0)


def occluder(size: int, center: NDArray[np.float32], target: float, rng: np.random.Generator) -> Tensor:
    """What hides most of a target, S x S in 0..1: a bar across the region, as a pole or a passer-by, or an ellipse.

    Args:
        size: S.
        center: x, y of the target.
        target: sqrt(w*h) of it.
        rng: is drawn from.
    """
    angle = rng.uniform(0.0, np.pi)
    middle = center + rng.uniform(-0.2, 0.2, size=2) * target
    if rng.random() < 0.5:
        return ellipse(size, middle, target * rng.uniform(0.45, 0.8, size=2), angle)
    reach = target * rng.uniform(0.3, 0.6) * np.array([np.cos(angle), np.sin(angle)])
    return beyond(size, middle - reach, angle) * (1.0 - beyond(size, middle + reach, angle))


def hidden_frames(frames: int, rng: np.random.Generator) -> range:
    """The later frames in which a target is hidden: from any one on, for one frame or more."""
    first = int(rng.integers(1, frames))
    return range(first, int(rng.integers(first, frames)) + 1)


def line_kernel(path: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a point becomes that moves along `path` (x, y) while the shutter is open; it sums up to 1."""
    reach = int(np.ceil(np.abs(path).max() / 2)) + 1
    steps = np.linspace(-0.5, 0.5, 4 * reach + 1)[:, None] * path + reach
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2), np.float32)
    low = np.floor(steps).astype(int)
    right, down = (steps - low).T
    for row, column, share in (
        (0, 0, (1 - down) * (1 - right)),
        (0, 1, (1 - down) * right),
        (1, 0, down * (1 - right)),
        (1, 1, down * right),
    ):
        np.add.at(kernel, (low[:, 1] + row, low[:, 0] + column), share)
    return kernel[:-1, :-1] / kernel[:-1, :-1].sum()


def motion_blur(image: Tensor, alpha: Tensor, path: NDArray[np.float64], *, everything: bool) -> Tensor:
    """Blur a frame 3 x S x S along a path: all of it, as a moving camera does, or the target alone.

    Args:
        image: 0..255.
        alpha: 1 x S x S, of the target.
        path: how far it moves while the shutter is open, x and y.
        everything: whether all of it is blurred.
    """
    kernel = line_kernel(path)

    def blur(layer: Tensor) -> Tensor:
        planes = layer.permute(1, 2, 0).cpu().numpy()
        blurred = cv2.filter2D(planes, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        return torch.from_numpy(blurred.reshape(planes.shape)).permute(2, 0, 1).to(layer.device)

    if everything:
        return blur(image)
    return blur(image * alpha) + (1.0 - blur(alpha)) * image


def relit(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A frame 3 x S x S, 0..255, in another light: darker or brighter, another contrast, from one side."""
    gamma, gain = np.exp(rng.uniform(-0.7, 0.7)), np.exp(rng.uniform(-0.8, 0.5))
    angle, slope = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, 0.8)
    x, y = plane(image.shape[-1])
    across = (np.cos(angle) * x + np.sin(angle) * y) / image.shape[-1] - 0.5 * (np.cos(angle) + np.sin(angle))
    shade = (gain * (1.0 + slope * across)).to(image.device, torch.float32)
    return ((image / 255.0).clamp(0.0, 1.0) ** float(gamma) * shade * 255.0).clamp(0.0, 255.0)


def compressed(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames T x 3 x s x s, 0..255, with a camera's noise and after JPEG, as a strongly compressed video shows them."""
    quality, deviation = int(rng.integers(12, 60)), rng.uniform(0.0, 10.0)
    seen = []
    for image in images.permute(0, 2, 3, 1).cpu().numpy():
        noisy = np.clip(image + rng.normal(0.0, deviation, size=image.shape), 0.0, 255.0).round().astype(np.uint8)
        _, data = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None  # it has just been encoded
        seen.append(decoded[..., ::-1].astype(np.float32))
    return torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).to(images.device)


def gray(images: Tensor) -> Tensor:
    """Frames T x 3 x S x S without their colors."""
    luma = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return luma.expand_as(images)


def recorded(images: Tensor, scale: float, noise: np.random.Generator | None) -> Tensor:
    """Frames T x 3 x S x S as a camera of fewer pixels shows them, enlarged again.

    Args:
        images: 0..255.
        scale: its pixels per pixel of the region, up to 1.
        noise: what noise and compression are drawn from; None: there are none.
    """
    size = images.shape[-1]
    smaller = max(16, round(scale * size))
    if smaller < size:
        images = functional.interpolate(images, (smaller, smaller), mode="area")
    if noise is not None:
        images = compressed(images, noise)
    return images if smaller >= size else functional.interpolate(images, (size, size), mode="bilinear")


def mask_error(size: int, center: NDArray[np.float32], target: float, rng: np.random.Generator) -> Tensor:
    """What a remembered mask has too much (1) or too little (-1), S x S.

    Tracking takes what lies beside a target for a part of it, or loses a part: a hand becomes the books behind it.

    Args:
        size: S.
        center: x, y of the target.
        target: sqrt(w*h) of it.
        rng: is drawn from.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    if rng.random() < 0.5:
        middle = center + rng.uniform(0.5, 0.9) * target * direction
        return ellipse(size, middle, target * rng.uniform(0.2, 0.6, size=2), rng.uniform(0.0, np.pi))
    return -beyond(size, center + rng.uniform(-0.1, 0.25) * target * direction, angle)
