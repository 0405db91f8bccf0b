"""`dmb ablate`: the paper's ablation study by one command, on sequences in the VOT format."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.benchmarks.ablation import Row
    from tracker.settings import Settings
    from tracker.tracker import DMB

DESCRIPTION = """\
The rows of the paper's Table VIII and the curve of its Fig. 14, measured with your weights.

Every row is a reset-based evaluation by the VOT toolkit (vot_workspace/stacks/dev.yaml): expected average overlap,
accuracy, failures. With --masks each row is also tracked on sequences with masks, from the first box: J&F. Results are
written to the output folder after every row (ablation.md, ablation.csv, ablation.png), and the same command goes on
where it was interrupted. Two rows need weights of their own, see --concat-weights and --response-weights; without them
they stay empty.

Other settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""
FAILURE = 1  # exit code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dmb ablate", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vot", type=Path, required=True, metavar="DIR",
                        help="workspace, folder or tar file of sequences in the VOT format")
    parser.add_argument("--vot-sequences", nargs="+", metavar="NAME", help="of them, those to use (default: all)")
    parser.add_argument("--masks", type=Path, metavar="SOURCE", help="folder or tar file of sequences with masks")
    parser.add_argument("--sequences", nargs="+", metavar="NAME", help="of them, those to track (default: all)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these rows (default: all; --list names them)")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--weights", metavar="FILE", help="weights file (default: DMB_WEIGHTS, or the project's own)")
    parser.add_argument("--concat-weights", metavar="FILE", help='weights trained with position = "concat"')
    parser.add_argument("--response-weights", metavar="FILE", help='weights trained with spatial_map = "response"')
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="evaluate in N processes (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("ablation"), metavar="DIR",
                        help="folder of the results (default: ablation)")
    return parser  # fmt: skip


def _say(line: str) -> None:
    print(line, flush=True)


