"""A tracker that was saved goes on exactly as if nothing had happened, in another process too."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import CHECKOUT, clean_environment
from tests.robustness.tiny import CONFIG as TINY
from tests.robustness.tiny import TinyNet
from tracker import DMB, Result, StateFileError
from tracker.checkpoints.weights import checksum, halve, load_weights, write_tensors
from tracker.config import AppearanceConfig, ClickConfig, GateConfig, TrackerConfig
from tracker.engine.engine import Engine
from tracker.network import DMBNet
from tracker.tracking.state import FORMAT, _digest, _read
from tracker.tracking.tracker import StateError

CONFIG: TrackerConfig = replace(
    TINY,
    appearance=AppearanceConfig(sampling_interval=3, max_frames=3),
    gate=GateConfig(rule="relative", queue_length=4),
    filter=replace(TINY.filter, update_interval=4, sample_capacity=30),
)
BOX = (60.0, 50.0, 40.0, 36.0)
BEFORE, AFTER = 5, 10  # frames; saved between two frames that stay, and places in both memories are reused


def scene(step: int) -> np.ndarray:
    """A bright box that moves over a textured background."""
    small = np.random.default_rng(0).integers(40, 160, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(small, (200, 150), interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(image, (60 + 3 * step, 50 + 2 * step), (99 + 3 * step, 85 + 2 * step), (220, 20, 30), -1)
    return image  # type: ignore[return-value]


def network() -> DMBNet:
    return cast(DMBNet, TinyNet().eval())


@pytest.fixture
def model() -> DMBNet:
    return network()


def follow(dmb: DMB, steps: range) -> list[Result]:
    return [dmb.track(scene(step)) for step in steps]


def started(model: DMBNet, config: TrackerConfig = CONFIG) -> DMB:
    dmb = DMB(Engine(model, precision="float32"), config)
    dmb.initialize(scene(0), BOX)
    follow(dmb, range(1, BEFORE))
    return dmb


def assert_equal(now: list[Result], before: list[Result]) -> None:
    for one, other in zip(now, before, strict=True):
        assert np.array_equal(one.mask, other.mask) and np.array_equal(one.polygon, other.polygon)
        assert (one.box, one.confidence, one.center) == (other.box, other.confidence, other.center)
        assert (one.frame_index, one.remembered, one.decision) == (other.frame_index, other.remembered, other.decision)


def go_on(path: Path) -> None:
    """In the other process: track on, and leave the answers beside the state."""
    torch.set_num_threads(1)
    results = follow(DMB.load(path, Engine(network(), precision="float32")), range(BEFORE, BEFORE + AFTER))
    np.savez(
        path.with_suffix(".npz"),
        masks=[result.mask for result in results],
        polygons=[result.polygon for result in results],
        numbers=[(*result.box, result.confidence, *result.center, result.remembered) for result in results],
    )


def test_tracking_goes_on_in_a_new_process_bit_by_bit(model: DMBNet, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dmb = started(model)
        path = tmp_path / "kite.safetensors"
        dmb.save(path)
        results = follow(dmb, range(BEFORE, BEFORE + AFTER))
    finally:
        torch.set_num_threads(threads)
    assert len(dmb.spatial.samples.stored()[0]) == CONFIG.filter.sample_capacity, "slots are reused"
    code = f"from pathlib import Path; from tests.tracking.test_state import go_on; go_on(Path({str(path)!r}))"
    subprocess.run([sys.executable, "-c", code], env=clean_environment(), cwd=CHECKOUT, check=True)
    found = np.load(path.with_suffix(".npz"))
    assert np.array_equal(found["masks"], [result.mask for result in results])
    assert np.array_equal(found["polygons"], [result.polygon for result in results])
    numbers = [(*result.box, result.confidence, *result.center, result.remembered) for result in results]
    assert np.array_equal(found["numbers"], numbers)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".npz"] == ["kite.safetensors"]


@pytest.mark.parametrize("kind", ["bfloat16", "no filter", "lost", "first frame", "mask", "gate of the paper"])
def test_every_kind_of_tracker_goes_on(model: DMBNet, tmp_path: Path, kind: str) -> None:
    config = CONFIG
    if kind == "no filter":
        config = replace(CONFIG, filter=replace(CONFIG.filter, enabled=False))
    elif kind == "gate of the paper":
        config = replace(CONFIG, gate=GateConfig())
    elif kind == "lost":
        config = replace(CONFIG, gate=replace(CONFIG.gate, lost_above=1e-9))
    dmb = DMB(Engine(model, precision="bfloat16" if kind == "bfloat16" else "float32"), config)
    dmb.initialize(scene(0), scene(0)[:, :, 0] > 200 if kind == "mask" else BOX, masks=kind != "gate of the paper")
    last = 1 if kind == "first frame" else 3
    follow(dmb, range(1, last))
    if kind == "lost":
        assert dmb.localizer.lost_frames == last - 1
    dmb.save(tmp_path / "state")
    twin = DMB.load(tmp_path / "state", dmb.engine)
    twin.save(tmp_path / "again")
    one, other = _read(tmp_path / "again"), _read(tmp_path / "state")
    assert one.facts == other.facts and one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())
    assert twin.localizer.lost_frames == dmb.localizer.lost_frames and twin.appearance.frames == dmb.appearance.frames
    probability, same = dmb.probability(), twin.probability()
    assert (probability is None) == (same is None) and (same is None or np.array_equal(probability, same))
    assert_equal(follow(twin, range(last, last + 3)), follow(dmb, range(last, last + 3)))


def test_saving_changes_nothing_and_the_file_stays_when_tracking_goes_on(model: DMBNet, tmp_path: Path) -> None:
    untouched, dmb = started(model), started(model)
    dmb.save(tmp_path / "state")
    saved = (tmp_path / "state").read_bytes()
    further = range(BEFORE, BEFORE + 2)
    assert_equal(follow(dmb, further), follow(untouched, further))
    assert (tmp_path / "state").read_bytes() == saved
    twin = DMB.load(tmp_path / "state", model)
    twin.initialize(scene(0), BOX)  # a tracker that was loaded starts anew like any other
    assert twin.frame_index == 0 and twin.appearance.frames == [0]


def test_another_precision_may_go_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DMBNet().eval().requires_grad_(False)  # the real network, whose memory rows have the engine's precision
    dmb = DMB(Engine(model, precision="bfloat16"), CONFIG)
    dmb.initialize(scene(0), BOX)
    assert dmb.appearance.rows()[0].dtype == torch.bfloat16
    dmb.save(tmp_path / "state")
    twin = DMB.load(tmp_path / "state", Engine(model, precision="float32"))
    assert twin.appearance.rows()[0].dtype == torch.float32
    assert np.isfinite(twin.track(scene(1)).polygon).all()


def test_all_attributes_of_a_tracker_are_known(model: DMBNet) -> None:
    saved = {"frame_index", "from_mask", "masks", "center", "size", "angle", "max_gap", "shape", "trusted_shape"}
    saved |= {"blind", "steady", "initial_area", "initial_size", "framing", "view", "levels", "masks_asked"}
    saved |= {"appearance", "spatial", "localizer", "gate"}
    made = {"config", "engine", "maps"}
    dmb = started(model)
    assert set(vars(dmb)) == saved | made, "a new attribute: save it in tracker/tracking/state.py, or name it here"
    assert set(vars(dmb.localizer)) == {"engine", "config", "cells", "memory", "lost_frames", "shared"}
    assert set(vars(dmb.gate)) == {"config", "_queue", "_judged"}
    assert set(vars(dmb.appearance)) == {"config", "_keys", "_values", "_frames", "_kept"}


def test_there_is_nothing_to_save_before_the_first_frame(model: DMBNet, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="before initialize"):
        DMB(model, CONFIG).save(tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_where_it_cannot_be_written_the_old_file_survives(
    model: DMBNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dmb = started(model)
    with pytest.raises(StateFileError, match=r"cannot be written .*No such file or directory.*name a file in a fold"):
        dmb.save(tmp_path / "nowhere" / "state")
    dmb.save(tmp_path / "state")
    before = (tmp_path / "state").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tracker.checkpoints.weights.save_file", full)
    with pytest.raises(StateFileError, match="No space left"):
        dmb.save(tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def damaged(path: Path, how: str) -> None:
    """Damage a state file."""
    content = bytearray(path.read_bytes())
    if how == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif how == "a flipped bit":
        content[-100] ^= 1
        path.write_bytes(content)
    elif how == "an edited fact":
        path.write_bytes(bytes(content).replace(b'\\"lost_frames\\": 0', b'\\"lost_frames\\": 7'))
    elif how == "no safetensors":
        path.write_text("hello")
    elif how == "a weights file":
        save_file({"a": torch.zeros(1)}, str(path), metadata={"format": "dmb-1"})
    elif how == "gone":
        path.unlink()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("cut off", "is damaged, or not a state of DMB .*name a file that DMB.save wrote"),
        ("a flipped bit", "is damaged .*save the state again"),
        ("an edited fact", "is damaged .*save the state again"),
        ("no safetensors", "is damaged, or not a state of DMB"),
        ("a weights file", r"format 'dmb-1', expected 'dmb-state-1'"),
        ("gone", "does not exist; name a file that DMB.save wrote"),
    ],
)
def test_damaged_and_foreign_files_get_one_sentence(model: DMBNet, tmp_path: Path, how: str, sentence: str) -> None:
    path = tmp_path / "state"
    started(model).save(path)
    before = path.read_bytes()
    damaged(path, how)
    assert not path.exists() or path.read_bytes() != before
    with pytest.raises(StateFileError, match=sentence) as caught:
        DMB.load(path, model)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_other_weights_are_refused(model: DMBNet, tmp_path: Path) -> None:
    path, other = tmp_path / "state", network()
    other.colors.data[0, 0] += 0.1
    started(model).save(path)
    with pytest.raises(StateFileError, match=r"saved with other weights .* load the weights that it was saved with"):
        DMB.load(path, other)


def edit_config(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the configuration in a state file, as if another version had saved it."""
    facts = _read(path).facts
    edit(facts["config"])
    text = json.dumps(facts)
    write_tensors(load_file(path), path, {"format": FORMAT, "state": text, "state_checksum": _digest(text)})


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda config: config["mask"].update(sharpness=1.0), "mask.sharpness"),
        (lambda config: config["mask"].pop("threshold"), "mask.threshold"),
        (lambda config: config.update(smell={"nose": 1}), "'smell'"),
    ],
)
def test_a_file_of_another_version_is_refused(
    model: DMBNet, tmp_path: Path, edit: Callable[[dict[str, Any]], object], told: str
) -> None:
    path = tmp_path / "state"
    started(model).save(path)
    edit_config(path, edit)
    with pytest.raises(StateFileError, match=rf"{told} .*load it with the version that saved it"):
        DMB.load(path, model)


