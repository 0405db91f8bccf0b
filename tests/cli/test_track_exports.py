"""What `dmb track` writes for other programs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import pytest
from PIL import Image

from tests.cli.conftest import LEFTS, Command, rows
from tests.media.clips import SIZE, scene


def test_results_for_other_programs_are_written_beside_the_rest(
    command: Command, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports = ("--box", "10,14,20,20", "--box", "1,2,9,9", "--coco", "--mots", "--cvat", "--output", "out")
    assert command(clip, *exports) == 0
    assert "written to 'out': coco.json, mots.txt, cvat.xml" in capsys.readouterr().out
    names = ["coco.json", "cvat.xml", "mots.txt", "summary.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]) == 2 * len(LEFTS)
    assert len((tmp_path / "out" / "mots.txt").read_text().splitlines()) == 2 * len(LEFTS)
    assert len(ElementTree.parse(tmp_path / "out" / "cvat.xml").findall("track/polygon")) == 2 * len(LEFTS)
    assert command(clip, *exports) == 1
    assert "'out' is not empty; name another folder with --output, or replace" in capsys.readouterr().err
    assert command(clip, *exports[:5], *exports[-2:], "--overwrite") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["coco.json", "summary.json"]


def test_an_mp4_is_written_where_there_is_an_encoder(
    command: Command, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracker.media import mp4

    box = (clip, "--box", "10,14,20,20", "--mp4", "--output", "out")
    with monkeypatch.context() as without:
        without.setattr(mp4, "ENCODERS", {"no_such_encoder": {}})
        assert command(*box) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmb track: error: an MP4 needs an encoder for H.264") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    try:
        mp4.h264_encoder()
    except mp4.EncoderError as missing:
        pytest.skip(str(missing))
    assert command(*box) == 0
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as video:
        assert [frame.time for frame in video.decode(video=0)] == pytest.approx([0, 0.04, 0.2, 0.24, 0.3])


def test_videos_are_stretched_where_pixels_are_not_square(command: Command, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mkv"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for left in LEFTS:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(left), "rgb24")))
        file.mux(stream.encode())
    assert command("wide.mkv", "--box", "10,14,20,20", "--video", "--masks", "--boxes", "--output", "out") == 0
    with av.open(str(tmp_path / "out" / "overlay.webm")) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape == (SIZE[1], SIZE[0] * 3 // 2, 3)
    assert Image.open(tmp_path / "out" / "masks" / "00000.png").size == SIZE
    assert float(rows(tmp_path / "out")[0]["x"]) == 10


@pytest.mark.parametrize(
    ("stop", "closing"), [((), []), (("--stop", "3"), ["3"]), (("--stop", "5"), ["5"]), (("--stop", "99"), [])]
)
def test_cvat_is_told_where_tracking_ends_before_the_video(
    command: Command, clip: Path, tmp_path: Path, stop: tuple[str, ...], closing: list[str]
) -> None:
    assert command(clip, "--box", "10,14,20,20", "--cvat", "--output", "out", *stop) == 0
    shapes = ElementTree.parse(tmp_path / "out" / "cvat.xml").findall("track/polygon")
    assert [shape.attrib["frame"] for shape in shapes if shape.attrib["outside"] == "1"] == closing
