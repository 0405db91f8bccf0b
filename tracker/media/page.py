"""One HTML file about one tracked video: the video itself, what the tracker made of every frame, and how sure it was.

The file holds everything, fetches nothing and runs only its own scripts: its content security policy names them and the
style sheet by their hashes. Video and pictures are base64 in it, so it is a third larger than they are.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from tracker.files import replacing
from tracker.media.overlay import color_of
from tracker.media.recording import Moment

MEDIA_TYPES = {".webm": "video/webm", ".mp4": "video/mp4"}
STATES = ("remembered", "not remembered", "not segmented")
PART_BYTES = 3 << 20  # of the video in one element: whole base64 groups, and far below what a browser's string may hold
VIDEO_MARK = "<!-- video -->"


def write_page(
    path: Path,
    *,
    video: Path,
    moments: Sequence[Moment],
    size: tuple[int, int],
    title: str,
    thumbnails: Mapping[int, bytes],
    frame_rate: float,
    seconds: Mapping[int, float] | None = None,
) -> None:
    """Write the page, atomically.

    Args:
        path: of the HTML file.
        video: WebM or MP4 file. Its k-th picture shows the k-th of the frames that the moments and `seconds` tell of,
            in the order of their numbers, and it runs at a constant rate.
        moments: all objects in all frames, in any order.
        size: width and height of the frames, in whose pixels polygons and boxes are.
        title: any text.
        thumbnails: JPEG files by frame number. Those of frames that no moment tells of are left out.
        frame_rate: of the video, pictures a second.
        seconds: times by frame number, where there are frames without any object; None where there are none.

    Raises:
        ValueError: no moments, two of one object in one frame, or a size, frame rate or kind of video that cannot be.
        OSError: the video cannot be read, or the page not written.
    """
    _check(moments, size, frame_rate, video)
    document = page_data(moments, size, frame_rate, seconds)
    told = {moment.frame for moment in moments}
    pictures = {
        str(frame): base64.b64encode(thumbnails[frame]).decode("ascii")
        for frame in document["frames"]
        if frame in told and frame in thumbnails
    }
    before, after = _fill(document, pictures, title, MEDIA_TYPES[video.suffix.lower()]).split(VIDEO_MARK)
    with (
        replacing(path) as draft,
        draft.open("w", encoding="utf-8", errors="replace") as page,
        video.open("rb") as source,
    ):
        page.write(before)
        page.writelines(_video_parts(source))
        page.write(after)


def page_data(
    moments: Sequence[Moment],
    size: tuple[int, int],
    frame_rate: float,
    seconds: Mapping[int, float] | None = None,
) -> dict[str, Any]:
    """What the page's script works from, ready for JSON.

    Polygons and boxes are rounded to a tenth of a pixel, confidence, overlap, uncertainty and average to a thousandth.
    Unknown numbers and NaN are None, and so is an infinite average: there was none yet; an infinite uncertainty is
    "inf". `at` and `given` (where the region was given, not found) are indices into `frames`, `reason` into `reasons`,
    `state` into `states`. `seconds` are as in `write_page`.
    """
    by_frame = dict(seconds or {}) | {moment.frame: moment.seconds for moment in moments}
    frames = sorted(by_frame)
    position = {frame: index for index, frame in enumerate(frames)}
    reasons: dict[str, int] = {}
    objects: dict[int, list[Moment]] = {}
    for moment in sorted(moments, key=lambda moment: (moment.object_id, moment.frame)):
        objects.setdefault(moment.object_id, []).append(moment)
        reasons.setdefault(moment.reason, len(reasons))
    return {
        "size": [int(size[0]), int(size[1])],
        "frame_rate": round(float(frame_rate), 6),
        "frames": frames,
        "seconds": [_finite(by_frame[frame], 3) for frame in frames],
        "states": list(STATES),
        "reasons": list(reasons),
        "objects": [
            {"id": number, "color": _color(number), "at": [position[moment.frame] for moment in track]}
            | {"given": [position[moment.frame] for moment in track if _was_given(moment)]}
            | _columns(track, reasons)
            | {"summary": _summary(track)}
            for number, track in objects.items()
        ],
    }


def _check(moments: Sequence[Moment], size: tuple[int, int], frame_rate: float, video: Path) -> None:
    if not moments:
        raise ValueError("the page needs at least one moment, got none; track at least one frame")
    if len({(moment.frame, moment.object_id) for moment in moments}) < len(moments):
        raise ValueError("two moments tell of the same object in the same frame; give one of them")
    if min(size) < 1:
        raise ValueError(f"size is {size}; it must be a width and a height of at least 1")
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ValueError(f"frame_rate is {frame_rate}; it must be a number above 0")
    if video.suffix.lower() not in MEDIA_TYPES:
        raise ValueError(f"'{video}' is not a kind of video that browsers play; give one of {', '.join(MEDIA_TYPES)}")


def _was_given(moment: Moment) -> bool:
    """Whether the user gave the region in this frame, at the start or as a correction: nothing was judged then."""
    return not moment.reason


def state_of(moment: Moment) -> int:
    """Index into `STATES`."""
    if not moment.segmented:
        return 2
    return 0 if moment.remembered else 1


def _number(value: float | None, digits: int) -> float | str | None:
    """A number that JSON knows; infinity becomes the text "inf"."""
    if value is None or math.isnan(value):
        return None
    return round(float(value), digits) if math.isfinite(value) else "inf"


def _finite(value: float | None, digits: int) -> float | None:
    number = _number(value, digits)
    return None if isinstance(number, str) else number


def _numbers(values: Iterable[float], digits: int) -> list[float] | None:
    """All of them, or None where one is not finite: half a polygon is none."""
    found = [round(float(value), digits) for value in values]
    return found if all(math.isfinite(value) for value in found) else None


def _columns(track: Sequence[Moment], reasons: Mapping[str, int]) -> dict[str, list[Any]]:
    return {
        "polygon": [_numbers(moment.polygon.ravel(), 1) for moment in track],
        "box": [_numbers(moment.box, 1) for moment in track],
        "confidence": [_finite(moment.confidence, 3) for moment in track],
        "state": [state_of(moment) for moment in track],
        "uncertainty": [_number(moment.uncertainty, 3) for moment in track],
        "average": [_finite(moment.average, 3) for moment in track],
        "reason": [reasons[moment.reason] for moment in track],
        "overlap": [_finite(moment.overlap, 3) for moment in track],
    }


def _color(object_id: int) -> str:
    """As the video shows the object, for CSS."""
    return "#{:02x}{:02x}{:02x}".format(*color_of(object_id))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return round(sum(known) / len(known), 3) if known else None


def _summary(track: Sequence[Moment]) -> dict[str, Any]:
    """Counts of the states, and means without the object's first frame and others in which its place was given."""
    tracked = [moment for moment in track[1:] if not _was_given(moment)]
    known = [moment for moment in tracked if math.isfinite(moment.confidence)]
    lowest = min(known, key=lambda moment: moment.confidence, default=None)
    states = [state_of(moment) for moment in track]
    return {
        "counts": [states.count(state) for state in range(len(STATES))],
        "confidence": _mean(moment.confidence for moment in tracked),
        "lowest": None if lowest is None else [round(float(lowest.confidence), 3), lowest.frame],
        "overlap": _mean(moment.overlap for moment in tracked),
    }


