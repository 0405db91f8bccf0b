"""What was tracked in the formats of others: COCO's JSON, MOTS text, and XML as CVAT has it for videos.

Every file appears under its name when it is closed, and is complete then; until then it grows in a hidden one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from xml.sax.saxutils import escape

from tracker.files import replacing
from tracker.geometry.region import box_from_mask
from tracker.media.masks import index_masks
from tracker.media.outlines import outline
from tracker.media.run_lengths import compressed
from tracker.tracking.result import Result

COCO, MOTS, CVAT = "coco.json", "mots.txt", "cvat.xml"
LABEL = "object"  # the only category, as the tracker does not know what it follows
CLASS = 1  # its number
IDS_PER_CLASS = 1000  # MOTS: the first object of class 1 is 1001


class TextExport:
    """A text file in the making.

    Args:
        path: of the file, in an existing folder.

    Attributes:
        whole: tracking has come to the source's end; set before `close`.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.whole = True
        with ExitStack() as opened:
            draft = opened.enter_context(replacing(path))
            self.file = opened.enter_context(draft.open("w", encoding="utf-8", newline="\n"))
            self.resources = opened.pop_all()

    def add(self, frame: int, seconds: float, answers: Mapping[int, Result]) -> None:
        """Append what was found in one frame.

        Args:
            frame: its number in the source, from 0.
            seconds: its time in the source.
            answers: by object id, with masks H x W.

        Raises:
            OSError: it cannot be written.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Write what comes at the end. Raises OSError where that fails."""

    def close(self) -> None:
        """Complete the file, and give it its name.

        Raises:
            OSError: it cannot be written; then there is none.
        """
        with self.resources:
            self.finish()


class CocoExport(TextExport):
    """COCO's annotations of instances: an image for every frame, an annotation for every object in it.

    Masks are compressed run lengths, and may overlap. Images also have their frame's number and time, annotations the
    object's id (`track_id`) and the tracker's confidence (`score`).

    Args:
        path: of the file.
        size: width and height of the frames, pixels.
        title: of the video.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, size: tuple[int, int], title: str) -> None:
        super().__init__(path)
        self.size, self.count = size, 0
        self.images: list[dict[str, object]] = []
        head = {
            "info": {"description": title},
            "licenses": [],
            "videos": [{"id": 1, "name": title, "width": size[0], "height": size[1]}],
            "categories": [{"id": CLASS, "name": LABEL, "supercategory": LABEL}],
        }
        # annotations are written as they come, since all masks of a long video would fill the memory
        self.file.write(json.dumps(head)[:-1] + ',\n"annotations": [')

    def add(self, frame: int, seconds: float, answers: Mapping[int, Result]) -> None:
        """Append an image and its annotations; see `TextExport.add`."""
        image_id = frame + 1  # pycocotools takes an id of 0 for none in places
        width, height = self.size
        self.images.append(
            {
                "id": image_id,
                "file_name": f"{frame:05d}.jpg",
                "width": width,
                "height": height,
                "video_id": 1,
                "frame_id": frame,
                "time": round(float(seconds), 6),
            }
        )
        for number, answer in answers.items():
            annotation = {
                "id": self.count + 1,
                "image_id": image_id,
                "video_id": 1,
                "category_id": CLASS,
                "track_id": number,
                "segmentation": {"size": [height, width], "counts": compressed(answer.mask)},
                "area": int(answer.mask.sum()),
                "bbox": [float(value) for value in box_from_mask(answer.mask)],
                "iscrowd": 0,
                "score": round(float(answer.confidence), 6),
            }
            self.file.write((",\n" if self.count else "\n") + json.dumps(annotation, allow_nan=False))
            self.count += 1

    def finish(self) -> None:
        """Write the images."""
        self.file.write('\n],\n"images": ' + json.dumps(self.images, allow_nan=False) + "}\n")


class MotsExport(TextExport):
    """The text of the MOTS challenge: `frame id class height width runs` for every object that is seen in a frame.

    Frames count from 0; the object with id N is 1000 + N, of class 1. As the format has it, masks do not overlap: the
    surer object is seen, as in the mask files, and one that is covered wholly has no line.
    """

    def add(self, frame: int, seconds: float, answers: Mapping[int, Result]) -> None:
        """Append a frame's lines; see `TextExport.add`."""
        ids = index_masks(answers)
        height, width = ids.shape
        for number in answers:
            mask = ids == number
            if mask.any():
                named = f"{frame} {CLASS * IDS_PER_CLASS + number} {CLASS} {height} {width}"
                self.file.write(f"{named} {compressed(mask)}\n")


class CvatExport(TextExport):
    """CVAT's XML "for video 1.1": a track of polygons for every object, one polygon a frame, all of them keyframes.

    They hold exactly the masks' pixels (`outlines`). They are no `<mask>` elements, as CVAT keeps only the first mask
    of a track when it reads one. `occluded` says that the mask was not segmented but moved. The task that reads the
    file needs a label "object". Where tracking ends before the video does, the last polygon comes once more, `outside`:
    CVAT would show it until the end of its video.

    Args:
        path: of the file.
        size: width and height of the frames, pixels.
        title: of the video.
        object_ids: of all objects; a track's id counts from 0 in their order.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, size: tuple[int, int], title: str, object_ids: Sequence[int]) -> None:
        super().__init__(path)
        self.size, self.title = size, title
        self.shapes: dict[int, str] = {}  # the last points of every object
        self.first: int | None = None
        self.last = 0
        with ExitStack() as opened:
            opened.push(self.resources)
            # tracks come one after the other in the file; files without a name are gone however the process ends
            self.tracks = {
                number: opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent))
                for number in object_ids
            }
            self.resources = opened.pop_all()

    def add(self, frame: int, seconds: float, answers: Mapping[int, Result]) -> None:
        """Append a polygon to every track; see `TextExport.add`."""
        self.first = frame if self.first is None else self.first
        self.last = frame
        for number, answer in answers.items():
            points = ";".join(f"{x}.00,{y}.00" for x, y in outline(answer.mask))
            self.shapes[number] = points
            self.tracks[number].write(_polygon(frame, points, occluded=not answer.segmented))

    def finish(self) -> None:
        """Write the tracks behind what CVAT says of a task."""
        width, height = self.size
        first = self.first or 0
        if not self.whole:
            self.last += 1
            for number, points in self.shapes.items():
                self.tracks[number].write(_polygon(self.last, points, outside=True))
        self.file.write(
            f"""\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>{escape(_printable(self.title))}</name>
      <size>{self.last - first + 1}</size>
      <mode>interpolation</mode>
      <start_frame>{first}</start_frame>
      <stop_frame>{self.last}</stop_frame>
      <labels><label><name>{LABEL}</name><type>any</type><attributes></attributes></label></labels>
      <original_size><width>{width}</width><height>{height}</height></original_size>
    </task>
  </meta>
"""
        )
        for place, track in enumerate(self.tracks.values()):
            self.file.write(f'  <track id="{place}" label="{LABEL}" source="auto">\n')
            track.seek(0)
            shutil.copyfileobj(track, self.file)
            self.file.write("  </track>\n")
        self.file.write("</annotations>\n")


def _polygon(frame: int, points: str, *, occluded: bool = False, outside: bool = False) -> str:
    state = f'keyframe="1" outside="{int(outside)}" occluded="{int(occluded)}"'
    return f'    <polygon frame="{frame}" {state} points="{points}" z_order="0"/>\n'


def _printable(text: str) -> str:
    """Text without what XML cannot hold: control characters, and bytes of a file's name that are no UTF-8."""
    return "".join(one if one.isprintable() else "?" for one in text)
