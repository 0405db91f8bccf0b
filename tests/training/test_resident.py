"""Data on the device: what is made there is what the host makes of the files, and a run goes on as any other."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from tests.training.test_loop import losses
from tests.training.test_synthesis import frame, picture
from tracker.data.masks import VOID
from tracker.training import resident
from tracker.training.ahead import DEPTH, Ahead
from tracker.training.assembly import inside
from tracker.training.data import DataError, Frame
from tracker.training.distributed import World
from tracker.training.drawer import MaterialDrawer
from tracker.training.loop import Trainer
from tracker.training.packing import Packed
from tracker.training.plan import Stage, TrainingConfig
from tracker.training.recipes import SOURCE_SIZE, Recipe
from tracker.training.report import Report
from tracker.training.resident import Shelf
from tracker.training.run import place_data
from tracker.training.sources import Files

CPU = torch.device("cpu")


def stored(image: np.ndarray, ids: np.ndarray, name: str) -> Frame:
    """A frame that decodes to exactly these pixels."""
    files = [cv2.imencode(".png", pixels)[1].tobytes() for pixels in (image[..., ::-1], ids)]
    return Frame(name, *files)


def clip(size: tuple[int, int], radius: int, count: int = 4) -> list[Frame]:
    """A video of noise with a moving disc (id 5), a still one (id 2) and a band of VOID."""
    height, width = size
    frames = []
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        ids = np.zeros(size, np.uint8)
        cv2.circle(ids, (width // 2 + 9 * index, height // 2), radius, 5, -1)
        cv2.circle(ids, (width // 6, height // 3), 12, 2, -1)
        ids[-20:] = VOID
        frames.append(stored(image, ids, f"v/{index}"))
    return frames


def files(damaged: bool = False) -> Files:
    """Stills of several sizes, of which some are larger than a source, and videos that are shrunk and that are not."""
    stills = [frame(seed) for seed in range(4)]
    stills += [stored(*picture(4, size), f"s/{size}") for size in ((320, 200), (401, 620), (150, 500))]
    edge = np.zeros((150, 240), np.uint8)
    cv2.circle(edge, (240, 150), 60, 1, -1)  # what is repeated as padding is no part of it
    stills.append(stored(picture(5, edge.shape)[0], edge, "s/edge"))
    videos = {"far": clip((360, 640), 20), "near": clip((361, 639), 90), "small": clip((140, 200), 80)}
    if damaged:
        stills.append(Frame("s/bad", b"no image", stills[0].mask))
        videos["near"][1] = Frame("v/bad", b"no image", b"no mask")
    return Files(stills, videos)


@pytest.fixture(scope="module")
def pictures() -> tuple[Files, Shelf]:
    host = files()
    return host, Shelf(host, CPU)


def both(
    pictures: tuple[Files, Shelf], count: int, video_share: float, **shares: float
) -> tuple[list[Recipe], Packed, Packed]:
    """Samples by the same random numbers from the files and from the device; the latter's recipes too."""
    made = []
    for place in pictures:
        drawer, rng = MaterialDrawer(place, **shares), np.random.default_rng(3)  # type: ignore[arg-type]
        recipes = [drawer.draw(3, rng, video_share=video_share) for _ in range(count)]
        made.append((recipes, place.pack(recipes)))
    (ours, host), (theirs, device) = made
    assert ours == theirs, "one policy"
    for name in ("target", "background", "distractor", "video", "extents"):
        assert np.array_equal(getattr(host, name), getattr(device, name))
    return theirs, host, device


def agreement(host: Packed, device: Packed) -> float:
    """The smallest IoU of any two masks, but for their padding."""
    shown = inside(torch.from_numpy(host.extents))
    ours, theirs = (host.masks == 1) & shown, (device.masks == 1) & shown
    return float(((ours & theirs).sum((1, 2)) / (ours | theirs).sum((1, 2))).min())


def test_plain_stills_are_the_very_same(pictures: tuple[Files, Shelf]) -> None:
    _, host, device = both(pictures, 12, 0.0, composite_share=1.0, distractor_share=1.0, twin_share=0.3)
    assert len(host.images) == 8, "every still is drawn, and packed once"
    assert torch.equal(host.images, device.images) and torch.equal(host.masks, device.masks)
    assert np.array_equal(host.centres, device.centres) and np.array_equal(host.sizes, device.sizes)


