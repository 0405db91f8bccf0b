"""What a valid answer is: to a user, and to the toolkit."""

from __future__ import annotations

import math
import re

import numpy as np
import trax  # type: ignore[import-untyped]

from tracker import Result
from tracker.trax.convert import Kind, confidence_text, read_region, write_region

MOST_RUNS = 65_535  # of equal pixels in a mask, which the toolkit's result writer can count
LONGEST_SENTENCE = 540  # characters
KINDS: tuple[Kind, ...] = ("rectangle", "polygon", "mask")


def assert_valid(result: Result, shape: tuple[int, int]) -> None:
    """The answer has the image's size, is finite, not empty, and survives libtrax in each of its three forms.

    Args:
        result: the tracker's answer.
        shape: height and width of the image.
    """
    height, width = shape
    assert result.mask.shape == (height, width) and result.mask.dtype == np.bool_ and result.mask.any()
    assert result.polygon.shape == (4, 2) and np.isfinite(result.polygon).all()
    x, y, w, h = result.box
    assert all(map(math.isfinite, result.box)) and w >= 1 and h >= 1
    assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
    assert math.isfinite(result.confidence) and 0 <= result.confidence <= 1
    assert np.isfinite(result.center).all()
    for kind in KINDS:
        assert_toolkit_takes(write_region(result, kind, shape), kind, shape)
    assert 0 <= float(confidence_text(result)) <= 1


def assert_toolkit_takes(region: trax.Region, kind: Kind, shape: tuple[int, int]) -> None:
    """A TraX region is of the wanted kind and none that the toolkit calls empty or cannot write."""
    found, value = read_region(region, shape)
    assert found == kind
    if kind == "mask":
        assert value.any(0).sum() >= min(2, shape[1]) and value.any(1).sum() >= min(2, shape[0])
        assert np.count_nonzero(np.diff(value.ravel())) < MOST_RUNS
        return
    assert np.isfinite(value).all()
    if kind == "rectangle":
        assert value[2] >= 1 and value[3] >= 1
    else:
        assert len(value) == 4 and np.ptp(value[:, 0]) > 0 and np.ptp(value[:, 1]) > 0  # else the toolkit's "empty"


def assert_sentence(error: BaseException | str, *words: str) -> None:
    """A user's message: short, one line, in words, with a remedy or a reason, and each of `words` (patterns) in it."""
    text = str(error)
    assert 20 <= len(text) <= LONGEST_SENTENCE, text[:200]
    assert "\n" not in text and "Traceback" not in text, text
    assert " " in text.strip()
    for word in words:
        assert re.search(word, text), text
