"""Recognizes what the folders given as training data hold, and reads it.

Layouts, of which a folder may hold several; each is described in its module:
    tar shards                                        tracker.training.readers.shards
    JPEGImages beside Annotations (DAVIS, YouTube-VOS)  tracker.training.readers.video_folders
    a folder of images beside one of masks            tracker.training.readers.saliency
    annotations/instances_train*.json (COCO)          tracker.training.readers.coco
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from tracker.training.data import DataError, TrainingData
from tracker.training.readers import coco, saliency, shards, video_folders

log = logging.getLogger(__name__)

LOOKED_FOR = (
    "no stills-*.tar, instances*.tar, *video*.tar or davis*.tar, no JPEGImages beside Annotations (DAVIS, "
    "YouTube-VOS), no folder of images beside one of masks (DUTS-TR-Image and DUTS-TR-Mask, images and "
    "ground_truth_mask, Imgs), and no annotations/instances_train*.json beside its images (COCO)"
)


def _log_read(what: str, where: object, data: TrainingData) -> None:
    parts = []
    if data.stills:
        parts.append(f"{len(data.stills)} stills")
    if data.instances:
        parts.append(f"{len(data.instances)} pictures of several objects")
    if data.videos:
        parts.append(f"{len(data.videos)} videos with {sum(map(len, data.videos.values()))} frames")
    if data.held_out:
        parts.append(f"without {data.held_out} held-out sequences")
    log.info("%s '%s': %s", what, where, ", ".join(parts) or "nothing")


def read_folder(folder: Path, *, held_out: Collection[str] = ()) -> TrainingData:
    """Read all that one folder holds.

    Raises:
        DataError: there is no such folder, it holds no known layout, nothing usable is in it, or it is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"no folder '{folder}'; name a folder of training data (docs/TRAINING.md lists the layouts)")
    found: list[tuple[str, object, TrainingData]] = []
    stills, instances, videos = shards.find_shards(folder)
    if stills:
        found.append((f"{len(stills)} shards of stills in", folder, shards.read_stills(stills)))
    if instances:
        found.append((f"{len(instances)} shards of instances in", folder, shards.read_instances(instances)))
    if videos:
        found.append((f"{len(videos)} shards of videos in", folder, shards.read_videos(videos, held_out=held_out)))
    sequences = video_folders.find_video_folders(folder)
    if sequences:
        clips = video_folders.read_video_folders(sequences, held_out=held_out)
        chosen = "" if sequences.chosen is None else ", the sequences of ImageSets/*/train.txt,"
        found.append((f"{sequences.kind}{chosen} in", sequences.images, clips))
    pair = saliency.find_saliency(folder)
    if pair:
        found.append((f"masks '{pair[1]}' of the images in", pair[0], saliency.read_saliency(*pair)))
    for listed, images in coco.find_coco(folder):
        found.append((f"COCO '{listed}' with the images in", images, coco.read_coco(listed, images)))
    if not found:
        raise DataError(f"'{folder}' holds no known training data: {LOOKED_FOR}; see docs/TRAINING.md")
    data = TrainingData()
    for what, where, part in found:
        _log_read(what, where, part)
        data.add(part)
    read = {path.name for path in (*stills, *instances, *videos)}
    unread = sorted({path.name for path in folder.glob("*.tar")} - read)
    if unread:
        kinds = "stills-*.tar nor instances*.tar nor *video*.tar nor davis*.tar"
        log.info("not read, by their names neither %s: %s", kinds, ", ".join(unread))
    if not data.stills and not data.instances and not data.videos and not data.held_out:
        raise DataError(f"nothing in '{folder}' is usable, see the warnings before this; restore the data")
    return data


def read_data(folders: Sequence[Path], *, held_out: Collection[str] = ()) -> TrainingData:
    """Read all folders, in the order in which they are given: a run that is continued must name them alike.

    A folder that is given twice is read once.

    Raises:
        DataError: see `read_folder`.
    """
    data = TrainingData()
    for folder in dict.fromkeys(path.resolve() for path in folders):
        data.add(read_folder(folder, held_out=held_out))
    return data
