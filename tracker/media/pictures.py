"""Frames from image files: a folder, or a pattern such as 'frames/*.jpg'."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tracker.data.images import SUFFIXES, ImageError, Levels, count, decode, pictures, read_bytes
from tracker.media.frames import Frame, Source, SourceError, Warn

DEFAULT_RATE = 25.0  # frames per second of images, which hold no time
MASK_NAME = re.compile(r"[-_. ](mask|masks|gt|seg|label|labels)$", re.IGNORECASE)  # after the name of the image


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which frame2 comes before frame10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def open_folder(folder: Path, rate: float | None, warn: Warn, levels: Levels) -> Source:
    """A folder of images.

    Raises:
        SourceError: it holds none.
    """
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not paths:
        raise SourceError(f"the folder '{folder}' holds no images ({', '.join(SUFFIXES)}); name one that does")
    return _pictures(paths, folder.resolve().name, str(folder), rate, warn, levels)


def open_pattern(pattern: str, rate: float | None, warn: Warn, levels: Levels) -> Source:
    """Image files by a pattern.

    Raises:
        SourceError: nothing matches.
    """
    found = [Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]
    paths = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not paths:
        what = f"'{found[0]}', which is no image ({', '.join(SUFFIXES)}), matches" if found else "no file matches"
        raise SourceError(f"{what} '{pattern}'; name a video file, a folder of images or another pattern")
    if len(paths) < len(found):
        other = min(set(found) - set(paths))
        warn(f"'{pattern}' matches '{other.name}', which is no image ({len(found) - len(paths)} such left out)")
    return _pictures(paths, paths[0].resolve().parent.name, pattern, rate, warn, levels)


def open_image(path: Path, rate: float | None, warn: Warn, levels: Levels) -> Source:
    """A single file: one picture, an animation, or a TIFF file of several pages."""
    return _pictures([path], path.stem, str(path), rate, warn, levels)


def _without_masks(paths: Sequence[Path], where: str, warn: Warn) -> list[Path]:
    """The images without those that share their name, but for the suffix, with another one.

    In the layouts of data sets with masks, 00000.png is the mask of 00000.jpg; others call it 00000_mask.png.
    """
    best: dict[Path, Path] = {}
    stems = {path.with_suffix("") for path in paths}
    for path in sorted(paths, key=lambda path: (SUFFIXES.index(path.suffix.lower()), path.name)):
        stem = path.with_suffix("")
        plain = stem.with_name(MASK_NAME.sub("", stem.name) or stem.name)
        if plain == stem or plain not in stems:
            best.setdefault(stem, path)
    left_out = sorted(set(paths) - set(best.values()), key=lambda path: natural_key(str(path)))
    if left_out:
        stem = left_out[0].with_suffix("")
        kept = best.get(stem) or best[stem.with_name(MASK_NAME.sub("", stem.name))]
        warn(
            f"'{where}' holds '{kept.name}' and '{left_out[0].name}': of files with one name only the first kind is "
            f"tracked, the other is taken for its mask ({len(left_out)} left out)"
        )
    return list(best.values())


def _pictures(paths: Sequence[Path], name: str, where: str, rate: float | None, warn: Warn, levels: Levels) -> Source:
    ordered = sorted(_without_masks(paths, where, warn), key=lambda path: natural_key(str(path)))
    fps = rate or DEFAULT_RATE
    if len(ordered) == 1:
        return _animation(ordered[0], name, where, rate, warn, levels)

    def frames() -> Iterator[Frame]:
        told = False
        for index, path in enumerate(ordered):
            try:
                content = read_bytes(path)
                image = levels(decode(content))
            except ImageError as error:
                warn(f"frame {index}, '{path}', {error}; it is left out")
                continue
            several = 1 if told else count(content)
            if several > 1:
                told = True
                warn(f"'{path}' holds {several} pictures; of each file the first one is tracked, name one file for all")
            yield Frame(index, index / fps, image)

    return Source(name or "frames", where, fps, len(ordered), frames)


def _animation(path: Path, name: str, where: str, rate: float | None, warn: Warn, levels: Levels) -> Source:
    """All pictures of one file, at the times that it tells, or at a rate."""
    try:
        content = read_bytes(path)
    except ImageError as error:
        raise SourceError(f"'{path}' {error}; name an image or a video") from error
    fps = rate or DEFAULT_RATE

    def frames() -> Iterator[Frame]:
        seconds, index = 0.0, 0
        try:
            for pixels, shown in pictures(content):
                yield Frame(index, seconds, levels(pixels))
                seconds, index = seconds + (1 / fps if rate or not shown else shown), index + 1
        except ImageError as error:
            warn(f"frame {index}, '{path}', {error}; " + ("it ends there" if index else "it is left out"))

    return Source(name or "frames", where, fps, count(content), frames)
