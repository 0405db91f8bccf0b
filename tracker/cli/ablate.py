"""`dmb ablate`: the paper's ablation study by one command, on sequences in the VOT format."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.api.loading import load_tracker
from tracker.cli.cluster import add_place, place_of
from tracker.cli.ending import command, warn_of_settings
from tracker.cli.model import add_model, chosen_environment
from tracker.cli.parsing import Parser
from tracker.cli.validate import copied, say, tracker_settings

if TYPE_CHECKING:
    from tracker.benchmarks.ablation import Row
    from tracker.settings import Settings
    from tracker.tracking.tracker import DMB

PROG = "dmb ablate"
CALLED = {"settings": "set of settings", "sequences": "set of sequences", "weights": "weights file"}  # in a sentence
STACKS = ("dev", "demo_vot2018")  # of vot_workspace/stacks, reset-based, one repetition
DESCRIPTION = """\
The rows of the paper's Table VIII and the curve of its Fig. 14, measured with your weights.

Every row is a reset-based evaluation by the VOT toolkit (vot_workspace/stacks): expected average overlap,
accuracy, failures. With --masks each row is also tracked on sequences with masks, from the first box: J&F. Results are
written to the output folder after every row (ablation.md, ablation.csv, ablation.png), and the same command continues
where it was interrupted. Two rows need weights of their own, see --concat-weights and --response-weights; without them
they stay empty.

Other settings come from the environment variables DMB_..., see `python -m tracker.trax_server --help`.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description=DESCRIPTION)
    data = parser.add_argument_group("measured on")
    data.add_argument(
        "--vot",
        type=Path,
        required=True,
        metavar="DIR",
        help="workspace, folder or tar file of sequences in the VOT format",
    )
    data.add_argument("--vot-sequences", nargs="+", metavar="NAME", help="which of them to use (default: all)")
    data.add_argument(
        "--stack",
        choices=STACKS,
        default=STACKS[0],
        help=f"bounds of the EAO: {STACKS[0]} has 50-250 frames; {STACKS[1]} 15-40, for the demo's short "
        f"sequences (default: {STACKS[0]})",
    )
    data.add_argument("--masks", type=Path, metavar="SOURCE", help="folder or tar file of sequences with masks")
    data.add_argument("--sequences", nargs="+", metavar="NAME", help="which of them to track (default: all)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these rows (default: all; --list shows them)")
    parser.add_argument("--list", action="store_true", help="list the rows and exit")
    add_model(parser)
    own = parser.add_argument_group("weights of rows that need their own")
    own.add_argument("--concat-weights", metavar="FILE", help='weights trained with position = "concat"')
    own.add_argument("--response-weights", metavar="FILE", help='weights trained with spatial_map = "response"')
    parser.add_argument(
        "--output", type=Path, default=Path("ablation"), metavar="DIR", help="folder of the results (default: ablation)"
    )
    add_place(parser, "evaluate")
    return parser  # fmt: skip


