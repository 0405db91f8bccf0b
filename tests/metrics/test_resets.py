"""The reset-based scores are the toolkit's; the intervals tell what many sequences decide from what they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from vot.analysis.supervised import compute_accuracy, compute_eao_curve, count_failures, locate_failures_inits
from vot.region import Rectangle, Special, calculate_overlaps
from vot.tracker import Trajectory

from tracker.metrics.resets import BOUNDS, SKIPPED, Fragment, Run, Table

SIZE = (200, 100)


@dataclass
class TheirSequence:
    """What the toolkit's functions need of a sequence."""

    truth: list[Rectangle]
    size: tuple[int, int] = SIZE

    def groundtruth(self) -> list[Rectangle]:
        return self.truth

    def __len__(self) -> int:
        return len(self.truth)


def random_run(
    name: str, length: int, rng: np.random.Generator
) -> tuple[Run, TheirSequence, list[Special | Rectangle]]:
    """A run with overlaps of a random walk, and the same as the toolkit stores it."""
    truth = Rectangle(50, 30, 40, 30)
    theirs: list[Special | Rectangle] = [Special(Trajectory.UNKNOWN)] * length
    fragments, index = list[Fragment](), 0
    while index < length:
        theirs[index] = Special(Trajectory.INITIALIZATION)
        start, overlaps, failed, shift = index, list[float](), False, 0
        for index in range(start + 1, length):
            shift = max(0, shift + int(rng.integers(-3, 5)))
            answer = Rectangle(50 + shift, 30, 40, 30)
            score = calculate_overlaps([answer], [truth], SIZE)[0]
            if score <= 0.0:
                theirs[index], failed = Special(Trajectory.FAILURE), True
                break
            theirs[index] = answer
            overlaps.append(score)
        fragments.append(Fragment(start, overlaps, [0.1] * len(overlaps), failed))
        index = index + SKIPPED if failed else length
    return Run(name, 1, 0, length, fragments, 0, 1.0), TheirSequence([truth] * length), theirs


def test_failures_accuracy_and_eao_are_the_toolkits() -> None:
    rng = np.random.default_rng(0)
    made = [random_run(str(number), int(rng.integers(80, 400)), rng) for number in range(8)]
    overlaps, weights, success = [], [], []
    accuracy, failures = 0.0, 0
    for run, sequence, regions in made:
        values = calculate_overlaps(regions, sequence.groundtruth(), SIZE)
        lost, started = locate_failures_inits(regions)
        ends = [*lost, *([None] if len(started) > len(lost) else [])]
        for begin, end in zip(started, ends, strict=True):
            overlaps.append(values[begin:end])
            weights.append(1)
            success.append(end is None)
        failures += count_failures(regions)[0]
        accuracy += compute_accuracy(regions, sequence)[0] * len(sequence)
        assert len(run.failures) == count_failures(regions)[0] and run.failures == lost
    frames = sum(run.frames for run, *_ in made)
    assert failures > 5 and not all(success)
    curve = np.array(compute_eao_curve(overlaps, weights, success))
    expected = (1000 * failures / frames, accuracy / frames, float(np.mean(curve[BOUNDS[0] : BOUNDS[1] + 1])))
    assert Table([run for run, *_ in made]).scores()[:3] == pytest.approx(expected, abs=1e-5)


def runs(failures: list[int], overlap: float = 0.6) -> list[Run]:
    """Runs of 300 frames that fail so often, at even distances."""
    made = []
    for number, count in enumerate(failures):
        length = 300 // (count + 1)
        fragments = [
            Fragment(part * length, [overlap] * (length - SKIPPED - 1), [0.1] * (length - SKIPPED - 1), part < count)
            for part in range(count + 1)
        ]
        made.append(Run(f"{number:02d}", 1, 0, 300, fragments, 100, 1.0))
    return made


def test_one_lucky_sequence_decides_nothing_and_many_do() -> None:
    before, once, everywhere = [2] * 20, [2] * 19 + [0], [1] * 19 + [2]
    lucky = Table(runs(once)).against(Table(runs(before)))["failures per 1000 frames"]
    assert lucky.value == pytest.approx(-1000 * 2 / 6000) and not lucky.decided
    better = Table(runs(everywhere)).against(Table(runs(before)))["failures per 1000 frames"]
    assert better.decided and better.high < -2.0 and better.low < better.value < better.high


def test_a_run_is_not_better_than_itself() -> None:
    table = Table(runs([0, 1, 2, 3]))
    for name, interval in table.against(table).items():
        assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0) and not interval.decided, name


def test_the_interval_holds_the_value_and_shrinks_with_more_sequences() -> None:
    few, many = (Table(runs([0, 1, 2, 5] * count)).intervals() for count in (2, 20))
    for name, interval in many.items():
        assert interval.low <= interval.value + 1e-12 and interval.value <= interval.high + 1e-12, name
    name = "failures per 1000 frames"
    assert many[name].high - many[name].low < 0.5 * (few[name].high - few[name].low)


def test_strides_count_each_with_bounds_of_their_own() -> None:
    whole = Fragment(0, [0.6] * 74, [0.1] * 74, False)
    fast = [replace(run, stride=4, frames=75, fragments=[whole]) for run in runs([0])]
    table = Table([*fast, *runs([0])])
    assert table.scores()[2] == pytest.approx(0.6), "75 frames are enough for the bounds at stride 4"


def test_runs_of_other_sequences_are_not_compared() -> None:
    with pytest.raises(ValueError, match="differ in their sequences"):
        Table(runs([0, 1])).against(Table(runs([0])))


def test_a_run_is_read_as_it_was_written() -> None:
    run = runs([2])[0]
    assert Run.read(run.document()) == run and run.failures == [95, 195]
