"""The official toolkit evaluates the real tracker in its real process, one test per kind of experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.workspace import Video, Workspace, straight
from tracker.checkpoints.weights import read_weights

pytestmark = pytest.mark.end_to_end

SANE = 0.7  # mean overlap; an answer that stands still has 0.5
LENGTH = 8


@pytest.fixture(scope="session")
def trained(weights_file: Path) -> bool:
    """Whether scores mean anything: not with random weights."""
    return "random" not in read_weights(weights_file)[1].get("stage", "")


def drifting(name: str, length: int = LENGTH, **facts: object) -> Video:
    """One object that drifts to the right."""
    return Video(name, {"object": straight(length, (60, 60), (3, 0.5))}, **facts)  # type: ignore[arg-type]


def test_supervised_resets_are_served_by_one_process_per_sequence(
    tmp_path: Path, weights_file: Path, trained: bool
) -> None:
    jumping = Video("jumping", {"object": [*straight(4, (40, 60), (2, 0)), *straight(4, (200, 60), (2, 0))]}, "polygon")
    experiment = {"type": "supervised", "repetitions": 1, "analyses": [{"type": "supervised_average_ar"}]}
    videos = [drifting("drifting", form="polygon"), jumping]
    workspace = Workspace(tmp_path, experiment, videos, DMB_WEIGHTS=weights_file)
    output = workspace.evaluate()
    assert "Evaluation concluded successfuly" in output
    (drift,) = workspace.results("drifting").values()
    (jump,) = workspace.results("jumping").values()
    assert len(drift) == len(jump) == LENGTH
    assert drift[0] == jump[0] == 1
    assert jump[4:6] == [2, 1]  # lost where the target jumps out of reach, started again in the next frame
    starts = [sum(isinstance(region, int) and region == 1 for region in result) for result in (drift, jump)]
    assert [initializations for initializations, _ in workspace.processes()] == starts
    if trained:
        assert starts == [1, 2]
        assert workspace.quality("drifting", drift) > SANE
        assert workspace.quality("jumping", jump) > SANE
    workspace.vot("analysis", "--workspace", str(tmp_path), "--name", "scores", "DMB")
    assert any((tmp_path / "analysis").glob("scores*"))


def test_multistart_with_masks_forward_and_backward(tmp_path: Path, weights_file: Path, trained: bool) -> None:
    video = drifting("drifting", form="mask", anchors={0: 1, LENGTH - 1: -1})
    workspace = Workspace(tmp_path, {"type": "multistart"}, [video], DMB_WEIGHTS=weights_file)
    workspace.evaluate()
    results = workspace.results("drifting")
    assert list(results) == ["drifting_00000000.txt", f"drifting_{LENGTH - 1:08d}.txt"]
    assert workspace.processes() == [(2, 2 * (LENGTH - 1))]
    forward, backward = results.values()
    for trajectory in (forward, backward):
        assert trajectory[0] == 1
        for region in trajectory[1:]:
            assert isinstance(region, np.ndarray) and region.any()
    if trained:
        assert workspace.quality("drifting", forward) > SANE
        assert workspace.quality("drifting", [*backward[:0:-1], 1]) > SANE


def test_realtime(tmp_path: Path, weights_file: Path) -> None:
    experiment = {"type": "supervised", "repetitions": 1, "realtime": {"grace": 3}}
    workspace = Workspace(tmp_path, experiment, [drifting("drifting")], DMB_WEIGHTS=weights_file)
    workspace.evaluate()
    (trajectory,) = workspace.results("drifting").values()
    assert len(trajectory) == LENGTH and trajectory[0] == 1
    assert len(workspace.processes()) == 1


def test_unsupervised_repetitions_are_identical_byte_by_byte(tmp_path: Path, weights_file: Path, trained: bool) -> None:
    experiment = {"type": "unsupervised", "repetitions": 3, "early_stop": False}
    workspace = Workspace(tmp_path, experiment, [drifting("drifting")], DMB_WEIGHTS=weights_file)
    workspace.evaluate()
    results = workspace.results("drifting")
    assert list(results) == [f"drifting_{number:03d}.txt" for number in (1, 2, 3)]
    assert workspace.processes() == [(3, 3 * (LENGTH - 1))]
    folder = tmp_path / "results" / "DMB" / "baseline" / "drifting"
    for ending in (".txt", "_confidence.value"):
        contents = [(folder / f"drifting_{number:03d}{ending}").read_bytes() for number in (1, 2, 3)]
        assert contents[0] == contents[1] == contents[2]
    confidence = [float(line) for line in contents[0].split()]
    assert len(confidence) == LENGTH - 1 and all(0 <= value <= 1 for value in confidence)
    if trained:
        assert workspace.quality("drifting", results["drifting_001.txt"]) > SANE


def test_several_objects_at_once(tmp_path: Path, weights_file: Path, trained: bool) -> None:
    paths = {"left": straight(LENGTH, (50, 50), (2, 1)), "right": straight(LENGTH, (190, 70), (-2, -1))}
    experiment = {"type": "unsupervised", "repetitions": 1, "multiobject": True}
    workspace = Workspace(tmp_path, experiment, [Video("pair", paths, "mask")], DMB_WEIGHTS=weights_file)
    workspace.evaluate()
    results = workspace.results("pair")
    assert list(results) == ["pair_left_001.txt", "pair_right_001.txt"]
    assert workspace.processes() == [(2, LENGTH - 1)]  # both objects in one pass
    if trained:
        for target, trajectory in zip(paths, results.values(), strict=True):
            assert workspace.quality("pair", trajectory, target) > SANE


def test_vot_test_passes(tmp_path: Path, weights_file: Path) -> None:
    workspace = Workspace(tmp_path, {"type": "unsupervised"}, [drifting("drifting")])
    workspace.register(DMB_WEIGHTS=weights_file, DMB_CROP_SIZE=64)
    output = workspace.vot("test", "DMB")
    assert "Test concluded successfuly" in output
    assert "DMB: ready" in output
    assert workspace.processes() == [(3, 49)]  # the toolkit's own sequence: three objects, 50 frames


def test_after_an_error_one_sentence_says_why_and_earlier_results_survive(tmp_path: Path, weights_file: Path) -> None:
    experiment = {"type": "unsupervised", "repetitions": 1}
    videos = [drifting("first", 4), drifting("second", 4)]
    workspace = Workspace(tmp_path, experiment, videos, DMB_WEIGHTS=weights_file)
    damaged = tmp_path / "sequences" / "second" / "color" / "00000003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:500])
    output = workspace.evaluate()
    sentence = f"frame '{damaged}' is damaged or not an image (500 bytes); restore it"
    assert f"Server terminated the session: {sentence}" in output
    assert f"DMB: error: {sentence}" in workspace.log.read_text()
    (before,) = (tmp_path / "results").rglob("first_001.txt")
    content = before.read_bytes()
    assert len(content.split()) == 4
    assert not workspace.results("second")

    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(weights_file.read_bytes()[:-1000])
    workspace.register(DMB_WEIGHTS=corrupt)
    output = workspace.evaluate()
    assert f"Server terminated the session: weights file '{corrupt}'" in output
    assert "Traceback" not in output + workspace.log.read_text()
    assert before.read_bytes() == content