class Study:
    """One run of the study: what is measured already, and how the rest is.

    Args:
        options: of the command line.
        environ: holds the settings.
        load: makes a tracker.
        weights: by kind (None: those of the rows without weights of their own), a file that nobody changes.

    Raises:
        SettingsError, WeightsError, DeviceError, DatasetError, SequenceError, AblationError: see their messages.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        environ: Mapping[str, str],
        load: Callable[[Settings], DMB],
        weights: Mapping[str | None, Path],
    ) -> None:
        from tracker.benchmarks.ablation import choose_rows
        from tracker.benchmarks.validation import conditions
        from tracker.checkpoints.weights import read_weights
        from tracker.data.sequences import choose, open_sequences
        from tracker.settings import from_environment
        from vot_workspace.dataset import choose as choose_vot

        self.options, self.environ, self.load, self.weights = options, environ, load, weights
        self.rows = choose_rows(options.rows, weights)
        # with the model: `environ` holds the one that was chosen, and every weights file is of it
        self.settings = tracker_settings(environ, without=("DMB_WEIGHTS", "DMB_LOG"))
        self.names = choose_vot(options.vot, options.vot_sequences)
        self.masks: list[str] = []
        if options.masks is not None:
            with open_sequences(options.masks) as sequences:
                self.masks = [sequence.name for sequence in choose(sequences, options.sequences, options.masks)]
        self.checksums = {kind: read_weights(path)[1]["checksum"] for kind, path in weights.items()}
        facts = conditions(from_environment(environ), weights[None], self.checksums[None])
        self.machine = {name: facts[name] for name in ("processor", "device", "precision", "torch")}

    def run(self) -> None:
        """Measure what is missing, and write the results after every row."""
        self.options.output.mkdir(parents=True, exist_ok=True)
        self._report()
        for number, row in enumerate(self.rows, 1):
            where = f"row {number} of {len(self.rows)}, {row.name}"
            if row.weights not in self.weights:
                say(f"{where}: needs weights of its own, give --{row.weights}-weights FILE (docs/TRAINING.md)")
                continue
            scores = self._scores(row)
            if scores is None:
                differing = self._differing(row)
                again = f"; measured again: another {', another '.join(differing)} was used" if differing else ""
                say(f"{where}: {row.title}{again}")
                self._measure(row)
                scores = self._scores(row) or {}
                self._report()
            known = ((name, value) for name, value in scores.items() if value is not None)
            say(f"{where}: " + ", ".join(f"{name} {value:.3f}" for name, value in known))

    def _identity(self, row: Row, source: Path, names: Sequence[str]) -> dict[str, Any]:
        """What numbers depend on."""
        from tracker import __version__

        settings = self.settings | dict(row.settings)
        facts = {"weights": self.checksums[row.weights], "settings": settings, "sequences": [source.name, *names]}
        if self.options.stack != STACKS[0]:  # what was measured before there was a choice stays valid
            facts["stack"] = self.options.stack
        return facts | self.machine | {"version": __version__}

    def _parts(self, row: Row) -> dict[str, dict[str, Any]]:
        """What is to be measured of a row, "vot" and perhaps "masks", with the identity of each."""
        parts = {"vot": self._identity(row, self.options.vot, self.names)}
        if self.options.masks is not None:
            parts["masks"] = self._identity(row, self.options.masks, self.masks)
        return parts

    def _stored(self, row: Row) -> dict[str, Any]:
        """What earlier runs have measured under the same conditions: by part, a date and scores."""
        document, parts = self._document(row), self._parts(row).items()
        return {part: document[part] for part, identity in parts if document.get(part, {}).get("identity") == identity}

    def _document(self, row: Row) -> dict[str, dict[str, Any]]:
        """What earlier runs have measured of a row, whatever the conditions."""
        try:
            found = json.loads(Path(self.options.output, f"{row.name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        if isinstance(found, dict):
            found.pop("records", None)
        parts = found.values() if isinstance(found, dict) else [None]
        whole = all(isinstance(part, dict) and isinstance(part.get("identity"), dict) for part in parts)
        return found if whole else {}

    def _differing(self, row: Row) -> list[str]:
        """By which of its conditions an earlier measurement of a row is not what is asked for."""
        document, names = self._document(row), dict[str, None]()
        for part, identity in self._parts(row).items():
            earlier = document.get(part, {}).get("identity", identity)
            others = (name for name in (*identity, *earlier) if identity.get(name) != earlier.get(name))
            names |= {CALLED.get(name, name): None for name in others}
        return list(names)

    def _scores(self, row: Row) -> dict[str, Any] | None:
        """The scores of a row that is measured completely."""
        if row.weights not in self.weights:
            return None
        stored = self._stored(row)
        if stored.keys() != self._parts(row).keys():
            return None
        return {name: value for part in stored.values() for name, value in part["scores"].items()}

    def _measure(self, row: Row) -> None:
        """Measure what is missing of a row and store each part at once."""
        from tracker.benchmarks.validation import write_document

        document = self._stored(row)
        settings, weights = self.settings | dict(row.settings), self.weights[row.weights]
        for part, identity in self._parts(row).items():
            if part not in document:
                measure = self._vot if part == "vot" else self._masks
                scores = measure(row, settings, weights)
                date = datetime.now(UTC).date().isoformat()
                document[part] = {"identity": identity, "date": date, "scores": scores}
                records = self._records(row, document)
                write_document(Path(self.options.output, f"{row.name}.json"), document | {"records": records})

    def _vot(self, row: Row, settings: Mapping[str, str], weights: Path) -> dict[str, float]:
        from tracker.benchmarks.ablation import ROBUSTNESS
        from vot_workspace.evaluation import Job, evaluate_sequences

        identity = self._identity(row, self.options.vot, self.names)
        # a folder for each identity: what belongs to other weights or settings is never continued
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
        keep = self.options.output / "workspaces" / f"{row.name}-{digest}"
        stack = f"{self.options.stack}.yaml"
        job = Job(self.options.vot, self.names, settings, weights, f"weights {identity['weights']}", stack)
        found = evaluate_sequences(job, place=self.options.place, keep=keep, environ=self.environ, say=say)
        frames = sum(found.lengths.values())
        return {**found.scores, ROBUSTNESS: 100.0 * sum(found.failures.values()) / frames}

    def _masks(self, row: Row, settings: Mapping[str, str], weights: Path) -> dict[str, float]:
        from tracker.benchmarks.validation import Means, validate_masks
        from tracker.data.sequences import choose, open_sequences
        from tracker.settings import from_environment

        tracker = self.load(from_environment(settings, {"weights": str(weights)}))
        with open_sequences(self.options.masks) as sequences:
            chosen = choose(sequences, self.masks, self.options.masks)
            result = validate_masks(tracker, chosen, ("box",), limit=None, say=say)
        return {"J&F": Means.of(result.scores["box"]).both}

    @staticmethod
    def _records(row: Row, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        from tracker.benchmarks.record import record

        found = []
        for part in document.values():
            source, *names = part["identity"]["sequences"]
            data, facts = f"{source}, {len(names)} sequences, ablation", part["identity"] | {"date": part["date"]}
            found.append(record(facts, data, part["scores"], f"DMB, {row.title}"))
        return found

    def _conditions(self) -> list[str]:
        from tracker.benchmarks.ablation import ROWS

        dates = sorted({part["date"] for row in ROWS if row.weights in self.weights
                        for part in self._stored(row).values()})  # fmt: skip
        lines = [
            f"measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else "nothing measured so far",
            "{processor}, {device}, {precision}, torch {torch}".format(**self.machine),
            *(f"weights{f' for {kind}' if kind else ''}: checksum {checksum[:12]}"
              for kind, checksum in self.checksums.items()),
            f"settings: {' '.join(f'{name}={text}' for name, text in self.settings.items()) or 'default'}",
            f"reset-based, {self.options.stack}.yaml, one repetition, {len(self.names)} sequences of "
            f"{self.options.vot.name}: " + ", ".join(self.names),
        ]  # fmt: skip
        if self.masks:
            lines.append(f"J&F from the first box, {self.options.masks.name}: {', '.join(self.masks)}")
        return lines

    def _report(self) -> None:
        """Write what is measured, of all rows."""
        from tracker.benchmarks.ablation import ROWS, comma_separated, markdown, plot
        from tracker.files import replace_file

        output, scores = self.options.output, {row.name: self._scores(row) for row in ROWS}
        found = {name: value for name, value in scores.items() if value is not None}
        replace_file(output / "ablation.md", markdown(ROWS, found, self._conditions()))
        replace_file(output / "ablation.csv", comma_separated(ROWS, found))
        if not plot(ROWS, found, str(output / "ablation.png")):
            (output / "ablation.png").unlink(missing_ok=True)


def _find(options: argparse.Namespace, environ: Mapping[str, str], copies: ExitStack) -> dict[str | None, Path]:
    """The weights by kind, copied: a training that runs may write new ones before everything is measured.

    Raises:
        WeightsError: a file is missing or damaged, or not of the kind that it is named for.
    """
    from tracker.checkpoints.weights import WeightsError, find_weights, read_weights

    found: dict[str | None, Path] = {}
    given: dict[str | None, str | None] = {None: options.weights}
    given |= {"concat": options.concat_weights, "response": options.response_weights}
    for kind, file in given.items():
        if kind is None or file:
            path = find_weights(file, environ)
            metadata = read_weights(path)[1]
            if kind is not None and kind not in (metadata.get("position"), metadata.get("spatial_map")):
                raise WeightsError(
                    f"'{path}' was not trained with \"{kind}\"; --{kind}-weights needs weights of the plan {kind} "
                    "(docs/TRAINING.md)"
                )
            found[kind] = copies.enter_context(copied(path))
    return found


@command(PROG, interrupted="interrupted; the same command continues")
def main(
    arguments: Sequence[str],
    *,
    load: Callable[[Settings], DMB] = load_tracker,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Measure the rows, or name them."""
    if "--list" in arguments:
        from tracker.benchmarks.ablation import ROWS

        for row in ROWS:
            print(f"{row.name:22s} {row.title}")
        return 0
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.sequences and options.masks is None:
        parser.error("--sequences has no effect without --masks")
    options.place = place_of(parser, options)
    environ = chosen_environment(options, environ)
    with ExitStack() as copies:
        warn_of_settings(PROG, environ)
        Study(options, environ, load, _find(options, environ, copies)).run()
    files = [name for name in ("ablation.md", "ablation.csv", "ablation.png") if (options.output / name).is_file()]
    say(f"written in '{options.output}': {', '.join(files)}")
    return 0