def test_the_configuration_comes_back_as_it_was(model: DMBNet, tmp_path: Path) -> None:
    config = replace(CONFIG, click=ClickConfig(sides=(0.1, 0.25), rounds=3))
    started(model, config).save(tmp_path / "state")
    loaded = DMB.load(tmp_path / "state", model).config
    assert loaded == config and loaded.click.sides == (0.1, 0.25)
    assert hash(loaded) == hash(config)


def test_a_file_from_before_there_were_clicks_goes_on(model: DMBNet, tmp_path: Path) -> None:
    path = tmp_path / "state"
    dmb = started(model, replace(CONFIG, click=ClickConfig(rounds=5)))
    dmb.save(path)
    edit_config(path, lambda config: config.pop("click"))
    twin = DMB.load(path, dmb.engine)
    assert twin.config == CONFIG and twin.config.click == ClickConfig()
    further = range(BEFORE, BEFORE + 2)
    assert_equal(follow(twin, further), follow(dmb, further))


def test_pixels_that_nobody_reads_are_not_saved(model: DMBNet, tmp_path: Path) -> None:
    dmb = started(model)
    assert dmb.view is not None
    dmb.save(tmp_path / "state")
    tensors = _read(tmp_path / "state").tensors
    assert "target.view.probability" in tensors and "target.view.pixels" not in tensors


