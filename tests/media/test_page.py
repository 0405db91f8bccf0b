"""The HTML page about one tracked video: what is in the file, and what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.media.chromium import FOUND, Chromium
from tracker.media.page import PART_BYTES, page_data, write_page
from tracker.media.recording import Moment

SIZE = (64, 48)
HOSTILE = '</title><script>document.title = "caught"</script> & {{data}} "quoted"'


def make_moment(frame: int, object_id: int = 1, **changes: Any) -> Moment:
    """A moment whose polygon and confidence tell of its frame."""
    x, y = 5.0 + frame, 7.0
    polygon = np.array([[x, y], [x + 20, y], [x + 20, y + 10], [x, y + 10]])
    plain = Moment(
        frame=frame,
        seconds=frame / 10,
        object_id=object_id,
        polygon=polygon,
        box=(x, y, 21.0, 11.0),
        confidence=0.9 - frame % 50 / 100,
        segmented=True,
        remembered=True,
        uncertainty=None if frame == 0 else 1.25,
        average=None if frame == 0 else 1.5,
        reason="" if frame == 0 else "uncertainty below the average",
    )
    return replace(plain, **changes)


class Reader(HTMLParser):
    """Gathers the elements of a page, and the text in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.inside = False  # of the last element, before any other begins or it ends
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.elements[-1][2].append(data)

    def texts(self, tag: str, **attributes: str) -> list[str]:
        """The text right inside of all elements of a kind."""
        return [
            "".join(text)
            for found, present, text in self.elements
            if found == tag and all(present.get(name) == value for name, value in attributes.items())
        ]

    def data(self, identity: str = "data") -> Any:
        """The JSON of a data element, read strictly."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"JSON has no {constant}")

        (text,) = self.texts("script", id=identity)
        return json.loads(text, parse_constant=refuse)


def write(folder: Path, moments: list[Moment], video: bytes = b"a video", **changes: Any) -> tuple[Path, Reader]:
    """Write a page about moments."""
    source = folder / "source.webm"
    source.write_bytes(video)
    arguments = {"size": SIZE, "title": "walk.mp4", "thumbnails": {}, "frame_rate": 10.0} | changes
    page = folder / "page.html"
    write_page(page, video=source, moments=moments, **arguments)
    return page, Reader(page.read_text(encoding="utf-8"))


def test_page_tells_title_and_facts_without_its_script(tmp_path: Path) -> None:
    moments = [make_moment(frame, overlap=0.5 if frame else 1.0) for frame in range(5)]
    _, page = write(tmp_path, moments)
    assert page.texts("h1") == page.texts("title") == ["walk.mp4"]
    facts = dict(zip(page.texts("dt"), page.texts("dd"), strict=False))
    assert facts["Frames"] == "5 (0 to 4)"
    assert facts["Size"] == "64 \N{MULTIPLICATION SIGN} 48 px"
    assert facts["Video"] == "0.5 s at 10 fps"
    assert facts["Objects"] == "1"
    assert facts["Mean confidence"] == "0.875"  # of frames 1 to 4
    assert facts["Mean IoU"] == "0.500"  # the first frame was given


def test_page_is_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    page, reader = write(tmp_path, [make_moment(0)])
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?:https?:)?//[a-z0-9]", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    outside = ("src", "href", "action", "data")
    addresses = [attributes[name] for _, attributes, _ in reader.elements for name in outside if name in attributes]
    assert addresses == ["data:,"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page.html", "source.webm"]


def test_policy_allows_the_pages_own_script_and_style_only(tmp_path: Path) -> None:
    _, reader = write(tmp_path, [make_moment(0)])
    policy = next(attributes["content"] for _, attributes, _ in reader.elements if "http-equiv" in attributes) or ""
    scripts = ["".join(text) for tag, present, text in reader.elements if tag == "script" and not present]
    assert len(scripts) == 2
    for text in (*scripts, *reader.texts("style")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_frames_without_an_object_and_given_regions_are_told(tmp_path: Path) -> None:
    moments = [make_moment(frame) for frame in (2, 3, 4, 5)]
    moments[0], moments[2] = (replace(moments[at], reason="", confidence=1.0) for at in (0, 2))
    moments[1], moments[3] = (replace(moments[at], confidence=0.5) for at in (1, 3))
    seconds = {frame: frame / 25 for frame in range(6)}
    data = page_data(moments, SIZE, 25.0, seconds)
    assert data["frames"] == [0, 1, 2, 3, 4, 5] and data["seconds"][1] == 0.04
    found = data["objects"][0]
    assert found["at"] == [2, 3, 4, 5] and found["given"] == [2, 4]
    assert found["summary"]["confidence"] == 0.5, "means leave out what was given"


def test_hostile_title_and_reason_stay_text(tmp_path: Path) -> None:
    plain, plain_reader = write(tmp_path, [make_moment(0), make_moment(1)])
    page, reader = write(tmp_path, [make_moment(0), make_moment(1, reason=HOSTILE)], title=HOSTILE)
    assert plain == page
    kinds = [tag for tag, _, _ in reader.elements]
    assert kinds == [tag for tag, _, _ in plain_reader.elements]  # no element more, and none fewer
    assert reader.texts("h1") == [HOSTILE]
    assert HOSTILE in reader.data()["reasons"]
    assert "<script>document" not in page.read_text(encoding="utf-8")


def test_scripts_of_the_page_use_no_markup(tmp_path: Path) -> None:
    _, reader = write(tmp_path, [make_moment(0)])
    script = "".join("".join(text) for tag, present, text in reader.elements if tag == "script" and not present)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "XMLHttpRequest"):
        assert word not in script


def test_title_from_an_undecodable_file_name_is_written(tmp_path: Path) -> None:
    _, reader = write(tmp_path, [make_moment(0)], title=b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    assert reader.texts("h1") == ["caf?.mp4"]


def test_video_and_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    video = bytes(range(256)) * (PART_BYTES // 256 + 5)
    _, reader = write(tmp_path, [make_moment(0), make_moment(3)], video, thumbnails={3: b"\xff\xd8three", 7: b"none"})
    parts = reader.texts("script", **{"class": "video-part"})
    assert len(parts) == 2
    assert b"".join(base64.b64decode(part, validate=True) for part in parts) == video
    assert reader.texts("script", id="media-type") == ["video/webm"]
    assert {frame: base64.b64decode(text) for frame, text in reader.data("thumbnails").items()} == {
        "3": b"\xff\xd8three"  # no moment tells of frame 7
    }


def test_data_hold_every_object_in_the_order_of_frames(tmp_path: Path) -> None:
    moments = [make_moment(frame, number) for frame in (30, 10, 20) for number in (2, 1) if (frame, number) != (10, 2)]
    _, reader = write(tmp_path, moments)
    data = reader.data()
    assert data["size"] == [64, 48]
    assert data["frame_rate"] == 10.0
    assert data["frames"] == [10, 20, 30]
    assert data["seconds"] == [1.0, 2.0, 3.0]
    first, second = data["objects"]
    assert (first["id"], first["at"], second["id"], second["at"]) == (1, [0, 1, 2], 2, [1, 2])
    assert second["polygon"][0] == [25.0, 7.0, 45.0, 7.0, 45.0, 17.0, 25.0, 17.0]
    assert first["confidence"] == [0.8, 0.7, 0.6]
    assert first["color"] != second["color"]
    assert [data["reasons"][index] for index in first["reason"]] == ["uncertainty below the average"] * 3


def test_numbers_are_rounded_and_what_json_lacks_is_replaced() -> None:
    odd = make_moment(
        1, confidence=math.nan, uncertainty=math.inf, average=math.inf, overlap=math.nan,
        polygon=np.full((4, 2), np.nan), box=(1.23456, 2.0, 3.0, math.inf),
    )  # fmt: skip
    data = page_data([make_moment(0, confidence=np.float32(0.123456), overlap=2 / 3), odd], SIZE, 10.0)
    (item,) = data["objects"]
    assert item["confidence"] == [0.123, None]
    assert item["uncertainty"] == [None, "inf"]
    assert item["average"] == [None, None]
    assert item["overlap"] == [0.667, None]
    assert item["polygon"][1] is None
    assert item["box"][1] is None
    assert item["summary"] == {"counts": [2, 0, 0], "confidence": None, "lowest": None, "overlap": None}
    json.dumps(data, allow_nan=False)


def test_summary_counts_decisions_and_leaves_out_the_first_frame() -> None:
    moments = [
        make_moment(0, confidence=1.0, overlap=1.0),
        make_moment(1, confidence=0.8, overlap=0.6),
        make_moment(2, confidence=0.6, overlap=0.4, remembered=False),
        make_moment(3, confidence=0.1, segmented=False, remembered=False),
    ]
    (item,) = page_data(moments, SIZE, 10.0)["objects"]
    assert item["state"] == [0, 0, 1, 2]
    assert item["summary"] == {"counts": [2, 1, 1], "confidence": 0.5, "lowest": [0.1, 3], "overlap": 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"moments": []}, "at least one moment"),
        ({"moments": [make_moment(3), make_moment(3)]}, "two moments tell of the same object"),
        ({"size": (0, 48)}, r"size is \(0, 48\)"),
        ({"frame_rate": math.inf}, "frame_rate is inf"),
        ({"frame_rate": 0.0}, "frame_rate is 0.0"),
        ({"video": Path("film.avi")}, "'film.avi' is not a kind of video that browsers play; give one of .webm, .mp4"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    source = tmp_path / "source.webm"
    source.write_bytes(b"a video")
    given = {"video": source, "moments": [make_moment(0)], "size": SIZE, "frame_rate": 10.0} | changes
    with pytest.raises(ValueError, match=message):
        write_page(tmp_path / "page.html", title="walk", thumbnails={}, **given)
    assert [file.name for file in tmp_path.iterdir()] == ["source.webm"]


def test_failure_leaves_the_page_of_before(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("before")
    with pytest.raises(FileNotFoundError):
        write_page(
            page, video=tmp_path / "gone.webm", moments=[make_moment(0)], size=SIZE, title="walk", thumbnails={},
            frame_rate=10.0,
        )  # fmt: skip
    assert page.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def write_video(path: Path, frames: int) -> None:
    """Write a video at 10 fps whose k-th picture has the brightness 8 k."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), 8 * frame, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    if FOUND is None:
        pytest.skip("no Chromium here")
    with Chromium(tmp_path / "profile") as running:
        yield running


