"""What the tracker answered, drawn over the frame."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.media.masks import drawing_order
from tracker.tracking.result import Result

Color = tuple[int, int, int]

# RGB, after Okabe and Ito but brighter: told apart by color-blind people, too, and seen on dark pictures, unlike the
# mask files'. Magenta comes first: sky, water, grass and sand have every other hue.
COLORS: tuple[Color, ...] = (
    (255, 80, 200), (240, 228, 66), (86, 190, 245), (240, 160, 0), (0, 205, 145), (225, 95, 0),
)  # fmt: skip
DARK, LIGHT = (0, 0, 0), (255, 255, 255)
TINT = 0.45  # share of the color in a mask's pixels
SUBPIXEL = 4  # bits of a coordinate behind the point, for OpenCV
THIN = 300  # lines are one pixel wide per so many pixels of the image's shorter side
FONT = cv2.FONT_HERSHEY_SIMPLEX


def color_of(object_id: int) -> Color:
    """The color of an object, RGB."""
    return COLORS[(object_id - 1) % len(COLORS)]


def tint(image: NDArray[np.uint8], answers: Mapping[int, Result]) -> NDArray[np.uint8]:
    """Fill the masks in a copy of an image H x W x 3 RGB, and outline them; one that was only moved, not segmented, is
    not filled. Lines of all colors have dark borders, so that they are seen on anything.
    """
    drawn = image.copy()
    width = line_width(image)
    for number in drawing_order(answers):
        mask, color = answers[number].mask, color_of(number)
        if answers[number].segmented:
            drawn[mask] = ((1 - TINT) * image[mask] + TINT * np.array(color)).astype(np.uint8)
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for ink, thickness in ((DARK, width + 2), (color, width)):
            cv2.drawContours(drawn, contours, -1, ink, thickness, cv2.LINE_AA)
    return drawn


def overlay(image: NDArray[np.uint8], answers: Mapping[int, Result]) -> NDArray[np.uint8]:
    """Draw masks, rotated boxes and labels (id, confidence) over a copy of an image H x W x 3 RGB."""
    drawn = tint(image, answers)
    for number in drawing_order(answers):
        answer = answers[number]
        corners = np.round(answer.polygon * (1 << SUBPIXEL)).astype(np.int32)
        for ink, thickness in ((DARK, line_width(image) + 2), (LIGHT, line_width(image))):
            cv2.polylines(drawn, [corners], True, ink, thickness, cv2.LINE_AA, SUBPIXEL)
    for number in drawing_order(answers):
        answer = answers[number]
        words = f"{number}  {answer.confidence:.2f}" + ("" if answer.segmented else "  not segmented")
        _label(drawn, words, answer.polygon, color_of(number))
    return drawn


def line_width(image: NDArray[np.uint8]) -> int:
    """Width of lines that suits an image, pixels."""
    return max(1, round(min(image.shape[:2]) / THIN))


def _label(image: NDArray[np.uint8], words: str, polygon: NDArray[np.float64], color: Color) -> None:
    """Write words on a patch of color above a polygon, or as near to that as the image allows; in place."""
    scale = max(0.4, min(image.shape[:2]) / 1000)
    thickness = line_width(image)
    (width, height), base = cv2.getTextSize(words, FONT, scale, thickness)
    margin = 2 + thickness
    left = int(np.clip(polygon[:, 0].min(), 0, max(0, image.shape[1] - width - 2 * margin)))
    bottom = int(np.clip(polygon[:, 1].min() - margin, height + base + 2 * margin, image.shape[0] - 1))
    corner = (left + width + 2 * margin, bottom - height - base - margin)
    cv2.rectangle(image, (left, bottom), corner, color, cv2.FILLED)
    light = sum(weight * value for weight, value in zip((0.299, 0.587, 0.114), color, strict=True)) > 140
    ink = DARK if light else LIGHT
    cv2.putText(image, words, (left + margin, bottom - base), FONT, scale, ink, thickness, cv2.LINE_AA)
