"""Stills as a folder of images beside a folder of black and white masks: DUTS, ECSSD, MSRA10K and sets like them.

Layouts, files with the same name but for the suffix (names of folders in any case):
    DUTS     DUTS-TR-Image/KEY.jpg, DUTS-TR-Mask/KEY.png
    ECSSD    images/KEY.jpg, ground_truth_mask/KEY.png
    MSRA10K  Imgs/KEY.jpg, Imgs/KEY.png
    others   images, image, imgs or img, beside masks, mask, gt or ground_truth_mask

The object is what is brighter than half of the mask's brightest pixel. Images and masks without a partner are reported
and skipped. Files are read from disk when they are drawn.
"""

from __future__ import annotations

from pathlib import Path

from tracker.training.data import TrainingData
from tracker.training.readers.labels import HALF
from tracker.training.readers.listing import IMAGES, PICTURES, files_by_stem, folders_in, pair, report_skipped

IMAGE_NAMES = ("duts-tr-image", "images", "image", "imgs", "img")
MASK_NAMES = ("duts-tr-mask", "ground_truth_mask", "masks", "mask", "gt")


def find_saliency(folder: Path) -> tuple[Path, Path] | None:
    """The folder of images and that of masks (the same one where both lie side by side), or None.

    Raises:
        DataError: the folder cannot be listed.
    """
    names = {name.lower(): name for name in folders_in(folder)}
    images = [folder / names[name] for name in IMAGE_NAMES if name in names]
    masks = [folder / names[name] for name in MASK_NAMES if name in names]
    if images and masks:
        return images[0], masks[0]
    for path in images:
        if files_by_stem(path, IMAGES).keys() & files_by_stem(path, (".png",)).keys():
            return path, path
    return None


def read_saliency(images: Path, masks: Path) -> TrainingData:
    """Pair the images of a folder with the masks of another one, or of the same.

    Raises:
        DataError: a folder cannot be listed.
    """
    together = images == masks
    ours = files_by_stem(images, IMAGES if together else PICTURES)
    theirs = files_by_stem(masks, (".png",) if together else PICTURES)
    report_skipped(images, ours.keys() - theirs.keys(), f"images without a mask in '{masks}'")
    report_skipped(masks, theirs.keys() - ours.keys(), f"masks without an image in '{images}'")
    return TrainingData(stills=pair(images.parent.name, ours, theirs, HALF))
