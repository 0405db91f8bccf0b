"""The TraX process with a real client, and a double in place of the tracker."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import trax  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import TraxClient, clean_environment
from tracker.trax_server import ABOUT, main

Start = Callable[..., TraxClient]

HEIGHT, WIDTH = 40, 60
COLOR = (200, 90, 30)  # red, green, blue


def solid(*color: int) -> NDArray[np.uint8]:
    return np.full((HEIGHT, WIDTH, len(color)), color, np.uint8)


def encode(pixels: NDArray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"quality": 95} if kind == "jpeg" else {}))
    return stream.getvalue()


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> trax.Image:
    path = tmp_path_factory.mktemp("frames") / "00000001.png"
    path.write_bytes(encode(solid(*COLOR), "png"))
    return trax.FileImage.create(str(path))


def rectangle(x: float = 10, y: float = 5, width: float = 20, height: float = 12) -> trax.Region:
    return trax.Rectangle.create(x, y, width, height)


def rotated() -> trax.Region:
    return trax.Polygon.create([(20.0, 5.0), (35.0, 15.5), (25.0, 30.0), (10.0, 19.5)])


def blob() -> trax.Region:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 15:40] = 1
    mask[12:15, 20:22] = 0
    return trax.Mask.create(mask)


def assert_clean(text: str) -> None:
    assert "Traceback" not in text
    assert "Exception" not in text


class TestAnswers:
    def test_each_kind_of_region_is_answered_by_its_kind(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax()
        trax_client.initialize(frame, rectangle())
        ((region, properties),) = trax_client.frame(frame)
        assert region.type == trax.Region.RECTANGLE
        assert region.bounds() == (10, 5, 20, 12)
        assert float(properties["confidence"]) == 0.9

        trax_client.initialize(frame, rotated())
        ((region, _),) = trax_client.frame(frame)
        assert region.type == trax.Region.POLYGON
        assert np.allclose(list(region), list(rotated()))

        trax_client.initialize(frame, blob())
        ((region, _),) = trax_client.frame(frame)
        assert region.type == trax.Region.MASK
        assert (region.offset(), region.size()) == ((0, 0), (WIDTH, HEIGHT))
        assert np.array_equal(region.array(), blob().array())
        assert trax_client.end() == 0
        assert_clean(trax_client.text)

    def test_a_cropped_mask_lands_where_it_belongs(self, start_trax: Start, frame: trax.Image) -> None:
        part = blob().array()[8:30, 12:50].copy()  # TraX needs contiguous memory
        ((region, _),) = start_trax().initialize(frame, trax.Mask.create(part, 12, 8))
        assert np.array_equal(region.array(), blob().array())

    def test_the_setting_chooses_another_kind(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax(DMB_ANSWER="mask")
        ((region, _),) = trax_client.initialize(frame, rectangle())
        expected = np.zeros((HEIGHT, WIDTH))
        expected[5:17, 10:30] = 1
        assert np.array_equal(region.array(), expected)

    def test_an_argument_of_the_initialization_wins_over_the_setting(
        self, start_trax: Start, frame: trax.Image
    ) -> None:
        trax_client = start_trax(DMB_ANSWER="mask")
        ((region, _),) = trax_client.initialize(frame, rectangle(), answer="polygon")
        assert [tuple(point) for point in region] == [(10, 5), (29, 5), (29, 16), (10, 16)]
        assert trax_client.frame(frame)[0][0].type == trax.Region.POLYGON
        assert trax_client.initialize(frame, rectangle())[0][0].type == trax.Region.MASK

    def test_an_unknown_argument_value_is_refused(self, start_trax: Start, frame: trax.Image) -> None:
        with pytest.raises(trax.TraxException, match="arg_answer is 'box'; it must be auto or rectangle"):
            start_trax().initialize(frame, rectangle(), answer="box")


@pytest.fixture(scope="module")
def painter() -> Iterator[TraxClient]:
    """One process for all images; it answers the color it sees."""
    trax_client = TraxClient(DOUBLE="color")
    yield trax_client
    assert trax_client.end() == 0


class TestImages:
    @pytest.mark.parametrize("kind", ["png", "jpeg"])
    @pytest.mark.parametrize("way", ["path", "buffer"])
    def test_encoded_images_arrive_as_rgb(self, painter: TraxClient, tmp_path: Path, way: str, kind: str) -> None:
        content = encode(solid(*COLOR), kind)
        path = tmp_path / f"frame.{kind}"
        path.write_bytes(content)
        image = trax.FileImage.create(str(path)) if way == "path" else trax.BufferImage.create(content)
        ((region, _),) = painter.initialize(image, rectangle())
        assert region.bounds() == pytest.approx((200, 90, 31, HEIGHT), abs=0 if kind == "png" else 3)

    def test_images_in_memory_arrive_as_rgb(self, painter: TraxClient) -> None:
        ((region, _),) = painter.initialize(trax.MemoryImage.create(solid(*COLOR)), rectangle())
        assert region.bounds() == (200, 90, 31, HEIGHT)

    def test_gray_images_in_memory_arrive_as_rgb(self, painter: TraxClient) -> None:
        ((region, _),) = painter.initialize(trax.MemoryImage.create(solid(70)[:, :, 0]), rectangle())
        assert region.bounds() == (70, 70, 71, HEIGHT)

    @pytest.mark.parametrize(("height", "width"), [(20, 30), (42, 36), (334, 500), (120, 160)])
    def test_many_images_in_memory_of_any_size(self, start_trax: Start, height: int, width: int) -> None:
        # All but the last have a size of 8 modulo 16 bytes, of which libtrax would abort the process.
        trax_client = start_trax()
        image = trax.MemoryImage.create(np.zeros((height, width, 3), np.uint8))
        trax_client.initialize(image, rectangle(4, 5, 6, 7))
        for _ in range(20):
            trax_client.frame(image)
        assert trax_client.end() == 0

    def test_a_path_need_not_be_ascii(self, painter: TraxClient, tmp_path: Path) -> None:
        path = tmp_path / 'Bücher "neu" \\ alt' / "1.png"
        path.parent.mkdir()
        path.write_bytes(encode(solid(*COLOR), "png"))
        ((region, _),) = painter.initialize(trax.FileImage.create(str(path)), rectangle())
        assert region.bounds() == (200, 90, 31, HEIGHT)


class TestSessions:
    def test_one_process_serves_any_number_of_initializations(
        self, start_trax: Start, frame: trax.Image, tmp_path: Path
    ) -> None:
        log = tmp_path / "dmb.log"
        trax_client = start_trax(DMB_LOG=str(log))
        for _ in range(4):
            trax_client.initialize(frame, rectangle())
            for _ in range(3):
                ((_, properties),) = trax_client.frame(frame)
            assert float(properties["confidence"]) == 0.7  # each starts anew
        assert trax_client.end() == 0
        lines = log.read_text().splitlines()
        assert lines[0] == "DMB: ready: the double 'still'"
        assert re.fullmatch(r"DMB: 4 initializations, 12 frames tracked, [\d.]+ frames per second", lines[1])
        assert len(lines) == 2
        for line in lines:
            assert line in trax_client.text

    def test_everything_slow_happens_before_the_greeting(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax()
        assert 0 <= trax_client.text.index("loading") < trax_client.text.index("@@TRAX:hello")
        assert 0 <= trax_client.text.index("DMB: ready") < trax_client.text.index("@@TRAX:hello")

    def test_several_objects_and_later_ones_keep_their_order_and_kinds(
        self, start_trax: Start, frame: trax.Image
    ) -> None:
        trax_client = start_trax()
        assert trax_client.client.get("multiobject")
        states = trax_client.initialize(frame, rectangle(), blob())
        assert [region.type for region, _ in states] == ["rectangle", "mask"]
        trax_client.frame(frame)
        states = trax_client.frame(frame, rotated(), rectangle(1, 2, 3, 4))
        assert [region.type for region, _ in states] == ["rectangle", "mask", "polygon", "rectangle"]
        assert [float(properties["confidence"]) for _, properties in states] == [0.8, 0.8, 1, 1]
        states = trax_client.frame(frame)
        assert states[0][0].bounds() == (10, 5, 20, 12)
        assert states[3][0].bounds() == (1, 2, 3, 4)
        assert [float(properties["confidence"]) for _, properties in states] == [0.7, 0.7, 0.9, 0.9]
        states = trax_client.initialize(frame, rotated())
        assert [region.type for region, _ in states] == ["polygon"]
        assert trax_client.end() == 0
        assert "DMB: 5 initializations, 3 frames tracked" in trax_client.text

    def test_several_objects_are_offered_only_if_set(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax(DMB_MULTIOBJECT="off")
        assert not trax_client.client.get("multiobject")
        assert len(trax_client.initialize(frame, rectangle())) == 1
        assert len(trax_client.initialize(frame, rectangle())) == 1


class TestErrors:
    def ends(self, trax_client: TraxClient, sentence: str, *, traceback: bool = False) -> None:
        """The process has ended itself, in order, and said why."""
        assert trax_client.end() == 1
        assert re.search(f"^DMB: error: {sentence}", trax_client.text, re.MULTILINE), trax_client.text
        assert ("Traceback" in trax_client.text) == traceback

    @pytest.mark.parametrize(
        ("region", "sentence"),
        [
            (rectangle(500, 5), "frame '.*00000001.png': the box 500, .* lies outside the image of 60 x 40"),
            (rectangle(width=0), "frame '.*00000001.png': the box .* has no area"),
            (rectangle(x=float("nan")), "frame '.*00000001.png': the region is not a .* with finite numbers"),
            (trax.Mask.create(np.zeros((HEIGHT, WIDTH), np.uint8)), "frame '.*': the mask is empty"),
        ],
    )
    def test_a_bad_region(self, start_trax: Start, frame: trax.Image, region: trax.Region, sentence: str) -> None:
        trax_client = start_trax()
        with pytest.raises(trax.TraxException, match=f"Server terminated the session: {sentence}"):
            trax_client.initialize(frame, region)
        self.ends(trax_client, sentence)

    def test_an_unreadable_frame(self, start_trax: Start, frame: trax.Image, tmp_path: Path) -> None:
        trax_client = start_trax()
        trax_client.initialize(frame, rectangle())
        damaged = tmp_path / "damaged frame.jpg"
        damaged.write_bytes(encode(solid(*COLOR), "jpeg")[:-100])
        sentence = r"frame '.*damaged frame\.jpg' is damaged or not an image \(\d+ bytes\); restore it"
        with pytest.raises(trax.TraxException, match=sentence):
            trax_client.frame(trax.FileImage.create(str(damaged)))
        self.ends(trax_client, sentence)
        assert "1 initialization, 0 frames tracked" in trax_client.text

    def test_missing_weights_are_told_to_the_client_and_not_only_to_the_log(
        self, start_trax: Start, frame: trax.Image
    ) -> None:
        trax_client = start_trax(DOUBLE="missing")
        with pytest.raises(trax.TraxException, match="session: no weights found; restore them"):
            trax_client.initialize(frame, rectangle())
        self.ends(trax_client, "no weights found; restore them")

    def test_a_bad_setting(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax(DMB_DEVICE="gpu", DMB_DEVISE="cpu")
        with pytest.raises(trax.TraxException, match="DMB_DEVICE is 'gpu'; it must be auto, cpu, cuda"):
            trax_client.initialize(frame, rectangle())
        self.ends(trax_client, "DMB_DEVICE is 'gpu'")
        assert "DMB: warning: DMB_DEVISE is not a setting" in trax_client.text

    def test_an_unusable_answer(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax(DOUBLE="infinite")
        trax_client.initialize(frame, rectangle())
        with pytest.raises(trax.TraxException, match="not finite"):
            trax_client.frame(frame)
        self.ends(trax_client, "frame '.*': the tracker answered")

    def test_a_bug_leaves_its_traceback_in_the_log(self, start_trax: Start, frame: trax.Image) -> None:
        trax_client = start_trax(DOUBLE="broken")
        trax_client.initialize(frame, rectangle())
        with pytest.raises(trax.TraxException, match="unexpected KeyError: 'no such thing'"):
            trax_client.frame(frame)
        self.ends(trax_client, "frame '.*': unexpected KeyError", traceback=True)

    @pytest.mark.parametrize(
        "message",
        [
            b'@@TRAX:initialize "1,2,3,4"\n@@TRAX:frame "image:3;2;bgr;AAAAAAAAAAAAAAAAAAAAAAAA"\n',
            b'@@TRAX:initialize "1,2,3,4"\n@@TRAX:frame "http://host/frame.jpg"\n',
        ],
    )
    def test_a_request_that_is_not_understood(self, start_trax: Start, message: bytes) -> None:
        trax_client = start_trax()
        assert trax_client.process.stdin is not None
        trax_client.process.stdin.write(message)
        trax_client.process.wait(20)
        self.ends(trax_client, "the client's request is not understood")


class TestEnds:
    def test_the_client_goes_away(self) -> None:
        process = subprocess.run(
            [sys.executable, "-m", "tests.doubles"],
            input=b"",
            capture_output=True,
            env=clean_environment(TRAX="1"),
            timeout=30,
        )
        assert process.returncode == 0
        assert_clean(process.stderr.decode())
        assert b"0 initializations" in process.stderr

    def test_nobody_listens_any_more(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(TRAX="1"),
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        process.stdin.close()
        assert process.wait(30) == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_without_a_traceback(
        self, start_trax: Start, frame: trax.Image, number: signal.Signals
    ) -> None:
        trax_client = start_trax()
        trax_client.initialize(frame, rectangle())
        time.sleep(0.2)  # until it waits for the next request again
        trax_client.process.send_signal(number)
        trax_client.process.wait(20)
        assert trax_client.end() == 128 + number
        assert_clean(trax_client.text)
        assert "DMB: 1 initialization, 0 frames tracked" in trax_client.text
        assert f"DMB: stopped by {number.name}" in trax_client.text


class TestByHand:
    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.doubles", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(**variables),
            timeout=30,
        )

    def test_it_says_what_it_is_for_and_ends(self) -> None:
        process = self.run()
        assert process.returncode == 2
        assert process.stdout == ABOUT
        assert process.stderr == ""
        for word in ("trackers.ini", "protocol = traxpython", "command = tracker.trax_server"):
            assert word in process.stdout

    def test_it_does_so_without_loading_anything_slow(self) -> None:
        code = "import sys, tracker.trax_server as s; s.main([]); print({'torch', 'trax'} & set(sys.modules))"
        process = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=clean_environment(), timeout=30
        )
        assert process.stdout.endswith("set()\n")

    def test_help_lists_every_setting(self) -> None:
        process = self.run("--help")
        assert process.returncode == 0
        for name in ("--device", "DMB_DEVICE", "--crop-size", "DMB_CROP_SIZE", "multiple of 16"):
            assert name in " ".join(process.stdout.split())

    def test_check_loads_and_reports(self) -> None:
        process = self.run("--check")
        assert process.returncode == 0
        assert process.stdout.startswith("DMB starts: the double 'still'")

    @pytest.mark.parametrize(
        ("arguments", "variables", "sentence"),
        [
            ((), {"DOUBLE": "missing"}, "no weights found; restore them"),
            (("--crop-size", "100"), {}, "--crop-size is '100'; it must be a multiple of 16"),
        ],
    )
    def test_check_says_what_is_wrong(
        self, arguments: tuple[str, ...], variables: dict[str, str], sentence: str
    ) -> None:
        process = self.run("--check", *arguments, **variables)
        assert process.returncode == 1
        assert f"DMB: error: {sentence}" in process.stderr
        assert_clean(process.stderr)

    def test_check_and_service_notice_another_package_called_trax(self, tmp_path: Path) -> None:
        (tmp_path / "trax").mkdir()
        (tmp_path / "trax" / "__init__.py").write_text("# layers of another library\n")
        path = f"{tmp_path}{os.pathsep}{clean_environment()['PYTHONPATH']}"
        for arguments, variables in ((("--check",), {}), ((), {"TRAX": "1"})):
            process = self.run(*arguments, PYTHONPATH=path, **variables)
            assert process.returncode == 1 and "DMB starts" not in process.stdout
            assert "DMB: error: no TraX library" in process.stderr and "pip install vot-trax" in process.stderr
            assert_clean(process.stderr)

    def test_main_takes_its_environment_from_the_caller(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert main([], environ={}) == 2
        assert "vot test DMB" in capfd.readouterr().out