def test_a_tracker_is_copied_and_pickled(model: DMBNet) -> None:
    """Each goes on for itself, from where the first one stood."""
    dmb = started(model)
    memory = dmb.engine.network  # what runs cannot be copied, and is made anew
    copied, pickled = copy.deepcopy(dmb), pickle.loads(pickle.dumps(dmb))
    assert copied.engine is dmb.engine and pickled.engine is not dmb.engine and memory is dmb.engine.network
    assert pickled.engine.model is not dmb.engine.model
    first, *others = ([tracker.track(scene(step)).mask for step in range(6, 9)] for tracker in (dmb, copied, pickled))
    assert all(np.array_equal(masks, first) for masks in others)


def test_the_real_network_is_pickled_before_and_after_it_has_run(weights_file: Path) -> None:
    engine = Engine(load_weights(weights_file))
    before = pickle.loads(pickle.dumps(engine))
    assert engine.network is engine.model
    after = pickle.loads(pickle.dumps(engine))
    assert after.network is not engine.network and copy.deepcopy(engine) is engine
    crop = engine.normalize(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8))
    answers = [each.encode_query(crop).stride16 for each in (engine, before, after)]
    assert torch.equal(answers[1], answers[0]) and torch.equal(answers[2], answers[0])


def test_the_state_names_the_same_network_before_and_after_it_has_run(weights_file: Path) -> None:
    given = load_weights(weights_file)
    expected = checksum(halve(given.state_dict()))
    assert given.checksum == expected  # so a state of an earlier version, which computed it, is of the same network
    assert given.train().checksum is None  # what is trained is another one
