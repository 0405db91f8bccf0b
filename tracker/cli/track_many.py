"""`dmb track` on many videos: a folder, a pattern, or a manifest; each is a task of `tracker.cluster`."""

from __future__ import annotations

import argparse
import copy
import csv
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tracker.errors import UserError, explained
from tracker.media.manifest import ManifestError, Row

if TYPE_CHECKING:
    from tracker.cli.track import Load
    from tracker.cluster.tasks import Context, Done, Task
    from tracker.settings import Settings

SUMMARY = "summary.csv"
OWN = ("given", "start", "stop", "step", "fps")  # what the prompts of a row may set
TELL = 25  # frames between two words of a worker


@dataclass(frozen=True)
class Item:
    """What a worker tracks; `options` are those of the command line, with this video's source and regions."""

    options: argparse.Namespace
    settings: Settings
    load: Load
    folder: Path


@dataclass(frozen=True)
class Tracked:
    """What a worker has made: files by their names below the folder, and how it went."""

    files: dict[str, bytes]
    frames: int
    seconds: float
    lines: list[str]


def options_of(row: Row, shared: argparse.Namespace, manifest: str, parser: argparse.ArgumentParser) -> Any:
    """The options of one video.

    Args:
        row: the video.
        shared: options of the command line, for all.
        manifest: for messages.
        parser: of the command.

    Raises:
        ManifestError: its prompts are not understood, or there are none.
    """
    from tracker.cli.track_options import joined
    from tracker.media.frames import Selection
    from tracker.media.schedule import ScheduleError, placed
    from tracker.media.sources import MAGIC

    where = f"'{manifest}', line {row.line}" if row.line else f"'{row.source}'"

    def refuse(message: str) -> NoReturn:
        raise ManifestError(f"{where}: {message.removeprefix('argument ')}")

    options = copy.copy(shared)
    options.source = row.source
    if Path(row.source).exists() or any(character in row.source for character in MAGIC):
        # a worker's current folder is another one
        options.source = os.path.abspath(row.source)
    if row.words:
        parser.error = refuse  # type: ignore[method-assign]
        own, plain = parser.parse_args(joined([row.source, *row.words])), parser.parse_args([row.source])
        for name, value in vars(own).items():
            if value != getattr(plain, name):
                if name not in OWN:
                    refuse(f"prompts cannot set --{name.replace('_', '-')}; give it to the command, for all videos")
                setattr(options, name, value)
        if options.stop is not None and options.stop <= options.start:
            refuse(f"--stop is {options.stop} and --start {options.start}; stop after the start")
        if own.given:
            try:
                options.given = placed(own.given, Selection(options.start, options.stop, options.step))
            except ScheduleError as error:
                refuse(str(error))
    options.given = [
        replace(one, value=one.value.absolute()) if isinstance(one.value, Path) else one for one in options.given
    ]
    if not options.given:
        refuse("nothing says where the object is; give --box, --polygon or --mask, for all videos or in its prompts")
    return options


class _Reports:
    """In place of `tracker.media.progress.Progress`, on a worker: counts, and says that there is something to do."""

    def __init__(self, context: Context) -> None:
        from tracker.media.progress import Progress

        self.context, self.lines = context, list[str]()
        self.progress = Progress(io.StringIO())

    def step(self) -> None:
        from tracker.cluster.tasks import TaskCancelledError

        self.progress.step()
        if self.progress.done % TELL == 0:
            self.context.tell(self.progress.done)
        if self.context.cancelled():
            raise TaskCancelledError

    def warn(self, sentence: str) -> None:
        self.lines.append(sentence)

    note = warn

    def waiting(self, sentence: str) -> AbstractContextManager[None]:
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.progress, name)


class _Uninterrupted:
    """In place of `tracker.signals.Interruption`: a worker is not interrupted, it asks."""

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()