def test_videos_are_cut_alike(pictures: tuple[Files, Shelf]) -> None:
    recipes, host, device = both(pictures, 16, 1.0, distractor_share=0.0)
    cuts = {(cut.facts.extent, cut.target, cut.scale) for recipe in recipes for cut in recipe.target}  # type: ignore[union-attr]
    assert {target for _, target, _ in cuts} == {2, 5}
    assert {scale == 1.0 for _, _, scale in cuts} == {True, False}
    difference = (host.images.int() - device.images.int()).abs()
    assert difference.max() <= 1, "OpenCV's areas, but for rounding"
    assert (difference > 0).float().mean() < 0.02
    assert (host.masks != device.masks).float().mean() < 1e-3 and agreement(host, device) > 0.98
    assert set(device.masks.unique().tolist()) == {0, 1, VOID}
    assert np.abs(host.centres - device.centres).max() <= 0.5 and np.abs(host.sizes - device.sizes).max() <= 1.0


def test_parts_are_one_side_of_the_same_line(pictures: tuple[Files, Shelf]) -> None:
    recipes, host, device = both(pictures, 16, 0.0, part_share=1.0, distractor_share=0.0)
    assert agreement(host, device) > 0.98
    assert torch.equal(host.images, device.images)
    shown = inside(torch.from_numpy(device.extents)) & (device.masks == 1)
    for recipe, row in zip(recipes, device.target[:, 0], strict=True):
        assert 0.35 < shown[row].sum() / recipe.target[0].facts.objects[1].area < 0.65
    assert np.abs(host.centres - device.centres).max() <= 1.0 and np.abs(host.sizes - device.sizes).max() <= 2.0


def test_pairs_show_both_objects(pictures: tuple[Files, Shelf]) -> None:
    recipes, host, device = both(pictures, 16, 0.0, pair_share=1.0, distractor_share=0.0, composite_share=0.0)
    assert agreement(host, device) > 0.95
    assert np.abs(host.centres - device.centres).max() <= 1.0 and np.abs(host.sizes - device.sizes).max() <= 2.0
    added = 0
    for recipe, row in zip(recipes, device.target[:, 0], strict=True):
        still = recipe.target[0]
        image, mask = pictures[1]._images[still.number], pictures[1]._masks[still.number]
        assert (device.masks[row][mask == 1] == 1).all()
        assert torch.equal(device.images[row][mask == 1], image[mask == 1])
        width, height = still.facts.extent
        assert torch.equal(device.masks[row][height:], mask[height:]), "nothing is pasted on padding"
        assert torch.equal(device.masks[row][:, width:], mask[:, width:])
        piece = (device.masks[row] == 1) & (mask == 0)
        if piece.any():
            added += 1
            red = device.images[row][piece][:, 0].float().mean()
            assert red > 150, "it shows the second object, which is red"
    assert added > 8
    assert (host.images.int() - device.images.int()).abs().float().mean() < 1.0


def test_a_hidden_second_object_changes_nothing() -> None:
    full = np.ones((SOURCE_SIZE, SOURCE_SIZE), np.uint8)
    image = np.full((*full.shape, 3), 90, np.uint8)
    host = Files([stored(image, full, "s/full")], {})
    _, ours, theirs = both((host, Shelf(host, CPU)), 4, 0.0, pair_share=1.0, distractor_share=0.0, composite_share=0.0)
    assert torch.equal(ours.images, theirs.images) and torch.equal(ours.masks, theirs.masks)


def test_damaged_files_are_reported_once_and_not_drawn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shelf = Shelf(files(damaged=True), CPU, quiet=True)
        drawer, rng = MaterialDrawer(shelf), np.random.default_rng(0)
        recipes = [drawer.draw(3, rng, video_share=0.5) for _ in range(40)]
    assert sorted(record.message.split("'")[1] for record in caplog.records) == ["s/bad", "v/bad"]
    assert all("skipped" in record.message for record in caplog.records)
    assert 8 not in {source.number for recipe in recipes if not recipe.video for source in recipe.target}
    bad = shelf.videos[1].start + 1
    drawn = {source.number for recipe in recipes if recipe.video for source in recipe.target}
    assert bad not in drawn and len(drawn) > 4
    assert shelf.pack(recipes).target.shape == (40, 3)


