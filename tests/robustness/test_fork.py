"""A process that has tracked is forked, as multiprocessing does on Linux, and its child tracks on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import clean_environment

TRACKS = """
import os, signal, sys
import cv2, numpy as np, torch
from tests.robustness.pictures import frame, target_mask
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB

torch.set_num_threads(2)
cv2.setNumThreads(2)
dmb = DMB(tiny_engine(), CONFIG)
large = torch.rand(64, 64, 64, 64)

def busy():
    torch.nn.functional.conv2d(large, torch.rand(64, 64, 3, 3))  # on all threads
    return dmb.track(frame(1))

dmb.initialize(frame(), target_mask())
dmb.save(sys.argv[1])
expected = busy().mask
child = os.fork()
if not child:
    signal.alarm(60)  # where it hangs, it ends
    again = DMB.load(sys.argv[1], dmb.engine)
    torch.nn.functional.conv2d(large, torch.rand(64, 64, 3, 3))
    os._exit(0 if np.array_equal(again.track(frame(1)).mask, expected) else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_forked_child_tracks(tmp_path: object) -> None:
    environment = clean_environment() | {"OMP_NUM_THREADS": "2"}
    words = [sys.executable, "-c", TRACKS, f"{tmp_path}/state.safetensors"]
    assert subprocess.run(words, env=environment, timeout=120, check=False).returncode == 0


POOL = """
import os, signal
import cv2, numpy as np
import tracker.engine.engine

cv2.setNumThreads(2)
image = np.zeros((2000, 2000, 3), np.uint8)
for _ in range(20):  # its threads wait for work
    cv2.GaussianBlur(image, (31, 31), 5)
for _ in range(5):
    child = os.fork()
    if not child:
        signal.alarm(30)
        cv2.GaussianBlur(image, (31, 31), 5)
        os._exit(0 if cv2.getNumThreads() == 1 else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cv2.getNumThreads() == 2, "the parent has its threads again"
    cv2.GaussianBlur(image, (31, 31), 5)
"""


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_opencvs_threads_do_not_hold_a_child_up() -> None:
    ended = subprocess.run([sys.executable, "-c", POOL], env=clean_environment(), timeout=120, check=False)
    assert ended.returncode == 0
