"""How long the TraX process takes to start, stage by stage, each time in a new process.

    python -m tracker.benchmarks.startup

is that process: it does what `tracker.trax_server` does before it greets the toolkit, then starts on a target and
tracks one frame, and prints what each stage took. Modules are imported when they are timed: nothing heavy stands above.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise

FRAME = (480, 640)  # height, width of the frame that is tracked, pixels


class StartupError(RuntimeError):
    """The process did not start; the message says why."""


@dataclass(frozen=True)
class Startup:
    """Seconds by stage, and what was held in the end.

    Attributes:
        imports: of torch, OpenCV, the tracker and TraX.
        load: weights read and verified, network built.
        prepare: the copy of the network that runs is made.
        warm_up: every part of the tracker has run once. Now the toolkit is greeted, and its timeout counts.
        initialise: on the first frame.
        track: of the second frame.
        processor: seconds of processor time of all stages, all threads together.
        memory: most that the process has held, MB.
    """

    imports: float
    load: float
    prepare: float
    warm_up: float
    initialise: float
    track: float
    processor: float
    memory: float

    @property
    def ready(self) -> float:
        """Seconds from the first import to the greeting."""
        return self.imports + self.load + self.prepare + self.warm_up

    def lines(self) -> list[str]:
        """The numbers as text."""
        return [
            f"start-up: import {self.imports:.1f} s, load {self.load:.1f} s, prepare {self.prepare:.1f} s, "
            f"warm-up {self.warm_up:.1f} s: ready after {self.ready:.1f} s",
            f"then: initialise {self.initialise:.2f} s, first frame {self.track:.2f} s",
            f"processor time of all this {self.processor:.1f} s; most memory held {self.memory:.0f} MB",
        ]


def measure_startup(environ: Mapping[str, str], repetitions: int) -> Startup:
    """Start the process several times, with the settings of an environment; medians.

    Raises:
        StartupError: it failed; its last line is the reason.
    """
    found = []
    for _ in range(repetitions):
        words = [sys.executable, "-m", "tracker.benchmarks.startup"]
        done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason was given").splitlines()[-1]
            raise StartupError(f"the tracker does not start: {reason}")
        found.append(json.loads(done.stdout))
    names = [field.name for field in fields(Startup)]
    return Startup(**{name: statistics.median(times[name] for times in found) for name in names})


def _start(environ: Mapping[str, str]) -> Startup:
    """Do it all in this process.

    Raises:
        SettingsError, WeightsError, DeviceError: the environment's settings cannot be used.
    """
    stamps = [time.perf_counter()]
    import numpy as np

    import tracker.trax_session  # noqa: F401 (the server needs it)
    from tracker.assembly import build_config, build_engine
    from tracker.settings import from_environment
    from tracker.tracker import DMB
    from tracker.trax_server import warm_up

    stamps.append(time.perf_counter())
    settings = from_environment(environ)
    engine, _ = build_engine(settings)
    stamps.append(time.perf_counter())
    engine.network  # noqa: B018 (made when it is asked for)
    stamps.append(time.perf_counter())
    warm_up(engine, build_config(settings, engine))
    stamps.append(time.perf_counter())
    frame = np.random.default_rng(0).integers(0, 128, (*FRAME, 3)).astype(np.uint8)
    frame[200:280, 280:360] = 255
    dmb = DMB(engine, build_config(settings, engine))
    dmb.initialize(frame, (280.0, 200.0, 80.0, 80.0))
    stamps.append(time.perf_counter())
    dmb.track(frame)
    stamps.append(time.perf_counter())
    processor = time.process_time()
    from tracker.benchmarks.speed import peak_memory

    imports, load, prepare, warm, initialise, track = (after - before for before, after in pairwise(stamps))
    memory = peak_memory(engine.device)["host"]
    return Startup(imports, load, prepare, warm, initialise, track, processor, memory)


def _main() -> int:
    try:
        found = _start(os.environ)
    except Exception as error:
        if not type(error).__module__.startswith("tracker."):
            raise
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
