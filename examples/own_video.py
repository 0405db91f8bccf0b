"""DMB in five lines: a box in the first frame, a mask and a rotated box in every frame that follows.

    python examples/own_video.py                              a short clip that is generated
    python examples/own_video.py VIDEO X,Y,W,H                your video (or a folder of images)
    python examples/own_video.py VIDEO X,Y,W,H another.mp4 X,Y,W,H ...    several, with the network loaded once

Frames are numpy arrays, height x width x 3, RGB, uint8. The top-left pixel is 0, 0.
"""

from __future__ import annotations

import sys
from itertools import islice

from tracker import DMB, load_weights, track_videos
from tracker.geometry.region import RegionError, box_from_mask
from tracker.media.frames import SourceError
from vot_workspace.demo import SCRIPTS, render


def five_lines() -> None:
    """The whole of it, on a generated clip whose true masks are known."""
    clip = list(islice(render("cat", SCRIPTS["cat"], 45, (320, 240)), 10))
    frames, box = [shown.image for shown in clip], box_from_mask(clip[0].mask)

    dmb = DMB(load_weights())  # load_weights(device="cuda") on a GPU
    dmb.initialize(frames[0], box)  # or a polygon n x 2, or a mask H x W
    for frame in frames[1:]:
        result = dmb.track(frame)
        print(result.frame_index, result.box, result.polygon.round(1).tolist(), f"{result.confidence:.2f}")

    # What else a result tells: the mask (H x W bool), whether this frame was segmented or the last shape moved, and
    # what the quality gate made of it: how uncertain the filter was, against which average, and what followed.
    decision = result.decision
    print(f"mask of {result.mask.sum()} pixels, segmented: {result.segmented}, remembered: {result.remembered}")
    print(f"uncertainty {decision.uncertainty:.2f} against {decision.average:.2f}: {decision.reason}")


def own_videos(videos: list[str], boxes: list[tuple[float, ...]]) -> None:
    """Several videos; frames are read and tracked one by one, so a long one needs no more memory than a short one."""
    for video, results in zip(videos, track_videos(videos, boxes), strict=True):
        for result in results:
            print(video, result.frame_index, result.box, f"{result.confidence:.2f}")


def read_box(text: str) -> tuple[float, ...]:
    """X,Y,W,H as numbers; anything else ends the program."""
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        sys.exit(f"'{text}' is not a box; give four numbers, X,Y,W,H")
    return x, y, width, height


if __name__ == "__main__":
    if len(sys.argv) % 2 == 0:
        asked = sys.argv[1] in ("-h", "--help")
        print(__doc__, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 1)
    if len(sys.argv) == 1:
        five_lines()
    else:
        boxes = [read_box(text) for text in sys.argv[2::2]]
        try:
            own_videos(sys.argv[1::2], boxes)
        except (SourceError, RegionError) as error:
            sys.exit(str(error))
