"""J and F by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tracker.metrics.masks import boundary, boundary_similarity, overlap

SHAPE = (40, 60)
EMPTY = np.zeros(SHAPE, np.bool_)


def square(left: int, top: int = 10, side: int = 20) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def test_overlap() -> None:
    assert overlap(square(0), square(0)) == 1
    assert overlap(square(0), square(10)) == pytest.approx(1 / 3)
    assert overlap(square(0), EMPTY) == 0
    assert overlap(EMPTY, EMPTY) == 1


def test_boundary_of_a_square() -> None:
    edge = boundary(square(10, side=3))
    expected = np.zeros(SHAPE, np.bool_)
    expected[9:13, 9:13] = True  # rows and columns that see a change to the right or below
    expected[10:12, 10:12] = False
    assert np.array_equal(edge, expected)


def test_the_border_of_the_image_is_no_boundary() -> None:
    assert not boundary(np.ones(SHAPE, np.bool_)).any()
    assert np.flatnonzero(boundary(np.pad(np.ones((40, 20), np.bool_), ((0, 0), (0, 40)))).any(0)).tolist() == [19]


def test_boundary_similarity_within_the_tolerance() -> None:
    # 0.008 of the diagonal of 72 pixels is 0.58, rounded up to one pixel
    assert boundary_similarity(square(10), square(10)) == 1
    assert boundary_similarity(square(10), square(11)) == 1
    assert boundary_similarity(square(2, side=8), square(40, side=8)) == 0
    assert boundary_similarity(square(10), square(12)) < boundary_similarity(square(10), square(12), 0.02)


def test_boundary_similarity_by_hand() -> None:
    # two vertical edges; the label has one of them more: precision 1, recall 1/2
    answer = np.zeros(SHAPE, np.bool_)
    answer[:, 20:] = True
    label = answer.copy()
    label[:, 50:] = False
    assert boundary_similarity(answer, label) == pytest.approx(2 / 3)


def test_boundary_similarity_without_boundaries() -> None:
    assert boundary_similarity(EMPTY, EMPTY) == 1
    assert boundary_similarity(square(10), EMPTY) == 0
    assert boundary_similarity(EMPTY, square(10)) == 0
