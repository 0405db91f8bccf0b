"""The same video gives the same answers, bit for bit: again in one process, in another, beside other targets."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.conftest import clean_environment
from tests.robustness.pictures import TARGET, frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB, Result

FRAMES = 25
REGIONS = {"box": TARGET, "mask": None}


def add(digest: hashlib._Hash, result: Result) -> None:
    """All numbers of an answer."""
    numbers = [*result.box, *result.center, result.confidence, float(result.segmented)]
    for array in (result.mask, result.polygon, np.array(numbers, np.float64)):
        digest.update(np.ascontiguousarray(array).tobytes())


def answers(dmb: DMB, start: str) -> str:
    """Checksum over all answers to a video."""
    digest = hashlib.sha256()
    region = target_mask() if start == "mask" else REGIONS[start]
    add(digest, dmb.initialize(frame(), region, masks=start == "mask"))
    for index in range(1, FRAMES):
        add(digest, dmb.track(frame(index)))
    return digest.hexdigest()


@pytest.mark.parametrize("start", REGIONS)
def test_repeated_runs_in_one_process_agree(start: str) -> None:
    dmb = DMB(tiny_engine(), CONFIG)
    first = answers(dmb, start)
    assert answers(dmb, start) == first
    assert answers(DMB(tiny_engine(), CONFIG), start) == first


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of threads may decide the order in which a sum is taken."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_two_processes_agree(threads: int) -> None:
    code = (
        f"import torch; torch.set_num_threads({threads})\n"
        "from tests.robustness.test_determinism import *\n"
        "print(torch.get_num_threads(), *(answers(DMB(tiny_engine(), CONFIG), start) for start in REGIONS))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=clean_environment(PYTHONHASHSEED="7", OMP_NUM_THREADS=str(threads)),  # nothing may depend on hashes
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    here = [answers(DMB(tiny_engine(), CONFIG), start) for start in REGIONS]
    assert process.stdout.split() == [str(threads), *here] and len(set(here)) == len(REGIONS)


def test_targets_side_by_side_do_not_touch_each_other() -> None:
    engine = tiny_engine()
    alone = answers(DMB(engine, CONFIG), "box")
    one, other, digest = DMB(engine, CONFIG), DMB(engine, CONFIG), hashlib.sha256()
    other.initialize(frame(9), (70, 50, 20, 20))
    add(digest, one.initialize(frame(), TARGET, masks=False))
    for index in range(1, FRAMES):
        other.track(frame(index + 9))
        add(digest, one.track(frame(index)))
    assert digest.hexdigest() == alone


def test_neither_random_state_is_used_or_changed() -> None:
    dmb = DMB(tiny_engine(), CONFIG)
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr]
    first = answers(dmb, "box")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]  # type: ignore[index, union-attr]
    torch.manual_seed(2)
    assert answers(dmb, "box") == first
