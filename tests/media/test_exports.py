"""COCO, MOTS, CVAT and MP4: written, read again by the formats' own readers, and compared pixel by pixel."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from tests.media.clips import RED, SIZE, answer, scene, square
from tracker.errors import UserError
from tracker.media import mp4
from tracker.media.exports import CocoExport, CvatExport, MotsExport
from tracker.media.frames import Frame
from tracker.media.masks import index_masks
from tracker.media.mp4 import EncoderError, Mp4Writer
from tracker.media.outlines import outline
from tracker.media.outputs import Outputs, remove_old
from tracker.media.run_lengths import compressed, run_lengths
from tracker.media.webm import VideoError
from tracker.tracking.result import Result

Mask = NDArray[np.bool_]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


def ring() -> Mask:
    """A square with a hole, a part apart, and two pixels that touch in a corner; at the image's corners, too."""
    mask = square(20)
    mask[20:26, 26:32] = False
    mask[0, 0] = mask[47, 63] = mask[5:9, 50:60] = mask[9, 60] = True
    return mask


def read_runs(text: str, shape: tuple[int, int]) -> Mask:
    """A mask H x W from compressed run lengths, by their definition."""
    runs: list[int] = []
    number = shift = 0
    for character in text:
        value = ord(character) - 48
        assert 0 <= value < 64
        number |= (value & 31) << shift
        shift += 5
        if not value & 32:
            number -= (1 << shift) if value & 16 else 0
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return pixels.reshape(shape, order="F")


