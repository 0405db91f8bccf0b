"""The TraX process: `python -m tracker.trax_server`, started by the VOT toolkit.

One process loads the model once and serves any number of initializations, of one object or several. It loads
before it greets the client: the toolkit's timeout guards every answer, but not the greeting.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from tracker import signals
from tracker.errors import explained, hidden
from tracker.settings import OF_DMB, Settings, SettingsError, complaints, from_environment

if TYPE_CHECKING:
    from tracker.config import TrackerConfig
    from tracker.engine.engine import Engine
    from tracker.trax.session import Tracker

ABOUT = """\
This is the TraX process of the tracker DMB. The VOT toolkit starts it; started by hand it has nothing to do.

Register it in a trackers.ini that your workspace's config.yaml names under "registry":

    [DMB]
    label = DMB
    protocol = traxpython
    command = tracker.trax_server
    paths = <the directory that holds the package "tracker", relative to this file>
    env_DMB_DEVICE = auto

then run `vot test DMB` and `vot evaluate DMB`. To see whether it would start: python -m tracker.trax_server --check
Every setting is an environment variable (env_DMB_... in trackers.ini) or, by hand, an option; see --help.
"""
STARTED_BY_CLIENT = ("TRAX", "TRAX_SOCKET", "TRAX_IN", "TRAX_OUT")
FAILURE, USAGE = 1, 2  # exit codes
WARM_UP_SIZE = 128  # side of the crops that a CPU is warmed up with, pixels; for less oneDNN's kernels take longer


@dataclass(frozen=True)
class Model:
    """A loaded model: makes any number of trackers that share it."""

    create: Callable[[], Tracker]
    description: str


Load = Callable[[Settings], Model]


class Log:
    """Lines for the user: on standard error, which the toolkit collects, and in the file that is set."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._complained = False

    def write(self, text: str) -> None:
        """Write lines; a closed pipe or a full disk ends no session."""
        lines = "".join(f"DMB: {line}\n" for line in text.splitlines()).encode(errors="replace")
        with contextlib.suppress(OSError):
            os.write(2, lines)  # past sys.stderr, which would fail once more when the interpreter ends
        if self.path is not None:
            try:
                with self.path.open("ab") as file:
                    file.write(lines)
            except OSError as error:
                self._complain(f"DMB: warning: log file '{self.path}' cannot be written ({error.strerror or error})\n")

    def _complain(self, line: str) -> None:
        """Say on standard error, once, that the file gets nothing."""
        if not self._complained:
            self._complained = True
            with contextlib.suppress(OSError):
                os.write(2, line.encode(errors="replace"))


def load_dmb(settings: Settings) -> Model:
    """Load the weights, put the network on its device, and run every part of the tracker.

    Raises:
        WeightsError: no usable weights file.
        DeviceError: no such device.
    """
    import torch

    from tracker.api.loading import load_trackers
    from tracker.checkpoints.weights import find_weights

    create = load_trackers(settings)
    dmb = create()
    engine, weights = dmb.engine, find_weights(settings.weights, model=settings.model)
    warm_up(engine, dmb.config)
    precision = str(engine.dtype).removeprefix("torch.")
    threads = torch.get_num_threads()
    return Model(create, f"{weights}, {engine.device}, {precision}, {threads} threads")


def warm_up(engine: Engine, config: TrackerConfig) -> None:
    """Track a bright square for a few frames, so that no client's frame pays for set-up.

    A GPU gets kernels, and graphs where they are on, for the crops that follow, with and without masks, and for a full
    memory; only the graph that cuts crops is made for each size of frames, at the first one. A CPU gains nothing by
    that, and small crops run every part of the tracker in less time.
    """
    from tracker.tracking.tracker import DMB

    if engine.device.type == "cpu":
        sizes = {name: min(getattr(config.crop, name), WARM_UP_SIZE) for name in ("size", "segment_size", "box_size")}
        config = replace(config, crop=replace(config.crop, **sizes))
    frames = 2
    forms: tuple[bool, ...] = (True,)
    if engine.device.type != "cpu":
        config = replace(config, appearance=replace(config.appearance, sampling_interval=1))
        frames, forms = config.appearance.max_frames, (True, False)
    tracker = DMB(engine, config)
    frame = np.random.default_rng(0).integers(0, 128, (120, 160, 3)).astype(np.uint8)
    frame[40:80, 60:100] = 255
    for masks in forms:
        tracker.initialize(frame, (60.0, 40.0, 40.0, 40.0), masks=masks)
        for _ in range(frames):
            tracker.track(frame)


