"""Whatever a client sends, the TraX process answers it or ends with one sentence: it neither hangs nor crashes.

The processes are children of one that has imported everything. The messages beside the well-formed ones go over the
same pipe as a client's.
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import trax  # type: ignore[import-untyped]

from tests.robustness.checks import assert_toolkit_takes
from tests.robustness.pictures import SHAPE, TARGET, frame, target_mask
from tests.robustness.processes import Server, rectangle, states
from tests.robustness.test_regions import USABLE
from tracker.trax.convert import Kind

START = f'@@TRAX:initialize "{",".join(f"{number:g}" for number in TARGET)}"\n'.encode()
UNREADABLE = "the region is not a rectangle, polygon or mask with finite numbers"
UNCLEAR = "the client's request is not understood"

# kind: message, and what the sentence says; FILE stands for a frame's path
REFUSED: dict[str, tuple[bytes, str]] = {
    "frame first": (b'@@TRAX:frame "file://FILE"\n', "before any initialization; initialize first"),
    "frame without an image": (START + b"@@TRAX:frame\n", UNCLEAR),
    "initialization without a region": (b'@@TRAX:initialize\n@@TRAX:frame "file://FILE"\n', UNCLEAR),
    "two images in one frame": (START + b'@@TRAX:frame "file://FILE" "file://FILE"\n', UNCLEAR),
    "property without a value": (b'@@TRAX:initialize "40,30,30,24" "novalue"\n@@TRAX:frame "file://FILE"\n', UNCLEAR),
    "a file that is missing": (START + b'@@TRAX:frame "file:///gone.jpg"\n', "cannot be read .*check the dataset"),
    "a file that is a folder": (START + b'@@TRAX:frame "file:///"\n', "Is a directory"),
    "an empty path": (START + b'@@TRAX:frame ""\n', "cannot be read"),
    "a path of invalid UTF-8": (START + b'@@TRAX:frame "file:///\xff\xfe.jpg"\n', "cannot be read"),
    "a path with a zero byte": (START + b'@@TRAX:frame "file:///\0\xc3\xa9.jpg"\n', "null byte"),
    "a path of a megabyte": (START + b'@@TRAX:frame "file:///' + b"x" * 1_000_000 + b'"\n', "name too long"),
    "an address": (START + b'@@TRAX:frame "http://host/1.jpg"\n', UNCLEAR),
    "a ticket of the relay": (START + b'@@TRAX:frame "file:///dmb-relay/1"\n', "cannot be read"),
    "pixels: too few": (START + b'@@TRAX:frame "image:60;40;rgb;AAAA"\n', UNCLEAR),
    "pixels: too many": (START + b'@@TRAX:frame "image:1;1;rgb;' + b"A" * 4000 + b'"\n', UNCLEAR),
    "pixels: more than memory": (START + b'@@TRAX:frame "image:2000000000;2000000000;rgb;AAAA"\n', UNCLEAR),
    "pixels: size of 5,000 digits": (START + b'@@TRAX:frame "image:' + b"9" * 5000 + b';1;rgb;AAAA"\n', UNCLEAR),
    "pixels: negative size": (START + b'@@TRAX:frame "image:-5;5;rgb;AAAA"\n', UNCLEAR),
    "pixels: none": (START + b'@@TRAX:frame "image:0;0;rgb;"\n', "outside the image|has shape"),
    "pixels: not base64": (START + b'@@TRAX:frame "image:2;2;rgb;!!!!"\n', UNCLEAR),
    "pixels: unknown format": (START + b'@@TRAX:frame "image:2;2;xyz;AAAA"\n', UNCLEAR),
    "pixels: nothing": (START + b'@@TRAX:frame "image:"\n', UNCLEAR),
    "buffer: no image": (START + b'@@TRAX:frame "data:image/png;AAAA"\n', "encoded frame is damaged or not an image"),
    "buffer: not base64": (START + b'@@TRAX:frame "data:image/png;!!!!"\n', "encoded frame is damaged or not an image"),
    "buffer: empty": (START + b'@@TRAX:frame "data:image/png;"\n', "encoded frame is damaged or not an image"),
    "buffer: nothing": (START + b'@@TRAX:frame "data:"\n', UNCLEAR),
    "random bytes": (random.Random(0).randbytes(5000).replace(b"\0", b"") + b"\n" + START, UNCLEAR),
}
REGIONS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", UNREADABLE),
    "a space": (b" ", UNREADABLE),
    "text": (b"hello", UNREADABLE),
    "a quote": (b'\\"', UNREADABLE),
    "NaN": (b"nan,nan,nan,nan", UNREADABLE),
    "infinite": (b"inf,1,2,3", "NaN or infinity"),
    "beyond the largest number": (b"1e999,1,2,3", "NaN or infinity"),
    "a special code": (b"5", UNREADABLE),
    "three numbers": (b"1,2,3", UNCLEAR),
    "five numbers": (b"1,2,3,4,5", UNCLEAR),
    "commas": (b",,,", "no area"),
    "semicolons": (b"1;2;3;4", UNREADABLE),
    "decimal commas": (b"1,5,2,5,3,5,4,5", "no area|covers no pixel|outside"),
    "outside": (b"500,5,20,20", "outside the image"),
    "negative": (b"10,10,-5,-5", "no area"),
    "huge": (b"0,0,2000000000,2000000000", "too large"),
    "a polygon of 60,000 points": (b",".join(b"%d.5" % (i % 90) for i in range(120_000)), UNREADABLE),
    "mask: 10 million runs": (b"mask:0,0,4000,4000," + b",".join([b"1"] * 10_000_000), UNREADABLE),
    "mask: nothing": (b"mask:", "mask is empty"),
    "mask: no runs": (b"mask:0,0,10,10", "mask is empty"),
    "mask: no numbers": (b"mask:a,b,c,d", UNREADABLE),
    "mask: no pixels": (b"mask:0,0,0,0,5,5", "mask is empty"),
    "mask: negative size": (b"mask:0,0,-5,-5,5,5", UNREADABLE),
    "mask: ten billion pixels": (b"mask:0,0,100000,100000,5,5", UNREADABLE),
    "mask: more pixels than numbers": (b"mask:0,0,2000000000,2000000000,5,5", UNREADABLE),
    "mask: far outside": (b"mask:2000000000,0,10,10,0,100", "mask is empty"),
    "mask: negative run": (b"mask:0,0,10,10,-5000,5000", "mask is empty"),
}
# kind: message that is answered, or passed over, or after which the next request is answered as ever
ANSWERED: dict[str, bytes] = {
    "blank lines": b"\n" * 500,
    "unknown command": b'@@TRAX:dance "1"\n',
    "a server's greeting": b'@@TRAX:hello "trax.version=4"\n',
    "prefix twice": b"@@TRAX:@@TRAX:frame\n",
    "log lines": b"this is not a message\nnor is this\n",
    "initialization twice": START,
    "mask that runs over its end": b'@@TRAX:initialize "mask:30,20,20,20,5,2000000000"\n@@TRAX:frame "file://FILE"\n',
    "mask of ones and zeros": b'@@TRAX:initialize "mask:30,20,20,20,' + b",".join([b"1"] * 400)
    + b'"\n@@TRAX:frame "file://FILE"\n',
    "polygon of 5,000 points": b'@@TRAX:initialize "' + b",".join(b"%d" % (20 + i * i % 60) for i in range(10_000))
    + b'"\n@@TRAX:frame "file://FILE"\n',
    "5,000 properties": b'@@TRAX:initialize "40,30,30,24" ' + b" ".join(b'"k%d=v"' % i for i in range(5000))
    + b'\n@@TRAX:frame "file://FILE"\n',
    "40 objects": START * 40 + b'@@TRAX:frame "file://FILE"\n',
    "path without a scheme": START + b'@@TRAX:frame "FILE"\n',
    "frames without a wait": START + b'@@TRAX:frame "file://FILE"\n' * 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("frames") / "1.png"
    cv2.imwrite(str(file), frame()[:, :, ::-1])
    return str(file)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    started.read_until(_greeted)
    yield started
    started.close()


def _greeted(text: str) -> bool:
    return "@@TRAX:hello" in text and text.endswith("\n")


def assert_ended_with(server: Server, words: str) -> None:
    """It said why, to the client and in the log, and ended itself."""
    assert server.wait() == 1
    reason = re.search(r'^@@TRAX:quit "trax\.reason=(.*)" *$', server.text, re.MULTILINE)
    assert reason and re.search(words, reason[1]), server.text[-1500:]
    assert re.search(f"^DMB: error: .*({words})", server.text, re.MULTILINE), server.text[-1500:]
    assert "Traceback" not in server.text


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_message_ends_the_session_with_a_sentence(server: Server, path: str, kind: str) -> None:
    message, words = REFUSED[kind]
    server.send(message.replace(b"FILE", path.encode()))
    assert_ended_with(server, words)


@pytest.mark.parametrize("kind", REGIONS)
def test_a_bad_region_ends_the_session_with_a_sentence(server: Server, path: str, kind: str) -> None:
    region, words = REGIONS[kind]
    server.send(b'@@TRAX:initialize "' + region + b'"\n@@TRAX:frame "file://' + path.encode() + b'"\n')
    assert_ended_with(server, words)


@pytest.mark.parametrize("kind", ANSWERED)
def test_what_is_odd_but_usable_is_answered_and_the_process_goes_on(server: Server, path: str, kind: str) -> None:
    usual = START + b'@@TRAX:frame "file://' + path.encode() + b'"\n'
    server.send(ANSWERED[kind].replace(b"FILE", path.encode()))
    server.send(usual + usual)
    server.read_until(lambda text: len(states(text)) >= 1 + ANSWERED[kind].count(b"@@TRAX:frame "))
    server.send(b"@@TRAX:quit\n")
    assert server.wait() == 0
    assert "DMB: error" not in server.text
    numbers = [float(number) for number in re.findall(r'"([\d.,-]+)"', states(server.text)[-1])[0].split(",")]
    assert numbers == list(TARGET)


@pytest.mark.parametrize("form", ["pixels", "paths that are not ASCII"])
def test_frames_ahead_of_the_answers_are_answered_in_their_order(tmp_path: Path, form: str) -> None:
    """The protocol has a client wait; one that does not loses nothing. Every frame has another color."""
    server = Server("seeing")
    try:
        message = START
        for level in range(40):
            pixels = np.full((*SHAPE, 3), level, np.uint8)
            if form == "pixels":
                size = f"{SHAPE[1]};{SHAPE[0]};rgb;"
                image = f"image:{size}{base64.b64encode(pixels.tobytes()).decode()}"
            else:
                cv2.imwrite(str(tmp_path / f"bïld {level}.png"), pixels)
                image = f"file://{tmp_path}/bïld {level}.png"
            message += f'@@TRAX:frame "{image}"\n'.encode()
        server.send(message + b"@@TRAX:quit\n")
        assert server.wait() == 0 and "error" not in server.text
        widths = [float(re.findall(r'"0\.0*,0\.0*,([\d.]+),', state)[0]) for state in states(server.text)[1:]]
        assert widths == [level + 1 for level in range(1, 40)]
    finally:
        server.close()


@pytest.mark.parametrize("message", [b"@@TRAX:init", START[:-1], START + b'@@TRAX:frame "file:///half of a pa'])
def test_half_a_message_is_waited_for_until_the_client_goes(server: Server, message: bytes) -> None:
    server.send(message)
    server.hang_up()
    assert server.wait() == 0
    assert "Traceback" not in server.text and "DMB: 0 initializations" in server.text


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_message_is_answered_or_ends_the_session(server: Server, path: str, seed: int) -> None:
    """Well-formed messages with bytes changed, dropped, doubled, and lines exchanged."""
    chance = random.Random(seed)
    pixels = base64.b64encode(frame()[:8, :9].tobytes())
    whole = (
        START + b'@@TRAX:frame "file://' + path.encode() + b'" "fps=20"\n'
        b'@@TRAX:initialize "mask:30,20,20,20,100,20,30,20" "key=value"\n'
        b'@@TRAX:frame "image:9;8;rgb;' + pixels + b'"\n@@TRAX:frame "file://' + path.encode() + b'"\n'
    )  # fmt: skip
    lines = whole.splitlines(keepends=True)
    if seed % 3 == 0:
        chance.shuffle(lines)
    content = bytearray(b"".join(lines))
    for _ in range(1 + seed % 4):
        at = chance.randrange(len(content))
        content[at : at + chance.choice([0, 1, 5])] = chance.choice(
            [b"", b'"', b",", b"\\", b"\n", b"-", b"9" * 12, b"\xff"]
        )
    server.send(bytes(content))
    server.send(b"@@TRAX:quit\n")
    server.hang_up()  # an open quotation mark may have swallowed the line before
    code = server.wait()
    assert code in (0, 1), (code, bytes(content)[:300])
    assert "Traceback" not in server.text, server.text[-1500:]
    assert code == 0 or re.search(r"^DMB: error: .{20}", server.text, re.MULTILINE)


# what a TraX client can say of what Python takes
PYTHON_ONLY = ("100,000", "tensor", "batch", "two corners")
TRAX_USABLE = [name for name in USABLE if not any(word in name for word in PYTHON_ONLY)]


@pytest.fixture(scope="module")
def tracked() -> Iterator[Server]:
    """One process with a client, for DMB with the tiny network."""
    started = Server("tiny")
    started.connect()
    yield started
    started.close()


class TestThroughTheClient:
    """What the client of the `trax` package can send."""

    @pytest.mark.parametrize("kind", TRAX_USABLE)
    def test_every_usable_region_is_answered_in_its_kind(self, tracked: Server, path: str, kind: str) -> None:
        value = np.asarray(USABLE[kind])
        region: trax.Region
        if value.shape == SHAPE:
            region, expected = trax.Mask.create(np.ascontiguousarray(value > 0, np.uint8)), "mask"
        elif value.shape == (4,):
            region, expected = trax.Rectangle.create(*(float(number) for number in value)), "rectangle"
        else:
            points = [(float(x), float(y)) for x, y in value.reshape(-1, 2)]
            region, expected = trax.Polygon.create(points), "polygon"
        image = {"color": trax.FileImage.create(path)}
        assert tracked.client is not None
        kinds: dict[str, Kind] = {"mask": "mask", "rectangle": "rectangle", "polygon": "polygon"}
        for answers, _ in (
            tracked.client.initialize(image, [(region, {})], {}),
            tracked.client.frame(image, {}, []),
            tracked.client.frame(image, {}, []),
        ):
            ((answer, properties),) = answers
            assert_toolkit_takes(answer, kinds[expected], SHAPE)
            assert 0 <= float(properties["confidence"]) <= 1

    def test_hundreds_of_initializations_in_any_order(self, path: str) -> None:
        server = Server()
        try:
            client = server.connect()
            chance = random.Random(0)
            image = {"color": trax.FileImage.create(path)}
            regions = (rectangle(), trax.Polygon.create([(9.0, 9.0), (30.0, 9.0), (20.0, 30.0)]),
                       trax.Mask.create(target_mask().astype(np.uint8)))  # fmt: skip
            frames = 0
            for _ in range(100):
                wanted = [(chance.choice(regions), {}) for _ in range(chance.randint(1, 3))]
                assert len(client.initialize(image, wanted, {})[0]) == len(wanted)
                for _ in range(chance.randint(0, 3)):
                    frames += 1
                    assert len(client.frame(image, {}, [])[0]) == len(wanted)
        finally:
            server.close()
        assert server.process.exitcode == 0 and frames > 100
