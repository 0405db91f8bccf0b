"""Lists folders of images, and pairs images with their masks by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from pathlib import Path

from tracker.training.data import DataError, Frame

log = logging.getLogger(__name__)

IMAGES = (".jpg", ".jpeg", ".webp")  # photographs; a .png beside them is their mask
PICTURES = (*IMAGES, ".png", ".bmp")  # what a folder of images or of masks alone may hold


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted.

    Raises:
        DataError: it cannot be listed.
    """
    return sorted(name for name, is_folder in _entries(folder) if is_folder)


def files_by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, str]:
    """Paths of the files with one of the suffixes, by their names without it, sorted by name.

    Raises:
        DataError: the folder cannot be listed.
    """
    found: dict[str, str] = {}
    for name, is_folder in sorted(_entries(folder)):
        stem, suffix = os.path.splitext(name)
        if not is_folder and suffix.lower() in suffixes:
            found.setdefault(stem, os.path.join(folder, name))
    return found


def _entries(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:  # "._name" is what macOS leaves beside a file
            return [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"folder '{folder}' cannot be listed ({error.strerror}); restore it or its permissions"
        ) from error


def report_skipped(place: Path, names: Collection[str], what: str) -> None:
    """Warn of what is skipped at a place, in one line however many there are."""
    if names:
        text = "'%s': skipped %d %s (the first: '%s'); restore the data to use them"
        log.warning(text, place, len(names), what, min(names))


def pair(prefix: str, images: dict[str, str], masks: dict[str, str], object_above: float | None) -> list[Frame]:
    """The frames that have both an image and a mask, in the order of their names."""
    stems = sorted(images.keys() & masks.keys())
    return [Frame(f"{prefix}/{stem}", images[stem], masks[stem], object_above) for stem in stems]