SETTLED = "document.documentElement.dataset.frame === '{frame}' && video.readyState >= 2 && !video.seeking"
BRIGHTNESS = """(() => {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  pen.drawImage(document.getElementById("video"), 0, 0);
  return pen.getImageData(20, 20, 1, 1).data[1];
})()"""


def shown(browser: Chromium, frame: int, position: int) -> None:
    """Wait for a frame, and see that picture, outline and address are its own."""
    browser.until(SETTLED.format(frame=frame))
    assert browser.evaluate(BRIGHTNESS) == pytest.approx(8 * position, abs=3)
    corners = browser.evaluate("document.querySelector('.edge').getAttribute('points')").split()
    assert float(corners[0]) == 5.0 + frame
    browser.until(f"location.hash === '#frame={frame}'")


@pytest.mark.slow
def test_browser_shows_the_frame_that_is_asked_for(tmp_path: Path, browser: Chromium) -> None:
    video, count = tmp_path / "source.webm", 25
    write_video(video, count)
    moments = [  # frame numbers do not start at 0
        make_moment(100 + at, remembered=at % 2 == 0, overlap=0.5, reason=HOSTILE) for at in range(count)
    ]
    page, _ = write(tmp_path, moments, video.read_bytes(), title=HOSTILE, thumbnails={104: b"\xff\xd8", 105: b"\xff"})
    browser.open(f"{page.as_uri()}#frame=112")
    shown(browser, 112, 12)
    browser.click(".plot", across=20.5 / count)
    shown(browser, 120, 20)
    browser.key("ArrowLeft")
    shown(browser, 119, 19)
    browser.key("Home")
    shown(browser, 100, 0)
    assert browser.evaluate("document.querySelector('.plot').getAttribute('aria-valuetext')") == (
        "frame 100, confidence 0.90, remembered, IoU 0.50"
    )
    browser.click("#forward")
    shown(browser, 101, 1)
    browser.until("document.getElementById('live').textContent.startsWith('Frame 101: confidence')")
    browser.click("#gallery li:nth-child(2) button")
    shown(browser, 105, 5)
    browser.evaluate("location.hash = '#frame=107'")
    shown(browser, 107, 7)
    browser.click("#outline")
    assert browser.evaluate("getComputedStyle(document.getElementById('outlines')).display") == "none"
    assert browser.evaluate("document.title") == HOSTILE
    assert browser.evaluate("document.getElementById('notice').hidden")
    assert browser.complaints == []


