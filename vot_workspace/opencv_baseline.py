"""OpenCV's trackers as a TraX process, so that every report has something to compare DMB with.

`python -m vot_workspace.opencv_baseline`, started by the toolkit; `OPENCV_TRACKER` names the tracker: MIL, NANO and VIT
are in every OpenCV, CSRT in opencv-contrib-python only; NANO and VIT read their networks from the folder `DMB_PEERS`.
Axis-aligned rectangles, one object, deterministic, free of torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data.images import ImageError, Levels, read
from tracker.errors import UserError
from tracker.geometry.region import Box, RegionError, box_from_mask, box_from_polygon, parse_region

if TYPE_CHECKING:
    import trax  # type: ignore[import-untyped]

ABOUT = """\
This is the TraX process of OpenCV's MIL, CSRT, NANO and VIT trackers. The VOT toolkit starts it; started by hand it has
nothing to do. Use it with `vot evaluate MIL`; trackers.ini at the top of the checkout registers it.
"""
VARIABLE = "OPENCV_TRACKER"
# by tracker its networks' files: the parameter of OpenCV that takes each, and its name, that of OpenCV's own test data
MODELS: dict[str, dict[str, str]] = {
    "MIL": {},
    "CSRT": {},
    "NANO": {"backbone": "nanotrack_backbone_sim.onnx", "neckhead": "nanotrack_head_sim.onnx"},
    "VIT": {"net": "object_tracking_vittrack_2023sep.onnx"},
}
STARTED_BY_CLIENT = ("TRAX", "TRAX_SOCKET", "TRAX_IN", "TRAX_OUT")
FAILURE, USAGE = 1, 2  # exit codes
SEED = 1
MIN_SIDE = 4  # pixels; OpenCV's samplers raise errors on smaller windows

PixelBox = tuple[int, int, int, int]


class BaselineError(UserError):
    """The baseline cannot do what is asked; the message says why and what to do."""


class OpenCVTracker(Protocol):
    """What `cv2.Tracker*_create` returns."""

    def init(self, image: NDArray[np.uint8], boundingBox: PixelBox) -> None:  # noqa: N803
        """Start on a target."""

    def update(self, image: NDArray[np.uint8]) -> tuple[bool, PixelBox]:
        """Find it."""


def seed_everything(seed: int = SEED) -> None:
    """Make the next tracker draw the same random numbers as every other one.

    MIL draws its Haar features with C's rand(), which cv2.setRNGSeed does not reach.
    """
    cv2.setRNGSeed(seed)
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    library.srand(seed)


def create(name: str, models: str | None = None) -> OpenCVTracker:
    """Make one of OpenCV's trackers.

    Args:
        name: a key of MODELS.
        models: folder with its networks, for those that have any.

    Raises:
        BaselineError: unknown name, this OpenCV has no such tracker, or there are no usable networks.
    """
    if name not in MODELS:
        raise BaselineError(f"{VARIABLE} is '{name}'; it must be {' or '.join(MODELS)}")
    cv: Any = cv2
    spelling = name.capitalize() if MODELS[name] else name  # TrackerMIL, but TrackerNano
    factory = getattr(cv, f"Tracker{spelling}_create", None)
    if factory is None:
        raise BaselineError(
            f"OpenCV {cv2.__version__} has no {name} tracker; install opencv-contrib-python in place of opencv-python, "
            "best in an environment of its own"
        )
    if not MODELS[name]:
        tracker: OpenCVTracker = factory()
        return tracker
    parameters = getattr(cv, f"Tracker{spelling}_Params")()
    for parameter, file in MODELS[name].items():
        setattr(parameters, parameter, str(_model(name, models, file)))
    try:
        tracker = factory(parameters)
    except cv2.error as error:
        raise BaselineError(
            f"OpenCV cannot read the networks of {name} in '{models}' ({' '.join(str(error).split())}); get them again"
        ) from error
    return tracker


def _model(name: str, models: str | None, file: str) -> Path:
    if not models:
        raise BaselineError(f"{name} needs a network; name the folder with '{file}' by DMB_PEERS (docs/BENCHMARKS.md)")
    path = Path(models).expanduser() / file
    if not path.is_file():
        raise BaselineError(f"DMB_PEERS is '{models}', which has no '{file}' for {name}; see docs/BENCHMARKS.md")
    return path


def pixel_box(box: Box, shape: tuple[int, int]) -> PixelBox:
    """Round a box x, y, w, h to whole pixels inside an image of height and width `shape`, at least 4 x 4."""
    height, width = shape
    side = min(MIN_SIDE, width, height)
    left = min(max(math.floor(box[0] + 0.5), 0), width - side)
    top = min(max(math.floor(box[1] + 0.5), 0), height - side)
    right = min(max(math.floor(box[0] + box[2] + 0.5), left + side), width)
    bottom = min(max(math.floor(box[1] + box[3] + 0.5), top + side), height)
    return left, top, right - left, bottom - top


class Baseline:
    """One of OpenCV's trackers, deterministic, any number of initializations.

    Args:
        name, models: see `create`.

    Raises:
        BaselineError: see `create`.
    """

    def __init__(self, name: str, models: str | None = None) -> None:
        create(name, models)  # now, not at the first frame: a missing tracker is reported at once
        self.name, self.models = name, models
        self._tracker: OpenCVTracker | None = None
        self._box: PixelBox = (0, 0, 0, 0)

    def initialize(self, image: NDArray[np.uint8], box: Box) -> PixelBox:
        """Start on a target.

        Args:
            image: H x W x 3, BGR as OpenCV reads it.
            box: x, y, w, h, covering the pixels from x to x + w - 1, as OpenCV's boxes do.

        Returns:
            The box that is tracked: whole pixels, inside the image.

        Raises:
            RegionError: the box is not finite, empty, or outside the image.
        """
        shape = (image.shape[0], image.shape[1])
        self._box = pixel_box(parse_region(box, shape).box, shape)
        seed_everything()
        self._tracker = create(self.name, self.models)
        self._tracker.init(image, self._box)
        return self._box

    def track(self, image: NDArray[np.uint8]) -> tuple[PixelBox, bool]:
        """Find the target in an image like the first one.

        Returns:
            Its box; and whether OpenCV claims to have it, otherwise the box is the last one.

        Raises:
            BaselineError: before the first initialization.
        """
        if self._tracker is None:
            raise BaselineError("a frame came before any initialization; initialize first")
        try:
            found, box = self._tracker.update(image)
        except cv2.error:  # the search window has left the image
            return self._box, False
        if not found or box[2] <= 0 or box[3] <= 0:
            return self._box, False
        self._box = (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
        return self._box, True


def read_frame(path: str, levels: Levels) -> NDArray[np.uint8]:
    """Read an image, BGR of 8 bit.

    Raises:
        BaselineError: there is none.
    """
    try:
        return np.ascontiguousarray(levels(read(Path(path)))[:, :, ::-1])
    except ImageError as error:
        raise BaselineError(f"frame '{path}' {error}; check the dataset") from error


def read_box(region: trax.Region) -> Box:
    """The axis-aligned box x, y, w, h around a TraX region.

    Converted here and not by libtrax, whose rectangle of a polygon lacks the pixel of the last column and row.

    Raises:
        RegionError: special region, which libtrax also makes of NaN.
    """
    import trax

    if isinstance(region, trax.Rectangle):
        x, y, width, height = region.bounds()
        return x, y, width, height
    if isinstance(region, trax.Polygon):
        return box_from_polygon(np.array(list(region), np.float64).reshape(-1, 2))
    if isinstance(region, trax.Mask) and region.array().any():
        x, y, width, height = box_from_mask(region.array() > 0)
        return x + region.offset()[0], y + region.offset()[1], width, height
    raise RegionError("the region is not a rectangle, polygon or mask with finite numbers; give one of these")


def serve(server: trax.Server, baseline: Baseline) -> None:
    """Answer a client until it quits.

    Raises:
        BaselineError: no usable frame.
        RegionError: no usable region.
    """
    import trax

    levels = Levels()
    while True:
        try:
            request = server.wait()
        except trax.TraxException:  # the client has gone without a word
            return
        if request.type == trax.TraxStatus.QUIT:
            return
        if request.type == trax.TraxStatus.INITIALIZE:
            levels = Levels()
        image = read_frame(request.image[trax.ImageChannel.COLOR].path(), levels)
        if request.type == trax.TraxStatus.INITIALIZE:
            box, found = baseline.initialize(image, read_box(request.objects[0][0])), True
        else:
            box, found = baseline.track(image)
        server.status([(trax.Rectangle.create(*map(float, box)), {"confidence": str(int(found))})])


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Serve the client that has started this process; returns the exit code."""
    name = environ.get(VARIABLE, next(iter(MODELS))).upper()
    if not any(variable in environ for variable in STARTED_BY_CLIENT):
        print(ABOUT, end="")
        return USAGE
    import trax

    cv2.setNumThreads(1)  # the same numbers on every machine
    server = trax.Server(
        [trax.Region.RECTANGLE, trax.Region.POLYGON, trax.Region.MASK],
        [trax.Image.PATH],
        [trax.ImageChannel.COLOR],
        tracker_name=name,
        tracker_description=f"{name} of OpenCV {cv2.__version__}",
    )
    reason = None
    try:
        try:
            baseline = Baseline(name, environ.get("DMB_PEERS", "").strip())
        except BaselineError:
            server.wait()  # a reason is heard only after a request; before, the toolkit says "unable to connect"
            raise
        serve(server, baseline)
    except (BaselineError, RegionError, cv2.error) as error:
        reason = str(error)
        print(f"{name}: error: {reason}", file=sys.stderr)
        return FAILURE
    finally:
        with contextlib.suppress(trax.TraxException, OSError):  # where the client is gone, nobody waits for it
            server.quit(reason)
    return 0


if __name__ == "__main__":
    sys.exit(main())