def _video_parts(source: IO[bytes]) -> Iterator[str]:
    """Elements that hold the video; a long one must not be in memory as a whole."""
    while part := source.read(PART_BYTES):
        yield f'<script type="text/plain" class="video-part">{base64.b64encode(part).decode("ascii")}</script>\n'


def _embedded(document: object) -> str:
    """Strict JSON that cannot end, or open, an element."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    frames, objects = document["frames"], document["objects"]
    width, height = document["size"]
    rate = document["frame_rate"]
    span = f" ({frames[0]} to {frames[-1]})" if len(frames) > 1 else f" ({frames[0]})"
    facts = [
        ("Frames", f"{len(frames)}{span}"),
        ("Size", f"{width} \N{MULTIPLICATION SIGN} {height} px"),
        ("Video", f"{len(frames) / rate:.1f} s at {rate:.4g} fps"),
        ("Objects", str(len(objects))),
    ]
    for name, label in (("confidence", "Mean confidence"), ("overlap", "Mean IoU")):
        mean = _mean(item["summary"][name] for item in objects)
        if mean is not None:
            facts.append((label, f"{mean:.3f}"))
    return facts


def _hash(text: str) -> str:
    """As a content security policy names an inline script or style sheet."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _fill(document: Mapping[str, Any], pictures: Mapping[str, str], title: str, media_type: str) -> str:
    """The page without the video's bytes."""
    room = files("tracker.media")
    style, script, record, template = (
        room.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js", "page_record.js", "page.html")
    )
    values = {
        "title": html.escape(title),
        "facts": "".join(
            f"<div><dt>{html.escape(term)}</dt><dd>{html.escape(fact)}</dd></div>" for term, fact in _facts(document)
        ),
        "style": style,
        "script": script,
        "record": record,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "record_hash": _hash(record),
        "media_type": media_type,
        "data": _embedded(document),
        "thumbnails": _embedded(pictures),
    }
    # in one pass: what is filled in may hold such marks of its own
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: values[mark[1]], template)
