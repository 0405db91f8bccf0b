"""`dmb track`: a mask around one thing, or several, in a video of one's own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.api.loading import load_trackers
from tracker.cli.ending import FAILURE, command, complain, explained, warn_of_settings
from tracker.cli.track_options import PROG, track_options
from tracker.cli.track_options import track_parser as _parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.media.frames import Frame, Source
    from tracker.media.outputs import Outputs
    from tracker.media.progress import Progress
    from tracker.media.realtime import Clock, Pace
    from tracker.media.schedule import Plan
    from tracker.media.truth import Truth
    from tracker.settings import Settings
    from tracker.signals import Interruption
    from tracker.tracking.result import Result
    from tracker.tracking.tracker import DMB

    Load = Callable[[Settings], Callable[[], DMB]]


class Run:
    """One run of the command.

    Args:
        options: of the command line.
        settings: of the tracker.
        load: makes what makes trackers.
        progress: is told every frame, and all warnings.
        interruption: is entered.
        pace: when frames come, and their answers.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        settings: Settings,
        load: Load,
        progress: Progress,
        interruption: Interruption,
        pace: Pace,
    ) -> None:
        self.options, self.settings, self.load = options, settings, load
        self.progress, self.interruption, self.pace = progress, interruption, pace
        self.outputs: Outputs | None = None
        self.whole = False  # tracked to the source's end

    def track(self) -> None:
        """Track, and write; what was written is complete, however this ends.

        Raises:
            SourceError, RegionError, OutputError, EncoderError, WeightsError, DeviceError, FeaturesError, OSError: see
                their message.
            Interrupted: a signal came.
        """
        from tracker.media.backwards import Backwards
        from tracker.media.frames import Selection, SourceError
        from tracker.media.outputs import check_folder, check_kinds
        from tracker.media.schedule import Objects, numbers_of
        from tracker.media.sources import open_source
        from tracker.media.truth import Truth

        options = self.options
        check_kinds(options.kinds)
        selection = Selection(options.start, options.stop, options.step)
        with ExitStack() as opened:
            with self._waiting():
                source = opened.enter_context(
                    open_source(
                        options.source,
                        rate=options.fps,
                        warn=self.progress.warn,
                        note=self.progress.note,
                        value_range=self.settings.range,
                        number=options.stream,
                    )
                )
            if options.realtime and source.camera:
                raise SourceError("--realtime is for videos and streams; a camera drops frames by itself, leave it out")
            folder = options.output or Path(f"{source.name}_tracked")
            masks = [given.value for given in options.given if isinstance(given.value, Path)]
            truth = None if options.truth is None else Truth(options.truth, selection, self.progress.note)
            masks += [] if truth is None else [truth.folder]
            check_folder(folder, overwrite=options.overwrite, source=options.source, masks=masks)
            frames = selection.of(source)
            with self._waiting():
                first = next(frames)
            plan = self._plan(first)
            if truth is not None:
                with self.progress.waiting(f"reading the masks in '{truth.folder}' ..."):
                    truth.check(first, numbers_of(plan))
            masks_wanted = options.kinds != ["boxes"]
            create = self.load(self.settings)
            objects = Objects(plan, create, source.where, masks=masks_wanted)
            answer: Callable[[Frame], Mapping[int, Result]] = objects.answer
            frames = chain([first], frames)
            if options.backwards:
                back = Backwards(plan, create, masks=masks_wanted, waiting=self.progress.waiting)
                opened.enter_context(back.spool)
                frames = back.track(frames)
                answer = back.around(answer)
            self.progress.start(selection.count(source.length))
            self.pace.start(first)
            answers = answer(next(frames))
            with self._writing(folder, first, source, objects.numbers, truth) as outputs:
                self._write(outputs, first, answers)
                for frame in self.pace.frames(frames, options.step / source.rate, plan):
                    answers = answer(frame)
                    self.pace.answered()
                    self._write(outputs, frame, answers)
                self.whole = not selection.ends(objects.last, source.length)
                objects.finish()

    def _plan(self, first: Frame) -> Plan:
        from tracker.media.schedule import make_plan
        from tracker.media.targets import draw_box, make_targets

        given = self.options.given or [draw_box(first.image)]
        shape = (first.image.shape[0], first.image.shape[1])
        return make_plan(make_targets(given, shape, self.progress.note), self.options.start)

    def _waiting(self) -> AbstractContextManager[None]:
        """Around what may have to wait for the first frame."""
        source, start = self.options.source, self.options.start
        where = "standard input" if source == "-" else f"'{source}'"
        return self.progress.waiting(f"waiting for frame {start} of {where} ... (Ctrl-C ends it)")

    @contextmanager
    def _writing(
        self, folder: Path, first: Frame, source: Source, object_ids: Sequence[int], truth: Truth | None
    ) -> Iterator[Outputs]:
        """The output files, completed in the end."""
        from tracker.media.outputs import Outputs

        size, step = (first.image.shape[1], first.image.shape[0]), self.options.step
        try:
            with self.interruption.held():
                self.outputs = Outputs(
                    folder, self.options.kinds,
                    size=size, rate=source.rate / step, object_ids=object_ids, step=step, title=source.name,
                    truth=truth, aspect=first.aspect,
                )  # fmt: skip
            yield self.outputs
        finally:
            with self.interruption.held():
                try:
                    if self.outputs is not None:
                        self.outputs.close(whole=self.whole)
                        self.outputs.summarize(self._speed())
                finally:
                    self.progress.close()
                    if truth is not None and self.outputs is not None and self.outputs.count and not truth.matched:
                        self.progress.warn(truth.unmatched())

    def _write(self, outputs: Outputs, frame: Frame, answers: Mapping[int, Result]) -> None:
        with self.interruption.held():
            outputs.add(frame, answers)
            self.progress.step()

    def _speed(self) -> dict[str, object]:
        """How much was tracked, and how fast."""
        count, seconds = 0 if self.outputs is None else self.outputs.count, max(self.progress.seconds, 1e-9)
        facts = {"frames": count, "seconds": round(seconds, 3), "fps": round(count / seconds, 3)}
        live = {"dropped": self.pace.dropped} if self.pace.live else {}
        return {**facts, **live, "latency_ms": self.pace.latency()}

    def summary(self) -> str:
        """What was written where, how much, and how fast."""
        if self.outputs is None or not self.outputs.count:
            return "nothing was written"
        count, seconds = self.outputs.count, self.progress.seconds
        speed = f"{count} frame{'s' if count > 1 else ''} in {seconds:.1f} s, {count / max(seconds, 1e-9):.2f} fps"
        if self.pace.live:
            speed += f", {self.pace.dropped} dropped"
        if latency := self.pace.latency():
            speed += f", latency p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms"
        return f"{speed}; written to '{self.outputs.folder}': {', '.join(self.outputs.files)}"


