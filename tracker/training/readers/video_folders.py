"""Videos as folders of images beside folders of masks: DAVIS 2016 and 2017, YouTube-VOS. Read from disk when drawn.

Layouts:
    DAVIS        JPEGImages/480p/SEQUENCE/00000.jpg
                 Annotations/480p/SEQUENCE/00000.png
                 ImageSets/*/train.txt              optional: the sequences to be read; without it, all of them are
    YouTube-VOS  train/JPEGImages/VIDEO/00000.jpg   or without `train`
                 train/Annotations/VIDEO/00000.png
                 train/meta.json                    optional, not read

Masks are PNG files with object ids, mostly by a palette: 0 is background and 255 void. In a sequence of DAVIS without
any other id, 255 is its object (DAVIS 2016). Only frames with a mask are used, ordered by their names. A mask without
an image is reported and skipped, as is a DAVIS image without a mask; YouTube-VOS may hold more images than masks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tracker.training.data import DataError, TrainingData
from tracker.training.readers.labels import with_label_kind
from tracker.training.readers.listing import IMAGES, files_by_stem, folders_in, pair, report_skipped

RESOLUTIONS = ("480p", "1080p", "Full-Resolution")  # of DAVIS; the first one that is there is read


@dataclass(frozen=True)
class VideoFolders:
    """Where the images and masks of a set are.

    Attributes:
        kind: the set's name.
        images: folder of image folders.
        masks: folder of mask folders.
        chosen: names of the sequences to be read; None: all.
    """

    kind: str
    images: Path
    masks: Path
    chosen: frozenset[str] | None = None


def find_video_folders(folder: Path) -> VideoFolders | None:
    """Recognize DAVIS or YouTube-VOS, or return None.

    Raises:
        DataError: a list of sequences cannot be read.
    """
    for root in (folder, folder / "train"):
        images, masks = root / "JPEGImages", root / "Annotations"
        for name in RESOLUTIONS:
            if (images / name).is_dir() and (masks / name).is_dir():
                return VideoFolders("DAVIS", images / name, masks / name, _training_list(root))
        if images.is_dir() and masks.is_dir():
            return VideoFolders("YouTube-VOS", images, masks)
    return None


def _training_list(root: Path) -> frozenset[str] | None:
    """The sequences that DAVIS's lists for training name; its folders hold those for validation, too."""
    lists = sorted(root.glob("ImageSets/*/train.txt"))
    names = set()
    for path in lists:
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"list of sequences '{path}' cannot be read ({error}); restore or remove it") from error
        for line in lines:  # "bear" in 2017; "/JPEGImages/480p/bear/00000.jpg /Annotations/..." in 2016
            for entry in map(PurePosixPath, line.split()[:1]):
                names.add(entry.parent.name if entry.suffix else entry.name)
    return frozenset(names) if lists else None


def read_video_folders(found: VideoFolders, *, held_out: Collection[str] = ()) -> TrainingData:
    """Pair the frames of a set with their masks, without the held-out sequences; nothing is decoded but a few masks.

    Raises:
        DataError: a folder cannot be listed.
    """
    data = TrainingData()
    without_mask, without_image, empty = [], [], []
    with_images, with_masks = set(folders_in(found.images)), set(folders_in(found.masks))
    names = with_images | with_masks if found.chosen is None else found.chosen
    for name in sorted(names):
        if name in held_out:
            data.held_out += 1
            continue
        images = files_by_stem(found.images / name, IMAGES) if name in with_images else {}
        masks = files_by_stem(found.masks / name, (".png",)) if name in with_masks else {}
        frames = pair(name, images, masks, None)
        if frames:
            data.videos[name] = with_label_kind(frames) if found.kind == "DAVIS" else frames
            without_image += [f"{name}/{stem}" for stem in masks.keys() - images.keys()]
            without_mask += [f"{name}/{stem}" for stem in images.keys() - masks.keys()]
        else:
            empty.append(name)
    report_skipped(found.images, empty, "sequences without a frame that has image and mask")
    report_skipped(found.masks, without_image, f"masks without an image in '{found.images}'")
    if found.kind == "DAVIS":
        report_skipped(found.images, without_mask, f"images without a mask in '{found.masks}'")
    return data
