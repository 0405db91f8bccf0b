"""One TraX connection: requests in, states out, and an orderly end whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast, get_args

import trax  # type: ignore[import-untyped]

from tracker.data.images import Levels, Range
from tracker.errors import UserError
from tracker.settings import Answer, SettingsError
from tracker.trax.convert import (
    Image,
    Kind,
    Result,
    confidence_text,
    image_name,
    image_source,
    read_image,
    read_region,
    write_region,
)
from tracker.trax.relay import Relay

ANSWER_PROPERTY = "answer"  # arg_answer in trackers.ini: the kind of region wanted, per initialization

State = tuple[trax.Region, dict[str, str]]


class Tracker(Protocol):
    """What is served, see `tracker.tracking.tracker.DMB`."""

    def initialize(self, image: Image, region: object, *, masks: bool = True) -> Result:
        """Start on a target; `masks` says that masks are wanted, not boxes or polygons."""

    def track(self, image: Image) -> Result:
        """Find it in the next frame."""


class SessionError(UserError):
    """The session cannot go on; the message is the one sentence that the user gets."""


@dataclass
class Target:
    """One object: its tracker, and the kind of region that is answered."""

    tracker: Tracker
    kind: Kind


@dataclass
class Session:
    """Serves one client, request by request.

    Attributes:
        server: the connection.
        relay: through which it runs.
        create: makes one more tracker; all share one model.
        answer: wanted kind of region, "auto" for the kind of the initialization.
        value_range: the values of frames with more than 8 bits that become black and white; None for those of the
            frame of each initialization, see `tracker.data.images.Levels`.
        note: takes a sentence about such frames.
        initializations: of an object, so far.
        frames: tracked, so far; each counts once, however many objects it has.
        seconds: spent in trackers.
        where: what is being worked on, as the beginning of an error message.
    """

    server: trax.Server
    relay: Relay
    create: Callable[[], Tracker]
    answer: Answer = "auto"
    value_range: Range | None = None
    note: Callable[[str], None] = lambda sentence: None
    initializations: int = 0
    frames: int = 0
    seconds: float = 0.0
    where: str = ""
    _targets: list[Target] = field(default_factory=list)
    _levels: Levels = field(default_factory=Levels)
    _pool: list[Tracker] = field(default_factory=list)  # costly to make; they can be initialized again

    def run(self) -> None:
        """Serve until the client quits or goes away.

        Raises:
            SessionError: bad request.
            FrameError: bad image.
            Exception: whatever the tracker raises, first of all for a bad region; see `where`.
        """
        while True:
            self.where = ""
            try:
                request = self.server.wait()
            except trax.TraxException as error:
                if client_is_gone():
                    return
                raise SessionError(
                    f"the client's request is not understood ({error}); send rectangles, polygons or masks, "
                    "and images as path, memory (rgb, gray8, gray16) or buffer (JPEG, PNG)"
                ) from error
            if request.type == trax.TraxStatus.QUIT:
                return
            states = self._serve(request)
            try:
                self.server.status(states)
            except trax.TraxException as error:
                raise SessionError(f"the answer could not be sent ({error})") from error

    def summary(self) -> str:
        """One line: what this process has done."""
        text = f"{_count(self.initializations, 'initialization')}, {_count(self.frames, 'frame')} tracked"
        if self.frames and self.seconds:
            text += f", {self.frames / self.seconds:.1f} frames per second"
        return text

    def _serve(self, request: trax.server.Request) -> list[State]:
        picture = request.image.get(trax.ImageChannel.COLOR)
        if picture is None:
            raise SessionError("the request holds no color image; this tracker needs the channel 'color'")
        ticket = self.relay.take(picture.path()) if isinstance(picture, trax.FileImage) else None
        source = image_source(picture) if ticket is None else ticket
        pixels = read_image(source)
        start = time.perf_counter()
        if request.type == trax.TraxStatus.INITIALIZE:
            self._targets = []
            self._levels = Levels(self.value_range, self.note, option="DMB_RANGE=LOW,HIGH")
        elif not self._targets:
            raise SessionError("a frame came before any initialization; initialize first")
        image = self._levels(pixels)
        self.where = f"{image_name(source)}: "
        results = [target.tracker.track(image) for target in self._targets]
        self.frames += bool(results)
        for region, _ in request.objects or []:  # further objects may come with any frame
            results.append(self._initialize(image, region, request.properties.dict()))
        self.seconds += time.perf_counter() - start
        return self._states(results, image.shape[:2])

    def _initialize(self, image: Image, region: trax.Region, properties: Mapping[str, str]) -> Result:
        given, value = read_region(region, image.shape[:2])
        answer = properties.get(ANSWER_PROPERTY, self.answer)
        if answer not in get_args(Answer):
            raise SettingsError(f"arg_answer is '{answer}'; it must be {' or '.join(get_args(Answer))}")
        kind = given if answer == "auto" else cast(Kind, answer)
        if len(self._pool) == len(self._targets):
            self._pool.append(self.create())
        target = Target(self._pool[len(self._targets)], kind)
        result = target.tracker.initialize(image, value, masks=kind == "mask")
        self._targets.append(target)
        self.initializations += 1
        return result

    def _states(self, results: Sequence[Result], shape: tuple[int, int]) -> list[State]:
        return [
            (write_region(result, target.kind, shape), {"confidence": confidence_text(result)})
            for result, target in zip(results, self._targets, strict=True)
        ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def connect(*, multiobject: bool) -> tuple[trax.Server, Relay]:
    """Greet the client that has started this process."""
    relay = Relay()
    relay.start()
    server = trax.Server(
        [trax.Region.RECTANGLE, trax.Region.POLYGON, trax.Region.MASK],
        [trax.Image.PATH, trax.Image.MEMORY, trax.Image.BUFFER],
        [trax.ImageChannel.COLOR],
        tracker_name="DMB",
        tracker_description="Segmentation with a spatio-appearance memory network",
        tracker_family="DMB",
        multiobject=multiobject,
    )
    return server, relay


def client_is_gone() -> bool:
    """Whether the request stream has ended; libtrax reports that and malformed messages alike."""
    if "TRAX_SOCKET" in os.environ:
        return True  # the socket is hidden inside libtrax
    try:
        descriptor = int(os.environ.get("TRAX_IN", "0"))
        readable, _, _ = select.select([descriptor], [], [], 0)
        return bool(readable) and os.read(descriptor, 1) == b""
    except (OSError, ValueError):
        return True


def say_goodbye(server: trax.Server, reason: str | None = None) -> None:
    """End the session; the protocol loses a reason that is not ASCII, or ends it at a control character."""
    text = re.sub(r"[\0-\x1f\x7f]", " ", reason.encode("ascii", "backslashreplace").decode()) if reason else None
    with contextlib.suppress(trax.TraxException, OSError):  # where the client is gone, nobody waits for it
        server.quit(text)


def refuse(server: trax.Server, reason: str) -> None:
    """Answer the first request with the reason why there will be no tracking.

    Without a greeting the toolkit would only report "unable to connect to tracker".
    """
    with contextlib.suppress(trax.TraxException):
        server.wait()
    say_goodbye(server, reason)