def _attempt(run: Run) -> int:
    """Track, and say how it ended; returns the exit code."""
    try:
        run.track()
    except Exception as error:
        reason = explained(error)
        if reason is None:
            raise
    else:
        print(run.summary(), flush=True)
        return 0
    complain(PROG, reason)
    if run.outputs is not None:
        print(run.summary(), flush=True)
    return FAILURE


def weights_of(settings: Settings, load: Load) -> str | None:
    """The weights file that `settings` ask for, which every worker must have; None for trackers without one."""
    if load is not load_trackers:
        return settings.weights
    from tracker.checkpoints.weights import find_weights

    return str(find_weights(settings.weights, model=settings.model).absolute())


@command(PROG)
def main(
    arguments: Sequence[str],
    *,
    load: Load = load_trackers,
    environ: Mapping[str, str] = os.environ,
    clock: Clock | None = None,
) -> int:
    """Track; `load` makes what makes trackers, and `clock` is what frames come by (default: the real one)."""
    parser = _parser()
    options, chosen = track_options(parser, arguments)
    from tracker.media.progress import Progress
    from tracker.media.realtime import Clock, Pace
    from tracker.settings import complaints, from_environment
    from tracker.signals import Interruption, Stopped

    settings = from_environment(environ, chosen)
    if options.rows is not None:
        from tracker.cli.track_many import track_many

        warn_of_settings(PROG, environ)
        failed = track_many(
            options.rows, options, settings, load, parser, environ, lambda line: print(line, flush=True)
        )
        return FAILURE if failed else 0
    progress, run = Progress(prog=PROG), None
    for complaint in complaints(environ):
        progress.warn(complaint)
    try:
        with Interruption() as interruption:
            pace = Pace(clock or Clock(), live=options.realtime)
            run = Run(options, settings, load, progress, interruption, pace)
            return _attempt(run)
    except Stopped as stop:
        print(f"{PROG}: {stop}: {run.summary() if run else 'nothing was written'}", file=sys.stderr)
        return 128 + stop.number
