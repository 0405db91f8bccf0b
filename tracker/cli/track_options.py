"""The command line of `dmb track`."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracker.cli.cluster import add_place, place_of
from tracker.cli.parsing import Parser

if TYPE_CHECKING:
    from tracker.media.schedule import Mark
    from tracker.media.targets import Given

PROG = "dmb track"
DESCRIPTION = """\
Follows one object, or several, through a video, and writes a mask and a rotated box for every frame.

SOURCE is a video file, an animated image, a TIFF file of several pages, a folder of images, a pattern of image files in
quotes ('frames/*.jpg'), the URL of a stream, a camera's number, or - for a video on standard input. Say where the
object is in the first frame with --box, --polygon, --mask or --point; repeated, these options give several objects,
except for points. Without any of them a window opens to draw a box in. Behind --at FRAME they are for a later frame: of
a new object, which starts there, or with --object ID a correction of one that is tracked already, from there on.

SOURCE may also name many videos: a folder of them (or of folders of images), a pattern ('clips/*.mp4'), or a manifest,
a CSV file or JSON lines with the columns source, prompts (as on the command line: --box 1,2,30,40) and output. Every
video then gets its own folder below --output. The same command goes on after an interruption, one that cannot be
tracked does not stop the others, and a table in the end, also in summary.csv, says how each went.
"""
EXAMPLES = """\
examples:
  dmb track kite.mp4 --box 218,94,60,80
  dmb track kite.mp4 --point 250,130 --point 300,180:neg
  dmb track kite.mp4 --mask first.png --start 100 --stop 400 --output kite
  dmb track kite.mp4 --box 218,94,60,80 --at 90 --box 5,7,30,30 --at 150 --object 1 --box 240,90,55,80
  dmb track 'frames/*.jpg' --fps 30 --box 1,2,40,40 --polygon 9,9,40,12,30,50
  ffmpeg -i rtsp://camera -f matroska - | dmb track - --box 10,20,40,40
  dmb track 0
  dmb track clips --box 218,94,60,80 --workers 2
  dmb track clips.csv --cluster tcp://host:8786 --output tracked

Ctrl-C ends a run cleanly: everything up to there is complete. Times are seconds since the source's first frame,
frames count from 0, boxes are x,y,w,h with the top-left pixel at 0,0.
"""
EXPORTS = {
    "mp4": "overlay.mp4: the same video as H.264",
    "coco": "coco.json: COCO annotations, masks as run lengths, track_id is the object",
    "mots": "mots.txt: as in the MOTS challenge; where objects overlap, the surer one is seen",
    "cvat": "cvat.xml: CVAT for video 1.1, a track of exact polygons for each object, label 'object'",
}
KINDS = ("video", "masks", "boxes", "page", *EXPORTS)
DEFAULT_KINDS = ("video", "masks", "boxes")


def _region(kind: Literal["box", "polygon"]) -> Callable[[str], Given]:
    """How the text of a region is read."""

    def parse(text: str) -> Given:
        from tracker.media.targets import Given

        try:
            numbers = tuple(float(part) for part in re.split(r"[,\s]+", text.strip()))
        except ValueError:
            numbers = ()
        right = len(numbers) == 4 if kind == "box" else len(numbers) >= 6 and len(numbers) % 2 == 0
        if not right or not all(map(math.isfinite, numbers)):
            wanted = "four numbers, x,y,w,h" if kind == "box" else "at least three points, x1,y1,x2,y2,x3,y3"
            raise argparse.ArgumentTypeError(f"'{text}' is not a {kind}; give {wanted}")
        return Given(kind, numbers)

    return parse


def _point(text: str) -> Given:
    """A click: x,y or x,y:neg."""
    from tracker.media.targets import Given

    numbers, _, kind = text.strip().partition(":")
    try:
        place = tuple(float(part) for part in re.split(r"[,\s]+", numbers.strip()))
    except ValueError:
        place = ()
    if len(place) != 2 or not all(map(math.isfinite, place)) or kind not in ("", "neg"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a point; give x,y on the object or x,y:neg beside it")
    return Given("point", (*place, 0.0 if kind else 1.0))


def _mask(text: str) -> Given:
    from tracker.media.targets import Given

    return Given("mask", Path(os.path.expanduser(text)))


def _mark(name: Literal["at", "object"], smallest: int) -> Callable[[str], Mark]:
    """How the number is read that says something of the regions behind it."""

    def parse(text: str) -> Mark:
        from tracker.media.schedule import Mark

        return Mark(name, _whole(smallest)(text))

    return parse


def _whole(smallest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"'{text}' must be a whole number from {smallest}")
        return int(text)

    return parse


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.01 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"'{text}' must be a number from 0.01 to 1000")
    return rate


def track_parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, usage=f"{PROG} SOURCE [options]", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="video, folder, 'pattern', camera number or -")
    target = parser.add_argument_group("what to track (frame --start)")
    for name, kind, metavar, text in (
        ("--box", _region("box"), "X,Y,W,H", "a box: left, top, width, height in pixels; repeat it for more objects"),
        ("--polygon", _region("polygon"), "X1,Y1,...", "a polygon: at least three points in pixels"),
        (
            "--point",
            _point,
            "X,Y[:neg]",
            "a click on the object, or with :neg beside it; those that follow each other are of one object, --at "
            "between them begins another",
        ),
        ("--mask", _mask, "FILE", "a PNG with the object white; in an indexed PNG every id is an object"),
        (
            "--at",
            _mark("at", 0),
            "FRAME",
            "the regions behind it are for this frame of the source, which counts from 0 "
            "whatever --start is, and start new objects; repeat it for more frames",
        ),
        (
            "--object",
            _mark("object", 1),
            "ID",
            "after --at: the next region is of the object with this id, as the "
            "results number them, and corrects it; several ids in an indexed PNG need no such option",
        ),
    ):
        target.add_argument(name, dest="given", action="append", default=[], type=kind, metavar=metavar, help=text)
    target.add_argument(
        "--backwards",
        action="store_true",
        help="with --at: also track back from there, to the first frame or half of the way to the object's region "
        "before; frames are kept on disk meanwhile",
    )
    output = parser.add_argument_group("what is written: only what is named (default: --video --masks --boxes)")
    output.add_argument("--output", type=Path, metavar="DIR", help="folder (default: named after the source)")
    output.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run in it")
    output.add_argument("--video", action="store_true", help="overlay.webm: the video with masks and boxes drawn (VP9)")
    output.add_argument(
        "--masks",
        action="store_true",
        help="masks/00000.png, ...: indexed as in DAVIS; where objects overlap, the surer one is seen",
    )
    output.add_argument(
        "--boxes",
        action="store_true",
        help="boxes.csv, result.jsonl and polygons_1.txt, ... (one line per frame, as in VOT); alone, "
        "the tracker works for boxes, which drift less then",
    )
    output.add_argument(
        "--page", action="store_true", help="page.html: all about the run in one file; alone, beside the default ones"
    )
    for name, about in EXPORTS.items():
        output.add_argument(f"--{name}", action="store_true", help=about)
    output.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="with --page: folder of ground-truth masks, PNG files named by the frame's number from 0 "
        "(00000.png or 0.png, ...), for the IoU of every frame that has one. An object's id is its "
        "number in the results; one object alone is all that is not 0, unless the masks hold several "
        "ids. Beside other ids, 255 is void and counts neither way",
    )
    frames = parser.add_argument_group("which frames")
    frames.add_argument("--start", type=_whole(0), default=0, metavar="N", help="begin with frame N (default: 0)")
    frames.add_argument("--stop", type=_whole(1), metavar="N", help="end before frame N (default: the source's end)")
    frames.add_argument("--step", type=_whole(1), default=1, metavar="N", help="every N-th frame (default: 1)")
    frames.add_argument(
        "--fps", type=_rate, metavar="RATE", help="frames per second of images, 0.01 to 1000 (default: 25)"
    )
    frames.add_argument(
        "--stream", type=_whole(0), metavar="N", help="of a video with several video streams number N, from 0"
    )
    frames.add_argument(
        "--realtime",
        action="store_true",
        help="frames come at the source's own times, and those that come while the tracker is busy are "
        "dropped, as by a camera; the summary says how many",
    )
    settings = parser.add_argument_group("settings of the tracker; their default is the variable in the environment")
    for option, text in _settings_help().items():
        settings.add_argument(option, metavar="VALUE", help=text)
    add_place(parser, "several videos:")
    return parser  # fmt: skip


def _settings_help() -> dict[str, str]:
    """Help of the tracker's settings by option."""
    from tracker.settings import OF_DMB

    return {one.option: one.help.replace("%", "%%") for one in OF_DMB if not one.trax_only}


