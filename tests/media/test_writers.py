"""Video, masks, overlay and tables, written and read again."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.media.clips import RED, SIZE, answer, scene, square
from tracker.media.masks import MaskFolder, index_masks
from tracker.media.overlay import COLORS, color_of, overlay, tint
from tracker.media.recording import moment
from tracker.media.report import MAX_THUMBNAILS, Thumbnails
from tracker.media.tables import Tables
from tracker.media.webm import VideoError, VideoWriter


@pytest.mark.parametrize("size", [SIZE, (65, 49)])
def test_a_video_keeps_colors_and_times(tmp_path: Path, size: tuple[int, int]) -> None:
    writer = VideoWriter(tmp_path / "v.webm", size, 25)
    image = np.full((size[1], size[0], 3), RED, np.uint8)
    for seconds in (0.0, 0.04, 0.04, 0.3, 1.5):  # one of them twice
        writer.add(image, seconds)
    writer.close()
    with av.open(str(tmp_path / "v.webm")) as container:
        stream = container.streams.video[0]
        assert container.format.name.startswith("matroska") and stream.codec_context.name in ("vp9", "libvpx-vp9")
        frames = list(container.decode(stream))
        assert container.duration == pytest.approx(1_540_000)  # microseconds: the last frame lasts, too
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.041, 0.3, 1.5])
    for frame in frames:
        assert (frame.width, frame.height) == size and frame.colorspace == 1
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - RED).max() <= 5


def test_a_video_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"v\.webm' cannot be written"):
        VideoWriter(tmp_path / "nowhere" / "v.webm", SIZE, 25)


def test_where_masks_overlap_the_surer_object_wins(tmp_path: Path) -> None:
    weak, strong = answer(square(10), 0.4), answer(square(20), 0.8)
    ids = index_masks({1: weak, 2: strong})
    assert ids[20, 12] == 1 and ids[20, 25] == 2 and ids[20, 35] == 2 and ids[0, 0] == 0
    assert index_masks({1: replace(weak, confidence=0.8), 2: strong})[20, 25] == 1  # equally sure: given first
    folder = MaskFolder(tmp_path / "masks")
    folder.add(7, {1: weak, 2: strong})
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["00007.png"]
    with Image.open(tmp_path / "masks" / "00007.png") as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), ids)
        assert image.getpalette()[3:6] == [128, 0, 0]  # type: ignore[index]


def test_the_overlay_shows_masks_boxes_and_labels() -> None:
    image = scene(10)
    before = image.copy()
    drawn = overlay(image, {1: answer(square(30))})
    assert np.array_equal(image, before)
    assert drawn[24, 40].tolist() == pytest.approx(0.55 * 120 + 0.45 * np.array(color_of(1)), abs=1)
    assert drawn[24, 30].min() > 225  # the box
    assert drawn[2, 3].tolist() == [120, 120, 120]
    assert (np.abs(drawn[:14].astype(int) - color_of(1)).max(2) < 4).any()  # the label's patch
    moved = tint(image, {1: answer(square(30), segmented=False)})
    assert moved[24, 40].tolist() == [120, 120, 120]
    assert np.abs(moved[24, 30].astype(int) - color_of(1)).max() < 60  # the outline, smoothed into its border


LUMA = np.array((0.299, 0.587, 0.114))
GROUNDS = [(0, 90, 130), (215, 195, 160), (60, 120, 40), (0, 0, 0), (128, 128, 128), (255, 255, 255), *COLORS]


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("number", range(1, len(COLORS) + 1))
def test_outlines_and_boxes_are_seen_on_any_ground(number: int, ground: tuple[int, int, int]) -> None:
    """Sea, sand, grass, black, gray, white, and the colors themselves: some line differs in lightness everywhere."""
    image = np.full((SIZE[1], SIZE[0], 3), ground, np.uint8)
    mask = square(22, 16, 16)
    light = float(LUMA @ np.array(ground))
    outlined = np.abs(tint(image, {number: answer(mask)}) @ LUMA - light)
    boxed = np.abs(overlay(image, {number: answer(mask)}) @ LUMA - light)
    for drawn in (outlined, boxed):
        for across in (drawn[24, 18:26], drawn[24, 34:42], drawn[28:36, 30]):  # left, right and lower edge
            assert across.max() > 60
    assert light < 60 or outlined[24, 18:26].max() > 0.8 * light  # a dark border wherever it can be seen


def test_the_first_color_is_none_of_sky_water_grass_and_sand() -> None:
    ((hue, saturation, _),) = cv2.cvtColor(np.array([[COLORS[0]]], np.uint8), cv2.COLOR_RGB2HSV)[0]
    assert saturation > 120 and 140 < hue < 172  # OpenCV's hue, 0 to 180: magenta
    assert len(set(COLORS)) == 6 and color_of(7) == color_of(1)


def test_a_label_stays_in_the_image() -> None:
    whole = np.ones((SIZE[1], SIZE[0]), np.bool_)
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    labeled = overlay(image, {1: answer(whole)})
    patch = np.all(labeled == color_of(1), axis=2)
    assert patch[2:12, 2:40].mean() > 0.4


def test_tables_hold_every_moment(tmp_path: Path) -> None:
    tables = Tables(tmp_path, [1, 2], step=2)
    lost = replace(moment(answer(square(12)), 6, 0.24, 2), uncertainty=math.inf, average=0.5, reason="peak, too low")
    tables.add(2, [moment(answer(square(10)), 2, 0.08, 1), moment(answer(square(12)), 2, 0.08, 2)])
    tables.add(6, [moment(answer(square(14), 0.25), 6, 0.24, 1), lost])  # frame 4 was damaged
    with (tmp_path / "boxes.csv").open() as file:  # on the disk before the end
        rows = list(csv.DictReader(file))
    tables.close()
    assert [(row["frame"], row["object"]) for row in rows] == [("2", "1"), ("2", "2"), ("6", "1"), ("6", "2")]
    assert [float(rows[2][name]) for name in ("time", "x", "y", "w", "h", "confidence")] == [0.24, 14, 14, 20, 20, 0.25]
    corners = [float(rows[0][f"{axis}{corner}"]) for corner in range(1, 5) for axis in "xy"]
    assert corners == [10, 14, 29, 14, 29, 33, 10, 33]
    assert (rows[3]["uncertainty"], rows[3]["average"], rows[3]["reason"]) == ("", "0.5", "peak, too low")
    records = [json.loads(line) for line in (tmp_path / "result.jsonl").read_text().splitlines()]
    assert records[2]["box"] == [14, 14, 20, 20] and records[2]["polygon"][2] == [33, 33]
    assert records[3]["uncertainty"] is None and records[3]["object"] == 2
    lines = (tmp_path / "polygons_1.txt").read_text().splitlines()
    assert len(lines) == 3 and lines[1] == "0" and lines[0].startswith("10.000,14.000,29.000,14.000")


def test_thumbnails_are_few_and_evenly_spread() -> None:
    thumbnails = Thumbnails()
    for frame in range(600):
        thumbnails.add(frame, scene(0))
    frames = list(thumbnails.files)
    assert 100 < len(frames) <= MAX_THUMBNAILS and frames[0] == 0 and frames[-1] > 590
    assert len(set(np.diff(frames))) == 1 and thumbnails.files[0].startswith(b"\xff\xd8")