def sentence(error: Exception, log: Log) -> str:
    """What the user is told; for one that nobody can mend but us, the log gets the traceback too."""
    known = explained(error)
    if known is not None:
        return known
    log.write("".join(traceback.format_exception(error)))
    return f"unexpected {type(error).__name__}: {error}; the traceback is in the log, please report it"


def load_session(log: Log) -> ModuleType | None:
    """The module that speaks TraX; None where its library is missing or another one, which is told then."""
    try:
        from tracker.trax import session
    except (ImportError, AttributeError, OSError) as error:
        remedy = hidden() or "pip install 'dmb-tracker[vot]' (the package 'trax' is another)"
        log.write(f"error: no TraX library ({error}); {remedy}")
        return None
    return session


def serve(settings: Settings, load: Load, log: Log, failure: str | None = None) -> int:
    """Load the model, then serve the client that has started this process.

    Args:
        settings: all choices.
        load: makes the model; everything slow belongs there.
        log: receives a line at the start and one at the end, and every error.
        failure: why nothing can be served, where that is known already; the client is told.

    Returns:
        The exit code.
    """
    trax_session = load_session(log)
    if trax_session is None:
        return FAILURE
    model = None
    if failure is None:
        try:
            model = load(settings)
        except Exception as error:
            failure = sentence(error, log)
    log.write(f"ready: {model.description}" if model else f"error: {failure}")
    server, relay = trax_session.connect(multiobject=settings.multiobject)
    if model is None:
        trax_session.refuse(server, failure or "")
        return FAILURE
    session = trax_session.Session(server, relay, model.create, settings.answer, settings.range, log.write)
    reason = None
    try:
        session.run()
    except signals.Stopped as stop:
        reason = str(stop)
        raise
    except Exception as error:
        reason = session.where + sentence(error, log)
        log.write(f"error: {reason}")
        return FAILURE
    finally:
        log.write(session.summary())
        trax_session.say_goodbye(server, reason)
    return 0


def check(settings: Settings, load: Load, log: Log) -> int:
    """Load and warm up, say so, and end; returns the exit code."""
    if load_session(log) is None:
        return FAILURE
    start = time.perf_counter()
    try:
        model = load(settings)
    except Exception as error:
        log.write(f"error: {sentence(error, log)}")
        return FAILURE
    print(f"DMB starts: {model.description}; ready after {time.perf_counter() - start:.1f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tracker.trax_server",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="load the weights, track a little, report, exit")
    for variable in OF_DMB:
        parser.add_argument(variable.option, metavar="VALUE", help=variable.help.replace("%", "%%"))
    return parser


def main(
    arguments: Sequence[str] | None = None, *, load: Load = load_dmb, environ: Mapping[str, str] = os.environ
) -> int:
    """Run the process.

    Args:
        arguments: command-line options; default: the process's own.
        load: makes the model (tests put another tracker here).
        environ: holds the settings, and tells whether a TraX client has started the process.

    Returns:
        The exit code: 0 after an orderly end, 1 after an error, 2 where there is no client, 128 + n after
        signal n.
    """
    options = vars(_parser().parse_args(arguments))
    checking = options.pop("check")
    if not checking and not any(name in environ for name in STARTED_BY_CLIENT):
        print(ABOUT, end="")
        return USAGE
    log = Log()
    signals.install(signals.stop, (signal.SIGTERM, signal.SIGINT))
    try:
        failure, settings = None, Settings()
        try:
            settings = from_environment(environ, options)
        except SettingsError as error:
            failure = str(error)
        log.path = Path(settings.log) if settings.log else None
        for complaint in complaints(environ):
            log.write(f"warning: {complaint}")
        if not checking:
            return serve(settings, load, log, failure)
        if failure is None:
            return check(settings, load, log)
        log.write(f"error: {failure}")
        return FAILURE
    except signals.Stopped as stop:
        log.write(str(stop))
        return 128 + stop.number


if __name__ == "__main__":
    sys.exit(main())
