"""`dmb evaluate`: the VOT toolkit's evaluation in several processes at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracker.cli.cluster import add_place, place_of
from tracker.cli.ending import FAILURE, command, complain
from tracker.cli.parsing import Parser

PROG = "dmb evaluate"
DESCRIPTION = """\
Evaluate trackers in a workspace of the VOT toolkit, several sequences at once.

`vot evaluate` works on one core. This command runs it in N processes, or on the workers of a Dask cluster, each on
sequences that no other has, and merges the results: the workspace ends as after `vot evaluate`, except for the times
(*_time.value) and logs. Experiments of all types are run. Finished trajectories, also those of an earlier `vot
evaluate`, are kept and not computed again; Ctrl-C keeps what is finished, and the same command continues. A sequence on
which a tracker fails is reported, and the others go on. Like the toolkit, the command does not know with which settings
a result was made: name another workspace for other weights or DMB_... settings.

DMB uses cores / N threads in each process, and one on a cluster, unless DMB_THREADS is set. Another number of threads
may change the last digits of its answers; to repeat a serial evaluation exactly, set DMB_THREADS to the same number for
both.

Experiments in real time measure how long a frame takes, and several processes would slow each other down: they run
last, in one process with all cores, whatever N is; on a cluster one at a time on every machine. Let nothing else run
there meanwhile.

afterward: dmb vot analysis --workspace DIR --format html TRACKER ...
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("trackers", nargs="+", metavar="TRACKER", help="names of trackers, or name@version")
    parser.add_argument(
        "--workspace", type=Path, default=Path(), metavar="DIR", help="the workspace (default: the current folder)"
    )
    parser.add_argument(
        "--registry",
        type=Path,
        metavar="FILE",
        help="trackers.ini (or a folder with one) besides those that the workspace names",
    )
    parser.add_argument("--experiments", metavar="NAME,...", help="which of the stack's to run (default: all)")
    add_place(parser, "evaluate")
    return parser  # fmt: skip


@command(PROG)
def main(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> int:
    """Evaluate; `environ` is the environment of the toolkit and the trackers."""
    parser = _parser()
    options = parser.parse_args(arguments)
    place = place_of(parser, options)
    from tracker.cluster.tasks import Place, threads_per_task
    from tracker.signals import StopFlag
    from vot_workspace.layout import read_workspace
    from vot_workspace.parallel import evaluate_workspace, rounds
    from vot_workspace.writer import WorkspaceError

    interruption = StopFlag()
    if options.registry is not None and not options.registry.exists():
        raise WorkspaceError(f"--registry is '{options.registry}', which does not exist; name a trackers.ini")
    layout = read_workspace(options.workspace)
    failed = False
    for names, timed in rounds(layout, options.experiments and options.experiments.split(","), place):
        shared = Place() if timed and place.cluster is None else place
        threads = threads_per_task(shared, environ)
        told = "" if threads is None else f", DMB_THREADS={threads} in each"
        where = f"on '{place.cluster}'" if place.cluster else f"{shared.workers} process{'es' * (shared.workers > 1)}"
        alone = f"; {', '.join(names)} is timed, hence on its own" if timed else ""
        print(f"{len(layout.sequences)} sequences, {where}{told}{alone}", flush=True)
        with interruption.watching():
            outcome = evaluate_workspace(
                layout,
                options.trackers,
                shared,
                registry=options.registry,
                experiments=names,
                timed=timed,
                environ=environ if threads is None else {**environ, "DMB_THREADS": str(threads)},
                say=lambda line: print(line, flush=True),
                interrupted=interruption,
            )
        for label, reason in outcome.failures.items():
            complain(PROG, f"{label}: {reason}")
        failed = failed or bool(outcome.failures)
        if outcome.interrupted is not None:
            break
    if failed:
        print("The results of the others are kept; the same command tries these again.", file=sys.stderr)
    if outcome.interrupted is not None:
        count = f"{outcome.finished} of {outcome.tasks}"
        print(f"{PROG}: interrupted: {count} are finished; the same command continues", file=sys.stderr)
        return 128 + outcome.interrupted
    return FAILURE if failed else 0
