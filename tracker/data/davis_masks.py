"""Masks of object ids that are scored, from any tool that writes them."""

from __future__ import annotations

from pathlib import Path

from tracker.data.masks import VOID, Ids, MaskError, MaskReader
from tracker.errors import UserError


class DavisError(UserError):
    """DAVIS, masks to be scored, or a run's folder are not as they must be; the message says what to do."""


def checked(ids: Ids, where: str) -> Ids:
    """The ids, which must count from 1 as DAVIS's do; raises DavisError."""
    if ids.size and ids.max() > VOID:
        raise DavisError(f"{where} holds the id {ids.max()}; number the objects from 1, at most to {VOID - 1}")
    return ids


def read_ids(path: Path, shape: tuple[int, int]) -> Ids:
    """Read a mask of object ids H x W.

    Args:
        path: a PNG file.
        shape: H and W that it must have.

    Raises:
        DavisError: missing, damaged, no image of ids, or of another size.
    """
    try:
        ids = checked(MaskReader().read(path), f"mask '{path}'")
    except MaskError as error:
        raise DavisError(str(error)) from error
    if ids.shape != shape:
        found, wanted = (f"{size[1]} x {size[0]}" for size in (ids.shape, shape))
        raise DavisError(f"mask '{path}' has {found} pixels, its label has {wanted}; give masks of the label's size")
    return ids
