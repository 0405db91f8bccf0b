"""How much bad input and how many faults the tests of this folder hold: the tables of docs/RELIABILITY.md.

`python -m tests.robustness.counts` prints them; a test compares them with the document.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from tests.robustness import test_checkpoints, test_images, test_regions, test_sequences, test_trax_fuzz
from tests.robustness.test_disks import KINDS


@dataclass(frozen=True)
class Group:
    """Kinds of input, and in how many ways a test tries each.

    Attributes:
        what: for the table.
        kinds: by name.
        ways: tests of one kind, with one assertion or more on the message or the answers each.
    """

    what: str
    kinds: Sequence[object]
    ways: int


GROUPS = (
    Group("arrays as images", list(test_images.ARRAYS), 2),
    Group("what is no image", list(test_images.NO_IMAGES), 2),
    Group("sizes of images", test_images.SIZES, 2),
    Group("image files", list(test_images.FILES), 2),
    Group("damaged image files", list(test_images.DAMAGED), 2),
    Group("usable regions", list(test_regions.USABLE), 2),
    Group("refused regions", list(test_regions.REFUSED), 1),
    Group("sequences", list(test_sequences.SEQUENCES), len(test_sequences.STARTS) + 2),
    Group("damaged weights files", list(test_checkpoints.DAMAGED), 1),
    Group("damaged TraX messages", list(test_trax_fuzz.REFUSED), 1),
    Group("unusable regions over TraX", list(test_trax_fuzz.REGIONS), 1),
    Group("odd TraX messages that are answered", list(test_trax_fuzz.ANSWERED), 1),
)

# fault: the tests that inject it, as file and beginnings of names, each case of them once
FAULTS: Mapping[str, tuple[str, ...]] = {
    "SIGTERM and SIGINT, at four moments": ("test_faults", "TestSignalsAndPipes.test_a_signal"),
    "the client goes away": ("test_faults", "TestSignalsAndPipes.test_a_client_that_goes_away"),
    "the client stops listening": ("test_faults", "TestSignalsAndPipes.test_a_client_that_no_longer"),
    "the client goes in the middle of a message": ("test_trax_fuzz", "test_half_a_message"),
    "weights cannot be written: five errors at three places": ("test_faults", "TestDisk.test_weights_that_cannot"),
    "a write is cut off": ("test_faults", "TestDisk.test_a_write_that_is_cut_off"),
    "the disk is full: weights": ("test_disks", "test_weights_that_do_not_fit"),
    "the disk is full: a converted checkpoint": ("test_disks", "test_a_conversion_that_does_not_fit"),
    "the disk is full: checkpoint, curves and log of a training": ("test_disks", "TestTraining.test_"),
    "the disk is full: `dmb track`": ("test_disks", "TestTracking.test_"),
    "the disk is full: `dmb evaluate`": ("test_disks", "TestEvaluation.test_"),
    "no permission to write": ("test_disks", "TestNoPermission.test_"),
    "the log cannot be written": (
        "test_faults", "TestDisk.test_a_full_disk_under", "TestDisk.test_so_is_a_log", "TestDisk.test_the_session",
    ),
    "the GPU is full, simulated": (
        "test_faults", "TestFullGPU.test_the_answers", "TestFullGPU.test_fewer", "TestFullGPU.test_other_words",
    ),
    "weights are replaced in use": ("test_faults", "TestDisk.test_weights_replaced", "TestDisk.test_so_it_is_with"),
    "`vot evaluate` beside `dmb evaluate`": ("test_workspaces", "test_the_toolkit"),
    "`vot evaluate`: the tracker is killed, answers late, starts late": ("test_toolkit_faults", "test_"),
}  # fmt: skip


def own_tests(module: str) -> dict[str, Callable[..., None]]:
    """The tests of a file of this folder by name, those of a class as Class.name."""
    found = vars(import_module(f"tests.robustness.{module}"))
    tests = {name: value for name, value in found.items() if name.startswith("test_")}
    for group, own in [(name, vars(value)) for name, value in found.items() if name.startswith("Test")]:
        tests |= {f"{group}.{name}": value for name, value in own.items() if name.startswith("test_")}
    return tests


def cases(test: Callable[..., None]) -> int:
    """How many times a test runs, by its parametrisation and that of the fixture `small`."""
    count = len(KINDS) if "small" in inspect.signature(test).parameters else 1
    for mark in getattr(test, "pytestmark", ()):
        count *= len(mark.args[1]) if mark.name == "parametrize" else 1
    return count


def injected(fault: str) -> int:
    """How many cases inject a fault; 0 where there is none of the tests."""
    module, *beginnings = FAULTS[fault]
    tests = own_tests(module)
    found = [[name for name in tests if name.startswith(beginning)] for beginning in beginnings]
    return sum(cases(tests[name]) for names in found for name in names) if all(found) else 0


def tables() -> str:
    """Both tables as Markdown."""
    lines = ["| input | kinds | cases |", "|---|---|---|"]
    lines += [f"| {group.what} | {len(group.kinds)} | {len(group.kinds) * group.ways} |" for group in GROUPS]
    kinds = sum(len(group.kinds) for group in GROUPS)
    lines += [f"| together | {kinds} | {sum(len(group.kinds) * group.ways for group in GROUPS)} |", ""]
    lines += ["| fault | injected | survived | lost |", "|---|---|---|---|"]
    lines += [f"| {fault} | {injected(fault)} | {injected(fault)} | 0 |" for fault in FAULTS]
    times = sum(injected(fault) for fault in FAULTS)
    lines += [f"| together | {times} | {times} | 0 |"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(tables(), end="")