def joined(arguments: Sequence[str]) -> list[str]:
    """Regions that begin with a minus sign, which argparse would take for an option, joined with their option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in ("--box", "--polygon", "--point") and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def track_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, dict[str, str | None]]:
    """Read the command line, and from it the settings by field; wrong usage ends the process with code 2."""
    from tracker.settings import VARIABLES, SettingsError, from_environment

    options = parser.parse_args(joined(arguments))
    if len(options.source) > 1:
        parser.error("give one SOURCE; a pattern of image files needs quotes, as in 'frames/*.jpg'")
    if options.stop is not None and options.stop <= options.start:
        parser.error(f"--stop is {options.stop} and --start {options.start}; stop after the start")
    options.place = place_of(parser, options)
    from tracker.media.manifest import rows_of

    options.rows = rows_of(options.source[0])
    if options.rows is None and not (options.workers is options.cluster is None):
        what = f"'{options.source[0]}' is a single one, or does not exist"
        parser.error(f"--workers and --cluster are for several videos; {what}")
    if options.rows is not None and options.truth is not None:
        parser.error("--truth is for a single video")
    if not options.given and options.rows is None:
        from tracker.media.targets import has_display  # here, because OpenCV comes with it

        if not has_display():
            remedy = "say where the object is with --box, --polygon, --mask or --point"
            parser.error(f"there is no display to draw a box on; {remedy}")
    if options.truth is not None and not options.page:
        parser.error("--truth has no effect without --page")
    if options.backwards and not any(getattr(one, "name", "") == "at" for one in options.given):
        parser.error("--backwards has no effect without --at")
    if options.backwards and options.realtime:
        parser.error("--backwards needs all frames before it answers, and --realtime drops some; leave one out")
    options.source = options.source[0]
    if options.given:
        from tracker.media.frames import Selection
        from tracker.media.schedule import ScheduleError, placed

        try:
            options.given = placed(options.given, Selection(options.start, options.stop, options.step))
        except ScheduleError as error:
            parser.error(str(error))
    kinds = [kind for kind in KINDS if getattr(options, kind)]
    options.kinds = list(DEFAULT_KINDS) + kinds if kinds in ([], ["page"]) else kinds
    chosen = {variable.field: getattr(options, variable.field, None) for variable in VARIABLES}
    try:
        from_environment({}, chosen)
    except SettingsError as error:
        parser.error(str(error))
    return options, chosen