def track_item(item: Item, context: Context) -> Tracked:
    """Track one video on a worker.

    Raises:
        UserError: what the user can mend.
        TaskCancelledError: the result is wanted no more.
    """
    from tracker.cli.track import Run
    from tracker.cluster.tasks import kept_tracker
    from tracker.media.realtime import Clock, Pace

    options, folder = copy.copy(item.options), context.scratch / "results"
    options.given = [
        replace(one, value=context.local(one.value)) if isinstance(one.value, Path) else one for one in options.given
    ]
    if Path(options.source).exists() or Path(options.source).is_absolute():
        options.source = str(context.local(Path(options.source)))
    options.output, reports = folder, _Reports(context)
    run = Run(options, item.settings, lambda settings: kept_tracker(item.load, settings, context),
              reports, _Uninterrupted(), Pace(Clock(), live=options.realtime))  # type: ignore[arg-type]  # fmt: skip
    try:
        run.track()
    except Exception as error:
        reason = explained(error)
        if reason is None or (isinstance(error, OSError) and not isinstance(error, UserError) and error.errno):
            raise  # a defect, or this machine's disk: it is tried again
        raise UserError(reason) from error
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return Tracked(files, run.progress.done, run.progress.seconds, reports.lines)


def _publish(tracked: Tracked, folder: Path, key: str) -> None:
    """The results appear under their name only when all of them are there."""
    from tracker.files import UMASK, replace_file
    from tracker.media.outputs import TASK, remove_old

    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:40]}."))
    try:
        draft.chmod(0o777 & ~UMASK)
        for name, content in tracked.files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(content)
        (draft / TASK).write_text(json.dumps({"key": key, "frames": tracked.frames}) + "\n")
        if folder.is_dir() and any(folder.iterdir()):  # --overwrite: what is not ours stays
            remove_old(folder)
            for path in (*map(draft.joinpath, tracked.files), draft / TASK):  # that last: it says that all are there
                (folder / path.relative_to(draft)).parent.mkdir(exist_ok=True)
                replace_file(folder / path.relative_to(draft), path.read_bytes())
        else:
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _finished(folder: Path, key: str, *, overwrite: bool) -> int | None:
    """Frames of a video whose results are there; None if it is to be tracked.

    Raises:
        UserError: the folder holds something else.
    """
    from tracker.media.outputs import TASK

    try:
        found = json.loads((folder / TASK).read_text(encoding="utf-8"))
        if found["key"] == key:
            return int(found["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if folder.exists() and not overwrite and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"'{folder}' holds other files, or results of another video, prompts, weights, settings or version; name "
            "another folder with --output, or replace with --overwrite"
        )
    return None


def _masks(options: argparse.Namespace) -> list[Path]:
    return [one.value for one in options.given if isinstance(one.value, Path)]


def _task(item: Item, row: Row) -> Task:
    """The task of a video; raises UserError where an input cannot be read."""
    from tracker import __version__
    from tracker.cluster.tasks import Input, Task, content_key, file_digest, fingerprint, weights_input

    options = item.options
    paths = [path for path in (Path(options.source), *_masks(options)) if path.exists()]  # others: when they are read
    inputs = [Input(path, fingerprint(path) if path.is_dir() else file_digest(path)) for path in paths]
    inputs += weights_input(item.settings.weights)
    plain = {**asdict(item.settings), "weights": None, "threads": None}
    regions = [(one.kind, str(one.value), one.frame, one.object_id) for one in options.given]
    names = ("kinds", "start", "stop", "step", "fps", "stream", "backwards", "realtime")
    what = [getattr(options, name) for name in names]
    source = Path(options.source).name if Path(options.source).exists() else options.source
    key = content_key(__version__, source, [one.digest for one in inputs], regions, what, plain)
    cost = inputs[0].path.stat().st_size if inputs and inputs[0].path.is_file() else 1
    return Task(row.output, key, track_item, item, max(cost, 1), tuple(inputs), item.settings.device != "cpu")


def track_many(
    rows: Sequence[Row],
    options: argparse.Namespace,
    settings: Settings,
    load: Load,
    parser: argparse.ArgumentParser,
    environ: Mapping[str, str],
    say: Callable[[str], None],
) -> int:
    """Track all videos; returns how many have failed.

    Args:
        rows: the videos.
        options: of the command line, with the videos' source.
        settings: of the tracker.
        load: makes what makes trackers; for several processes, a function of a module.
        parser: of the command.
        environ: holds the user's choice of threads.
        say: takes a line.

    Raises:
        ManifestError: a video's prompts are not understood; nothing has been tracked then.
        WeightsError: no weights.
        ClusterError: the cluster cannot be used.
    """
    from tracker.cli.track import weights_of
    from tracker.cluster.engine import run_tasks
    from tracker.cluster.progress import Count, duration
    from tracker.cluster.tasks import threads_per_task
    from tracker.media.outputs import check_folder, check_kinds

    check_kinds(options.kinds)
    root = options.output or Path(f"{re.sub(r'[*?[]|]', '', Path(options.source).stem) or 'videos'}_tracked")
    settings = replace(settings, weights=weights_of(settings, load))
    if not options.place.alone:
        settings = replace(settings, threads=settings.threads or threads_per_task(options.place, environ))
    table: dict[str, dict[str, Any]] = {}
    tasks: list[Task] = []
    for row in rows:
        own, folder = options_of(row, options, options.source, parser), root / row.output
        own.output = None
        item = Item(own, settings, load, folder)
        table[row.output] = {"source": row.source, "output": str(folder), "frames": 0, "seconds": 0.0, "result": ""}
        try:
            task = _task(item, row)
            frames = _finished(folder, task.key, overwrite=options.overwrite)
            if frames is None:
                check_folder(folder, overwrite=True, source=own.source, masks=_masks(own))
        except (UserError, OSError) as error:
            table[row.output]["result"] = str(error)
            continue
        if frames is None:
            tasks.append(task)
        else:
            table[row.output] |= {"frames": frames, "result": "finished already"}
    ready = sum(row["result"] == "finished already" for row in table.values())
    if ready:
        say(f"{ready} of {len(rows)} videos are finished already")

    def close(done: Done, count: Count) -> None:
        row, tracked = table[done.task.label], done.value
        if tracked is None:
            row["result"] = done.reason
            say(f"{done.task.label}: FAILED: {done.reason}; {count.step(done)}")
            return
        _publish(tracked, done.task.argument.folder, done.task.key)
        row |= {"frames": tracked.frames, "seconds": round(tracked.seconds, 1), "result": "done"}
        for line in tracked.lines:
            count.say(f"{done.task.label}: {line}")
        count.say(f"{done.task.label}: {tracked.frames} frames in {duration(tracked.seconds)}; {count.step(done)}")

    unique = {task.key: task for task in reversed(tasks)}
    for task in tasks:  # the same video with the same prompts twice: once is enough
        if unique[task.key] is not task:
            table[task.label]["result"] = f"the same as '{unique[task.key].label}'"
    try:
        with (
            Count(list(unique.values()), say, ready) as count,
            closing(run_tasks(list(unique.values()), options.place, say=say)) as running,
        ):
            for done in running:
                close(done, count)
    finally:
        _write_table(list(table.values()), root, say)
    return sum(row["result"] not in ("done", "finished already") for row in table.values())


def _write_table(rows: list[dict[str, Any]], root: Path, say: Callable[[str], None]) -> None:
    """Say how every video went, and write it as CSV."""
    from tracker.files import replace_file

    width = max(len(str(row["source"])) for row in rows)
    say(f"{'source':{width}s}  frames     fps  result")
    for row in rows:
        speed = f"{row['frames'] / row['seconds']:7.2f}" if row["seconds"] else "      -"
        say(f"{row['source']:{width}s}  {row['frames']:6d} {speed}  {row['result'] or 'not tracked'}")
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    root.mkdir(parents=True, exist_ok=True)
    replace_file(root / SUMMARY, written.getvalue())
