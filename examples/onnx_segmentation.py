"""The least that makes a tracker of the ONNX files: NumPy, OpenCV and onnxruntime, no PyTorch and no DMB.

    dmb export onnx --output onnx
    python examples/onnx_segmentation.py onnx FOLDER_OF_IMAGES FIRST_MASK.png OUTPUT

It follows the mask from frame to frame in a crop around the last one and remembers every fifth frame. The correlation
filter, the quality gate and Box2Seg, which make DMB robust, are not in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

REFERENCE_FACTOR = 4.5  # the spatial map's unit: the distance to the target over so many target sizes
STRIDE = 16
INTERVAL, MOST = 5, 10  # every n-th frame is remembered, at most so many

PARTS = ("query_encoder", "memory_encoder", "decoder")


def read(path: Path, flag: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """An image file; what is none ends the program."""
    picture = cv2.imread(str(path), flag) if path.is_file() else None
    if picture is None:
        sys.exit(f"'{path}' is not a readable image; name a mask, and a folder of nothing but images")
    return picture


if len(sys.argv) != 5:
    sys.exit(f"usage: python {sys.argv[0]} FOLDER_OF_ONNX_FILES FOLDER_OF_IMAGES FIRST_MASK.png OUTPUT")
folder, images, first_mask, output = (Path(argument) for argument in sys.argv[1:])
if not all((folder / f"{name}.onnx").is_file() for name in PARTS):
    sys.exit(f"'{folder}' does not hold the files of: dmb export onnx --output {folder}")
pictures = sorted(images.iterdir()) if images.is_dir() else []
if not pictures:
    sys.exit(f"'{images}' is not a folder with images in it; name one")
mask = (read(first_mask, cv2.IMREAD_GRAYSCALE) > 0).astype(np.uint8)
if mask.shape != read(pictures[0]).shape[:2] or not mask.any():
    sys.exit(f"the mask '{first_mask}' is empty, or not as large as '{pictures[0]}'; give that of the object there")
parts = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in PARTS}
size = parts["query_encoder"].get_inputs()[0].shape[2]
facts = parts["query_encoder"].get_modelmeta().custom_metadata_map
if "dmb.factor" not in facts:
    sys.exit(f"the files in '{folder}' do not say how large their crop is; write them again: dmb export onnx")
factor = float(facts["dmb.factor"])  # side of the crop in target sizes
cells = size // STRIDE


def extent(mask: np.ndarray) -> tuple[np.ndarray, float]:
    """Center x, y and sqrt(w * h) of the mask's box."""
    x, y, width, height = cv2.boundingRect(mask)
    return np.array([x + (width - 1) / 2, y + (height - 1) / 2]), float(np.sqrt(width * height))


def matrix(center: np.ndarray, target: float) -> np.ndarray:
    """The affine map from the image to the crop, 2 x 3."""
    scale = size / (factor * target)
    return np.array([[scale, 0, (size - 1) / 2 - scale * center[0]], [0, scale, (size - 1) / 2 - scale * center[1]]])


def crop(picture: np.ndarray, to_crop: np.ndarray) -> np.ndarray:
    """The crop as 1 x 3 x S x S, RGB 0..255."""
    cut = cv2.warpAffine(picture, to_crop, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return cut[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)


rows, columns = np.mgrid[:cells, :cells] - (cells - 1) / 2  # the target is expected in the middle of the crop
distance = np.hypot(rows, columns) / (REFERENCE_FACTOR * cells / factor)
spatial_map = distance[None, None].astype(np.float32)
keys: list[np.ndarray] = []
values: list[np.ndarray] = []
output.mkdir(parents=True, exist_ok=True)
center, target = extent(mask)
for index, path in enumerate(pictures):
    picture = read(path)
    to_crop = matrix(center, target)
    image = crop(picture, to_crop)
    if index == 0:
        probability = cv2.warpAffine(mask.astype(np.float32), to_crop, (size, size))[None, None]
    else:
        query, value, stride4, stride8, _ = parts["query_encoder"].run(None, {"image": image})
        (probability,) = parts["decoder"].run(None, {
            "query": query, "value": value, "stride4": stride4, "stride8": stride8,
            "keys": np.concatenate(keys, 1), "values": np.concatenate(values, 1), "spatial_map": spatial_map,
        })  # fmt: skip
        inverse = cv2.invertAffineTransform(to_crop)
        mask = (cv2.warpAffine(probability[0, 0], inverse, picture.shape[1::-1]) > 0.5).astype(np.uint8)
    if mask.any():
        center, target = extent(mask)
        if index % INTERVAL == 0:
            key, value = parts["memory_encoder"].run(None, {"image": image, "mask": probability})
            keys, values = [*keys[:1], *keys[1:][-MOST + 2 :], key], [*values[:1], *values[1:][-MOST + 2 :], value]
    cv2.imwrite(str(output / f"{path.stem}.png"), 255 * mask)