def filled(corners: list[tuple[float, float]], shape: tuple[int, int]) -> Mask:
    """The pixels whose centers are in a polygon, by the even-odd rule."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return inside


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_run_lengths_are_read_back(mask: Mask) -> None:
    assert sum(run_lengths(mask)) == mask.size and (run_lengths(mask)[0] == 0) == mask[0, 0]
    assert np.array_equal(read_runs(compressed(mask), mask.shape), mask)


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_run_lengths_are_those_of_pycocotools(mask: Mask) -> None:
    coder = pytest.importorskip("pycocotools.mask")
    assert compressed(mask) == coder.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


def test_long_runs_are_those_of_pycocotools() -> None:
    coder = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for share in (0.0, 1e-5, 1e-3, 0.5, 0.999, 1.0):
        mask = rng.random((700, 900)) < share
        assert compressed(mask) == coder.encode(np.asfortranarray(mask, np.uint8))["counts"].decode(), share


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_an_outline_holds_the_pixels_of_its_mask(mask: Mask) -> None:
    mask[-1, -1] = True
    corners = outline(mask)
    assert len(corners) >= 4 and np.array_equal(filled(corners, mask.shape), mask)


def test_the_outline_of_a_square_has_four_corners() -> None:
    assert sorted(outline(square(10))) == [(10, 14), (10, 34), (30, 14), (30, 34)]


def test_pycocotools_fills_an_outline_likewise() -> None:
    coder = pytest.importorskip("pycocotools.mask")
    points = [float(value) for corner in outline(ring()) for value in corner]
    (runs,) = coder.frPyObjects([points], SIZE[1], SIZE[0])
    assert np.array_equal(coder.decode(runs), ring())


def moments() -> dict[int, dict[int, Result]]:
    """Answers by frame and object; frame 4 is missing, and the objects overlap."""
    return {
        2: {1: answer(square(10), 0.9), 2: answer(ring(), 0.6)},
        3: {1: answer(square(12), 0.4), 2: answer(ring(), 0.8, segmented=False)},
        5: {1: answer(square(20, 15, 4), 0.3), 2: answer(square(18), 0.8)},  # object 1 is covered wholly
    }


def add_all(add: Callable[[int, float, Mapping[int, Result]], None]) -> None:
    for frame, answers in moments().items():
        add(frame, 0.04 * frame, answers)


def test_coco_is_read_by_pycocotools(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    export = CocoExport(tmp_path / "coco.json", SIZE, 'a "kite" \udcff')
    add_all(export.add)
    assert not (tmp_path / "coco.json").exists()
    export.close()
    assert [path.name for path in tmp_path.iterdir()] == ["coco.json"]
    read = coco.COCO(str(tmp_path / "coco.json"))
    assert [category["name"] for category in read.loadCats(read.getCatIds())] == ["object"]
    images = read.loadImgs(read.getImgIds())
    assert [(one["id"], one["frame_id"], one["width"], one["height"]) for one in images] == [
        (3, 2, *SIZE), (4, 3, *SIZE), (6, 5, *SIZE),
    ]  # fmt: skip
    for image in images:
        answers = moments()[image["frame_id"]]
        found = read.loadAnns(read.getAnnIds(imgIds=image["id"]))
        assert [one["track_id"] for one in found] == [1, 2]
        for one in found:
            mask = answers[one["track_id"]].mask
            assert np.array_equal(read.annToMask(one), mask) and one["area"] == mask.sum() and one["iscrowd"] == 0
            assert one["bbox"] == list(coco.maskUtils.toBbox(one["segmentation"]))
            assert one["score"] == answers[one["track_id"]].confidence
    results = read.loadRes(json.loads((tmp_path / "coco.json").read_text())["annotations"])  # as results, too
    assert len(results.getAnnIds()) == 6


def test_coco_needs_no_pycocotools(tmp_path: Path) -> None:
    export = CocoExport(tmp_path / "coco.json", SIZE, "clip")
    add_all(export.add)
    export.close()
    read = json.loads((tmp_path / "coco.json").read_text())
    assert [one["id"] for one in read["annotations"]] == [1, 2, 3, 4, 5, 6]
    last = read["annotations"][-1]["segmentation"]
    assert np.array_equal(read_runs(last["counts"], tuple(last["size"])), square(18))


def test_mots_is_read_line_by_line(tmp_path: Path) -> None:
    export = MotsExport(tmp_path / "mots.txt")
    add_all(export.add)
    export.close()
    found: dict[int, dict[int, tuple[str, int, int]]] = {}
    for line in (tmp_path / "mots.txt").read_text().splitlines():
        frame, number, kind, height, width, runs = line.split(" ")
        assert kind == "1" and int(number) // 1000 == 1
        found.setdefault(int(frame), {})[int(number) % 1000] = (runs, int(height), int(width))
    assert {frame: list(objects) for frame, objects in found.items()} == {2: [1, 2], 3: [1, 2], 5: [2]}
    for frame, objects in found.items():
        ids = index_masks(moments()[frame])
        for number, (runs, *shape) in objects.items():
            assert np.array_equal(read_runs(runs, (shape[0], shape[1])), ids == number)


def test_mots_is_read_by_pycocotools(tmp_path: Path) -> None:
    coder = pytest.importorskip("pycocotools.mask")
    export = MotsExport(tmp_path / "mots.txt")
    add_all(export.add)
    export.close()
    by_frame: dict[int, list[dict[str, object]]] = {}
    for line in (tmp_path / "mots.txt").read_text().splitlines():
        frame, number, _, height, width, runs = line.split(" ")
        one = {"size": [int(height), int(width)], "counts": runs.encode()}
        assert np.array_equal(coder.decode(one), index_masks(moments()[int(frame)]) == int(number) - 1000)
        by_frame.setdefault(int(frame), []).append(one)
    for together in by_frame.values():  # what the challenge refuses
        assert coder.area(coder.merge(together, intersect=True)) == 0 or len(together) == 1


def test_cvat_has_a_track_for_every_object(tmp_path: Path) -> None:
    export = CvatExport(tmp_path / "cvat.xml", SIZE, "<kite> & \x07", [1, 2])
    add_all(export.add)
    assert not (tmp_path / "cvat.xml").exists()
    export.close()
    assert [path.name for path in tmp_path.iterdir()] == ["cvat.xml"]
    root = ElementTree.parse(tmp_path / "cvat.xml").getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    assert root.findtext("meta/task/name") == "<kite> & ?" and root.findtext("meta/task/mode") == "interpolation"
    assert [root.findtext(f"meta/task/{name}") for name in ("size", "start_frame", "stop_frame")] == ["4", "2", "5"]
    assert root.findtext("meta/task/original_size/width") == "64"
    labels = [label.text for label in root.iterfind("meta/task/labels/label/name")]
    tracks = root.findall("track")
    assert [track.attrib for track in tracks] == [
        {"id": "0", "label": "object", "source": "auto"},
        {"id": "1", "label": "object", "source": "auto"},
    ]
    assert labels == ["object"]
    for number, track in enumerate(tracks, start=1):
        assert [int(one.attrib["frame"]) for one in track] == [2, 3, 5]
        for one in track:
            expected = moments()[int(one.attrib["frame"])][number]
            corners = [tuple(map(float, pair.split(","))) for pair in one.attrib["points"].split(";")]
            assert one.tag == "polygon" and np.array_equal(filled(corners, expected.mask.shape), expected.mask)
            assert (one.attrib["keyframe"], one.attrib["outside"], one.attrib["z_order"]) == ("1", "0", "0")
            assert one.attrib["occluded"] == ("0" if expected.segmented else "1")


@pytest.mark.parametrize("closed", [False, True])
def test_cvat_closes_tracks_that_end_before_the_video(tmp_path: Path, closed: bool) -> None:
    export = CvatExport(tmp_path / "cvat.xml", SIZE, "kite", [1, 2])
    add_all(export.add)  # up to frame 5
    export.whole = not closed
    export.close()
    root = ElementTree.parse(tmp_path / "cvat.xml").getroot()
    for track in root.findall("track"):
        frames = [(one.attrib["frame"], one.attrib["outside"]) for one in track]
        assert frames == [("2", "0"), ("3", "0"), ("5", "0")] + [("6", "1")] * closed
        if closed:
            assert track[3].attrib["points"] == track[2].attrib["points"] and track[3].attrib["keyframe"] == "1"
    assert root.findtext("meta/task/stop_frame") == ("6" if closed else "5")


def test_a_file_that_cannot_be_completed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: CocoExport) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "coco.json").write_text("an earlier one")
    monkeypatch.setattr(CocoExport, "finish", full)
    export = CocoExport(tmp_path / "coco.json", SIZE, "clip")
    add_all(export.add)
    with pytest.raises(OSError, match=r"No space left on device: '.*/coco\.json'"):
        export.close()
    assert [path.name for path in tmp_path.iterdir()] == ["coco.json"]
    assert (tmp_path / "coco.json").read_text() == "an earlier one"


@pytest.fixture
def encoder() -> None:
    try:
        mp4.h264_encoder()
    except EncoderError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("encoder")
@pytest.mark.parametrize("size", [SIZE, (65, 49)])
def test_an_mp4_keeps_colors_and_times(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "v.mp4"
    writer = Mp4Writer(path, size, 25)
    image = np.full((size[1], size[0], 3), RED, np.uint8)
    for seconds in (0.0, 0.04, 0.04, 0.3, 1.5):  # one of them twice
        writer.add(image, seconds)
    assert not path.exists()
    writer.close()
    assert list(tmp_path.iterdir()) == [path]
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it comes
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert "mp4" in container.format.name and stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = list(container.decode(stream))
        assert container.duration == pytest.approx(1_540_000, abs=1000)  # microseconds
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.041, 0.3, 1.5])
    for frame in frames:
        assert (frame.width, frame.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2) and frame.colorspace == 1
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - RED).max() <= 5


@pytest.mark.usefixtures("encoder")
def test_an_mp4_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"v\.mp4"):
        Mp4Writer(tmp_path / "nowhere" / "v.mp4", SIZE, 25)
    with pytest.raises(VideoError, match=r"v\.mp4' cannot be written"):
        Mp4Writer(tmp_path / "v.mp4", (40_000, 40_000), 25)  # beyond H.264
    assert list(tmp_path.iterdir()) == []


def test_without_an_encoder_the_user_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "ENCODERS", {"no_such_encoder": {}})
    with pytest.raises(UserError, match=r"needs an encoder for H\.264, .* write WebM \(--video\), or install"):
        Outputs(tmp_path / "out", ["mp4"], size=SIZE, rate=25, object_ids=[1], step=1, title="clip")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^'yolo' is no kind of results; choose from video, .*coco, mots, cvat$"):
        Outputs(tmp_path / "out", ["yolo"], size=SIZE, rate=25, object_ids=[1], step=1, title="clip")


def test_one_export_that_fails_leaves_the_others_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: MotsExport) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MotsExport, "finish", full)
    kinds = ["coco", "mots", "cvat", "boxes"]
    outputs = Outputs(tmp_path, kinds, size=SIZE, rate=25, object_ids=[1], step=1, title="clip")
    outputs.add(Frame(0, 0.0, scene(10)), {1: answer(square(10))})
    with pytest.raises(OSError, match="No space left"):
        outputs.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["boxes.csv", "coco.json", "cvat.xml", "polygons_1.txt", "result.jsonl"]
    assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 1
    assert ElementTree.parse(tmp_path / "cvat.xml").find("track/polygon") is not None


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    for name in ("coco.json", "mots.txt", "cvat.xml", "overlay.mp4", ".coco.json.ab_c12de", ".coco.json", "my.mp4"):
        (tmp_path / name).write_text("")
    remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".coco.json", "my.mp4"]