def test_the_memory_is_stated_and_too_little_of_it_is_one_sentence(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = files(damaged=True)
    needed = 4 * (9 * 320 * 320 + 4 * (360 * 640 + 361 * 639 + 140 * 200))
    assert resident.needed_memory(host) == needed
    for free, fits in ((needed, True), (needed - 1, False), (None, True)):
        monkeypatch.setattr(resident, "free_memory", lambda device, free=free: free)
        with caplog.at_level(logging.INFO):
            if fits:
                Shelf(host, CPU, quiet=True)
            else:
                with pytest.raises(DataError, match=r"^the decoded training data take 0\.0 GB, .*: --data-on host$"):
                    Shelf(host, CPU, quiet=True)
    assert f"onto cpu: {needed / 1e9:.1f} GB" in caplog.text


def test_free_memory_is_known_on_linux() -> None:
    if not Path("/proc/meminfo").is_file():
        pytest.skip("no Linux")
    free = resident.free_memory(CPU)
    assert free is not None and 1e6 < free < 1e14


def test_data_go_where_they_are_asked_to() -> None:
    host = files()
    assert place_data(None, host, CPU, World()) is host and place_data("host", host, CPU, World()) is host
    assert isinstance(place_data("device", host, CPU, World()), Shelf)


def trainer(output: Path, trunk: Path | None, pictures: Shelf, accumulate: int = 1, steps: int = 4) -> Trainer:
    stages = (Stage(steps=steps, size=64, frames=3, batch=2, factor=(2.0, 2.5)),)
    config = TrainingConfig(stages=stages, warmup=1, seed=3, part_share=0.3, pair_share=0.3)
    drawer = MaterialDrawer(pictures, part_share=0.3, pair_share=0.3)
    return Trainer(config, drawer, trunk=trunk, output=output, device=CPU, accumulate=accumulate)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The losses of the steps that `Trainer.run` does, as they come."""
    values: list[float] = []
    step = Report.step

    def noted(self: Report, number: int, facts: object, waited: float) -> None:
        values.append(facts.loss)  # type: ignore[attr-defined]
        assert waited > 0
        step(self, number, facts, waited)  # type: ignore[arg-type]

    monkeypatch.setattr(Report, "step", noted)
    return values


def living() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "data ahead"]


def test_a_run_that_is_ended_by_a_signal_goes_on_with_the_same_losses(
    tmp_path: Path, trunk: Path, pictures: tuple[Files, Shelf], told: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path / "whole", trunk, pictures[1], steps=3).run()
    expected = told.copy()
    assert len(expected) == 3 and not living()
    told.clear()
    run = trainer(tmp_path / "parts", trunk, pictures[1], steps=3)
    train_step = run.train_step

    def interrupted(material: object) -> object:
        if run.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(material)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "train_step", interrupted)
    run.run()
    assert run.step == 2 and not living()
    trainer(tmp_path / "parts", None, pictures[1], steps=3).run()
    assert told == expected


def test_parts_of_a_batch_are_prepared_in_their_order(
    tmp_path: Path, trunk: Path, pictures: tuple[Files, Shelf]
) -> None:
    run = trainer(tmp_path, trunk, pictures[1], accumulate=2)
    composed = list(run.stream(range(1, 3)))
    assert len(composed) == 4
    for batch, (step, part) in zip(composed, ((1, 0), (1, 1), (2, 0), (2, 1)), strict=True):
        assert torch.equal(batch.images, run._batch(run.dataset[step, part], step, part).images)
    assert len(losses(run, 1)) == 1


def test_an_error_of_the_thread_ends_the_training_with_its_sentence(tmp_path: Path, trunk: Path) -> None:
    good = trainer(tmp_path / "first", trunk, Shelf(files(), CPU))
    good.save()
    bad = Files([Frame("s/bad", b"", b"")], {})
    run = trainer(tmp_path / "first", None, Shelf(bad, CPU))
    with pytest.raises(DataError, match=r"^200 stills in a row hold no object"):
        run.run()
    assert not living()


def make(seen: list[int]) -> Callable[[int, int], SimpleNamespace]:
    def made(step: int, part: int) -> SimpleNamespace:
        seen.append(step)
        return SimpleNamespace(step=step)

    return made


def test_the_thread_prepares_no_more_than_it_shall_and_ends_with_the_iterator() -> None:
    seen: list[int] = []
    items = iter(Ahead(make(seen), [(step, 0) for step in range(50)], CPU))
    for _ in range(3):
        next(items)
    items.close()  # type: ignore[attr-defined]
    assert not living()
    assert 3 <= len(seen) <= 3 + DEPTH


@pytest.mark.parametrize("idle", [True, False])
def test_waiting_does_not_count_while_the_device_is_busy(monkeypatch: pytest.MonkeyPatch, idle: bool) -> None:
    monkeypatch.setattr(Ahead, "_queued", lambda self: SimpleNamespace(query=lambda: idle))
    ahead = Ahead(make([]), [(step, 0) for step in range(3)], CPU)
    assert len(list(ahead)) == 3
    assert (ahead.waited > 0) == idle