def _write(path: Path, text: str) -> None:
    """Write a file in one go, so that an interruption leaves the old one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


class Study:
    """One run of the study: what is measured already, and how the rest is.

    Args:
        options: of the command line.
        environ: holds the settings.
        load: makes a tracker.

    Raises:
        SettingsError, WeightsError, DatasetError, SequenceError, AblationError, OSError: see their messages.
    """

    def __init__(
        self, options: argparse.Namespace, environ: Mapping[str, str], load: Callable[[Settings], DMB]
    ) -> None:
        from tracker.benchmarks.ablation import choose_rows
        from tracker.benchmarks.sequences import choose, open_sequences
        from tracker.benchmarks.validation import conditions
        from tracker.cli.validate import tracker_settings
        from tracker.settings import from_environment
        from tracker.weights import find_weights, read_weights
        from vot_workspace.dataset import choose as choose_vot

        self.options, self.load = options, load
        self.rows = choose_rows(options.rows)
        self.settings = tracker_settings(environ)
        self.names = choose_vot(options.vot, options.vot_sequences)
        if options.masks is not None:
            with open_sequences(options.masks) as sequences:
                choose(sequences, options.sequences, options.masks)
        files = {None: options.weights, "concat": options.concat_weights, "response": options.response_weights}
        self.weights = {kind: find_weights(file) for kind, file in files.items() if file or kind is None}
        self.checksums = {kind: read_weights(path)[1]["checksum"] for kind, path in self.weights.items()}
        facts = conditions(from_environment(environ, {"weights": options.weights}), self.weights[None],
                           self.checksums[None])  # fmt: skip
        self.conditions = [
            f"{facts['date']}; {facts['processor']}, {facts['device']}, {facts['precision']}, torch {facts['torch']}",
            f"weights {self.weights[None].name}, checksum {self.checksums[None][:12]}",
            f"settings: {' '.join(f'{k}={v}' for k, v in self.settings.items()) or 'default'}",
            f"reset-based, dev.yaml, one repetition, {len(self.names)} sequences of {options.vot.name}: "
            + ", ".join(self.names),
        ]
        self.scores: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Measure what is missing, and write the results after every row."""
        self.options.output.mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(self.rows, 1):
            where = f"row {number} of {len(self.rows)}, {row.name}"
            if row.weights not in self.weights:
                _say(f"{where}: needs weights of its own, give --{row.weights}-weights FILE (docs/TRAINING.md)")
                continue
            before = self._stored(row)
            if before is None:
                _say(f"{where}: {row.title}")
                before = self._measure(row)
                document = {"identity": self._identity(row), "scores": before}
                _write(self._file(row), json.dumps(document, indent=2) + "\n")
            self.scores[row.name] = before
            _say(f"{where}: " + ", ".join(f"{name} {value:.3f}" for name, value in before.items()))
            self._report()

    def _file(self, row: Row) -> Path:
        return Path(self.options.output, f"{row.name}.json")

    def _identity(self, row: Row) -> dict[str, Any]:
        """What a row's numbers depend on."""
        masks = self.options.masks
        return {
            "weights": self.checksums[row.weights],
            "settings": dict(self.settings) | dict(row.settings),
            "vot": [self.options.vot.name, *self.names],
            "masks": None if masks is None else [masks.name, *(self.options.sequences or ())],
        }

    def _stored(self, row: Row) -> dict[str, Any] | None:
        """What an earlier run has measured under the same conditions."""
        try:
            document = json.loads(self._file(row).read_text(encoding="utf-8"))
            return document["scores"] if document["identity"] == self._identity(row) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _measure(self, row: Row) -> dict[str, Any]:
        import hashlib

        from vot_workspace.evaluation import Job, evaluate_sequences

        settings = dict(self.settings) | dict(row.settings)
        weights = self.weights[row.weights]
        job = Job(self.options.vot, self.names, settings, weights, f"weights {self.checksums[row.weights]}")
        # a folder for each identity: what belongs to other weights or settings is never continued
        digest = hashlib.sha256(json.dumps(self._identity(row), sort_keys=True).encode()).hexdigest()[:8]
        keep = self.options.output / "workspaces" / f"{row.name}-{digest}"
        scores = dict(evaluate_sequences(job, workers=self.options.workers, keep=keep, say=_say).scores)
        if self.options.masks is not None:
            scores["J&F"] = self._masks(settings, weights)
        return scores

    def _masks(self, settings: Mapping[str, str], weights: Path) -> float:
        from tracker.benchmarks.sequences import choose, open_sequences
        from tracker.benchmarks.validation import Means, validate_masks
        from tracker.settings import from_environment

        tracker = self.load(from_environment(settings, {"weights": str(weights)}))
        with open_sequences(self.options.masks) as sequences:
            chosen = choose(sequences, self.options.sequences, self.options.masks)
            result = validate_masks(tracker, chosen, ("box",), limit=None, say=_say)
        return Means.of(result.scores["box"]).both

    def _report(self) -> None:
        from tracker.benchmarks.ablation import comma_separated, markdown, plot

        output = self.options.output
        _write(output / "ablation.md", markdown(self.rows, self.scores, self.conditions))
        _write(output / "ablation.csv", comma_separated(self.rows, self.scores))
        plot(self.rows, self.scores, str(output / "ablation.png"))


def main(
    arguments: Sequence[str],
    *,
    load: Callable[[Settings], DMB] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Run the command; arguments and exit codes as for `dmb validate`."""
    if "--list" in arguments:
        from tracker.benchmarks.ablation import ROWS

        for row in ROWS:
            print(f"{row.name:22s} {row.title}")
        return 0
    options = _parser().parse_args(arguments)
    if options.workers < 1:
        print(f"error: --workers is {options.workers}; it must be at least 1", file=sys.stderr)
        return FAILURE
    from tracker.benchmarks.ablation import AblationError
    from tracker.benchmarks.sequences import SequenceError
    from tracker.cli.validate import ending_orderly, load_tracker
    from tracker.engine import DeviceError
    from tracker.settings import SettingsError
    from tracker.weights import WeightsError
    from vot_workspace.dataset import DatasetError
    from vot_workspace.toolkit import EvaluationError
    from vot_workspace.writer import WorkspaceError

    expected = (AblationError, SequenceError, DeviceError, SettingsError, WeightsError, DatasetError, EvaluationError,
                WorkspaceError, OSError)  # fmt: skip
    try:
        with ending_orderly():
            study = Study(options, environ, load or load_tracker)
            study.run()
    except expected as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 128 + signal.SIGINT
    _say(f"written: {options.output / 'ablation.md'}, ablation.csv" + (
        ", ablation.png" if (options.output / "ablation.png").is_file() else ""
    ))  # fmt: skip
    return 0
