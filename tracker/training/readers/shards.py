"""Tar shards, read whole into memory: stills, pictures of several objects, and videos.

Layouts, by the shards' names:
    stills-*.tar             WebDataset convention, members KEY.webp (or .jpg, .jpeg) and KEY.png; the object is what
                             is not zero in the mask.
    instances*.tar           as stills, but the mask holds object ids, 0 for background and 255 for void: any object is
                             a target, and the others stay beside it.
    *video*.tar, davis*.tar  members SEQUENCE/FRAME.webp (or .jpg, .jpeg) and SEQUENCE/FRAME.png, which holds object
                             ids, 0 for background and 255 for void. In a sequence without any other id, 255 is its
                             object. Folders around SEQUENCE do not matter; frames are ordered by their names, and a
                             sequence may continue in another shard.

Members of other kinds are not looked at. A shard that is damaged or cut short is reported, and its pairs up to there
are used; a member without its partner is reported and skipped. No shard ends the training: whether anything is left
is for the caller to see.
"""

from __future__ import annotations

import logging
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tracker.training.data import Frame, TrainingData
from tracker.training.readers.labels import with_label_kind
from tracker.training.readers.listing import IMAGES, report_skipped

log = logging.getLogger(__name__)

READ_ERRORS = (OSError, tarfile.TarError, EOFError, zlib.error)
STILLS, INSTANCES, VIDEOS = ("stills-*.tar",), ("instances*.tar",), ("*video*.tar", "davis*.tar")


def find_shards(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """The shards of stills, of instances and of videos in a folder, sorted; each is of the first kind that fits."""
    kinds: list[list[Path]] = []
    for patterns in (STILLS, INSTANCES, VIDEOS):
        found = {path for pattern in patterns for path in folder.glob(pattern)}
        kinds.append(sorted(found.difference(*kinds)))
    stills, instances, videos = kinds
    return stills, instances, videos


def _members(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the images and masks of a tar file.

    Raises:
        One of READ_ERRORS: the file is damaged; everything before that was yielded.
    """
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if member.isfile() and not name.name.startswith(".") and name.suffix.lower() in (*IMAGES, ".png"):
                stream = archive.extractfile(member)
                assert stream is not None  # it is a file
                yield name, stream.read()
        # tarfile takes a damaged header for the end; the true end is a zero block that only zeros follow
        stream = cast(IO[bytes], archive.fileobj)
        stream.seek(archive.offset)
        end = stream.read()
        if len(end) < tarfile.BLOCKSIZE or any(end):
            raise tarfile.ReadError("its end mark is missing or not at its end")


def read_pairs(path: Path, object_above: float | None = None) -> list[Frame]:
    """Read the complete image-mask pairs of a tar file, in its order; what is damaged or incomplete is reported."""
    members: dict[str, dict[str, bytes]] = {}
    damage: Exception | None = None
    try:
        for name, data in _members(path):
            part = "mask" if name.suffix.lower() == ".png" else "image"
            members.setdefault(str(name.with_suffix("")), {})[part] = data
    except READ_ERRORS as error:
        damage = error
    complete = {key: parts for key, parts in members.items() if len(parts) == 2}
    if damage is not None:
        text = "training shard '%s' is damaged or cut short (%s): only its %d complete pairs before that are used"
        log.warning(text, path, damage, len(complete))
    report_skipped(path, members.keys() - complete.keys(), "samples without image (.webp, .jpg) or mask (.png)")
    return [Frame(key, parts["image"], parts["mask"], object_above) for key, parts in complete.items()]


def read_stills(paths: Iterable[Path]) -> TrainingData:
    """Read several shards of stills."""
    return TrainingData(stills=[frame for path in paths for frame in read_pairs(path, object_above=0.0)])


def read_instances(paths: Iterable[Path]) -> TrainingData:
    """Read several shards of pictures with several objects each."""
    return TrainingData(instances=[frame for path in paths for frame in read_pairs(path)])


def read_videos(paths: Iterable[Path], *, held_out: Iterable[str] = ()) -> TrainingData:
    """Read videos, frames in temporal order, without the held-out sequences."""
    excluded = set(held_out)
    left_out = set()
    videos: dict[str, dict[str, Frame]] = {}
    for path in paths:
        loose, repeated = [], []
        for frame in read_pairs(path):
            place = PurePosixPath(frame.name)
            sequence = place.parent.name
            if not sequence:
                loose.append(frame.name)
            elif sequence in excluded:
                left_out.add(sequence)
            elif videos.setdefault(sequence, {}).setdefault(place.name, frame) is not frame:
                repeated.append(frame.name)
        report_skipped(path, loose, "frames without a folder that names their sequence")
        report_skipped(path, repeated, "frames whose sequence and name came before, here or in another shard")
    data = TrainingData(held_out=len(left_out))
    for sequence, frames in sorted(videos.items()):
        data.videos[sequence] = with_label_kind([frame for _, frame in sorted(frames.items())])
    return data
