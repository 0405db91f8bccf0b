"""Several processes: they train what one process trains, and a run that is killed continues where it stopped."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import clean_environment
from tests.training.test_synthesis import frame
from tracker.checkpoints.weights import save_weights
from tracker.network import DMBNet
from tracker.training.distributed import World, join

PLAN = """
rate = 1e-3
warmup = 1
video_share = 0.0
query_trained = []
save_minutes = 10

[[stages]]
steps = 4
size = 64
frames = 2
batch = 2
factor = [2.0, 2.5]

[[stages]]
steps = 2
size = 64
frames = 2
batch = 2
factor = [2.0, 2.5]
encoders = false
"""


# the command, which sends itself a signal after its second step
ENDING = """
import os, signal, sys
from tracker.cli.train import main
from tracker.training.loop import Trainer
train_step = Trainer.train_step
def interrupted(self, material):
    facts = train_step(self, material)
    if self.step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return facts
Trainer.train_step = interrupted
sys.exit(main(sys.argv[1:]))
"""
COMMAND = ("-m", "tracker.training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shard of stills, a plan and weights to start from."""
    tmp_path = tmp_path_factory.mktemp("runs")
    with tarfile.open(tmp_path / "stills-000.tar", "w") as archive:
        for seed in range(4):
            still = frame(seed)
            for suffix, content in ((".webp", still.image), (".png", still.mask)):
                member = tarfile.TarInfo(f"{seed}{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    (tmp_path / "plan.toml").write_text(PLAN)
    torch.manual_seed(0)
    save_weights(DMBNet(), tmp_path / "start.safetensors", {"stage": "none: random"})
    return tmp_path


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[str]:
    """The losses of a run that nothing ends."""
    return losses(run(command(folder, "whole")))


def command(folder: Path, output: str, *more: str, start: Sequence[str] = COMMAND) -> list[str]:
    words = [sys.executable, *start, str(folder / "plan.toml"), "--data", str(folder)]
    words += ["--weights", str(folder / "start.safetensors"), "--output", str(folder / output), "--device", "cpu"]
    return [*words, "--report-every", "1", *more]


def run(words: list[str]) -> str:
    environment = clean_environment(OMP_NUM_THREADS="1")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(log: str) -> list[str]:
    return re.findall(r"loss (\d+\.\d+)", log)


def test_alone_without_torchrun() -> None:
    assert join({}, cuda=False) == World(rank=0, size=1, local_rank=0)
    assert World().mean(torch.tensor([1.0, float("nan")]))[0] == 1.0
    assert World().any(True, torch.device("cpu")) and World().leads


def test_two_processes_train_what_one_trains_in_two_parts(folder: Path) -> None:
    alone = run(command(folder, "alone", "--accumulate", "2"))
    start = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29617", *COMMAND]
    together = run(command(folder, "together", start=start))
    assert len(losses(together)) == 6, "one log, not one per process"
    assert [float(loss) for loss in losses(together)] == pytest.approx(
        [float(loss) for loss in losses(alone)], abs=0.02
    )
    ours, theirs = (load_file(folder / name / "dmb_r50.safetensors") for name in ("together", "alone"))
    moved = load_file(folder / "start.safetensors")
    for name in ("decoder.predict.weight", "memory_encoder.conv1_m.weight"):  # which stands still at last
        change = (ours[name].float() - moved[name].float()).norm()
        assert change > 0
        assert (ours[name].float() - theirs[name].float()).norm() < 0.3 * change


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses(folder: Path, expected: list[str]) -> None:
    """The real command, in a process of its own; in one process: test_loop.py."""
    ended = run(command(folder, "ended", start=("-c", ENDING)))
    assert losses(ended) == expected[:2] and len(expected) == 6
    run(command(folder, "ended"))
    text = (folder / "ended" / "train.log").read_text()
    assert "signal 15: saving after this step" in text and "continuing from step 2" in text
    assert losses(text) == expected