@pytest.mark.slow
@pytest.mark.skipif(FOUND is None, reason="no Chromium here")
@pytest.mark.parametrize(("size", "dark"), [((1280, 900), False), ((360, 740), True)])
def test_page_fits_a_phone_follows_the_scheme_and_names_its_controls(
    tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    video = tmp_path / "source.webm"
    write_video(video, 6)
    moments = [make_moment(frame, number, overlap=0.5) for frame in range(6) for number in (1, 2)]
    early = "uncertainty within the limit; nothing to compare it with yet"
    moments[2] = replace(moments[2], average=math.inf, reason=early)
    page, _ = write(tmp_path, moments, video.read_bytes(), thumbnails={frame: b"\xff" for frame in range(6)})
    with Chromium(tmp_path / "profile", size, dark=dark) as browser:
        browser.open(f"{page.as_uri()}#frame=1")
        browser.until(SETTLED.format(frame=1))
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        light = browser.evaluate(ground)
        assert max(light) < 60 if dark else min(light) > 230
        assert "nothing to compare it with yet" in browser.evaluate("document.getElementById('readouts').textContent")
        assert "∞" not in browser.evaluate("document.getElementById('readouts').textContent")  # no average: no number
        browser.click("summary")
        browser.until("document.querySelectorAll('tbody tr').length === 12")
        nameless = (
            "[...document.querySelectorAll('button, select, input, video, [role=slider], [role=region]')]"
            ".filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).length"
        )
        assert browser.evaluate(nameless) == 0
        assert browser.evaluate("document.querySelectorAll('h1').length === 1 && document.documentElement.lang") == "en"
        assert browser.complaints == []


@pytest.mark.slow
def test_browser_plays_to_the_end(tmp_path: Path, browser: Chromium) -> None:
    video = tmp_path / "source.webm"
    write_video(video, 8)
    page, _ = write(tmp_path, [make_moment(frame) for frame in range(8)], video.read_bytes())
    browser.open(page.as_uri())
    browser.until(SETTLED.format(frame=0))
    browser.evaluate(
        "window.seen = new Set(); new MutationObserver(() => seen.add(document.documentElement.dataset.frame))"
        ".observe(document.documentElement, {attributes: true}); 0"
    )
    browser.click("#play")
    shown(browser, 7, 7)
    browser.until("document.getElementById('play').textContent === 'Play'")
    assert browser.evaluate("seen.size") >= 3  # what a busy machine shows in between is not for us to say
    assert browser.complaints == []


@pytest.mark.slow
def test_browser_opens_the_table_of_ten_thousand_frames_a_page_at_a_time(tmp_path: Path, browser: Chromium) -> None:
    page, _ = write(tmp_path, [make_moment(frame) for frame in range(10_000)], b"not a video")
    browser.open(f"{page.as_uri()}#frame=5050")
    browser.until("!document.getElementById('notice').hidden")
    assert "cannot play the video (video/webm)" in browser.evaluate("document.getElementById('notice').textContent")
    assert browser.evaluate("document.querySelectorAll('*').length") < 300
    browser.click("summary")
    browser.until("document.querySelectorAll('tbody tr').length === 100")
    assert browser.evaluate("document.querySelector('tr[aria-current] button').textContent") == "5050"
    browser.click("#page-forward")
    assert browser.evaluate("document.getElementById('page-range').textContent") == "rows 5101 to 5200 of 10000"
    browser.click("tbody tr:nth-child(4) button")
    browser.until("document.documentElement.dataset.frame === '5103'")
