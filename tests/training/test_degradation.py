"""Sample families: each does what it says to its share of the samples, and leaves all else as it was."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tests.training.test_synthesis import compose, drawer
from tracker.training.degradation import (
    Families,
    FamilyDraws,
    compressed,
    hidden_frames,
    line_kernel,
    mask_error,
    motion_blur,
    recorded,
    relit,
)
from tracker.training.drawer import MaterialDrawer
from tracker.training.synthesis import IGNORE, SynthesisConfig

__all__ = ["drawer"]  # the fixture

CONFIG = SynthesisConfig(size=128, frames=3, factor=(1.5, 2.0), box_mask_share=0.0)
NAMES = [field.name for field in fields(Families)]
CENTER = np.array([40.0, 24.0], np.float32)


def noise(count: int = 1, size: int = 64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (count, 3, size, size)).astype(np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_a_family_changes_its_own_samples_alone_and_the_same_ones_again(drawer: MaterialDrawer, name: str) -> None:
    plain = compose(drawer, CONFIG, 8, seed=2)
    half = replace(CONFIG, families=Families(**{name: 0.5}))
    batch, again = (compose(drawer, half, 8, seed=2) for _ in range(2))
    assert torch.equal(batch.images, again.images) and torch.equal(batch.labels, again.labels)
    chosen = FamilyDraws(half.families, 8, [2]).chosen[name.removesuffix("_share")]
    assert 0 < len(chosen) < 8
    if name == "corrupt_memory_share":
        assert plain.memory_error is None and batch.memory_error is not None
        assert torch.equal(batch.memory_error, again.memory_error)  # type: ignore[arg-type]
        changed, same = batch.memory_error.flatten(1).any(1), torch.equal(batch.images, plain.images)
        assert same and not batch.memory_error[:, [0, 2]].any(), "the middle frame's alone"
    else:
        changed = (batch.images != plain.images).flatten(1).any(1)
    assert changed.nonzero().flatten().tolist() == chosen
    moved = (batch.labels != plain.labels).flatten(1).any(1)
    assert moved.nonzero().flatten().tolist() == (chosen if name == "occlusion_share" else [])
    for one, other in ((batch.maps, plain.maps), (batch.memory_mask, plain.memory_mask)):
        assert torch.equal(one, other)


def test_every_family_draws_its_own_samples() -> None:
    draws = FamilyDraws(Families(**dict.fromkeys(NAMES, 0.5)), 40, [1, 2])
    assert len({tuple(chosen) for chosen in draws.chosen.values()}) == len(NAMES)
    alone = FamilyDraws(Families(light_share=0.5), 40, [1, 2])
    assert alone.chosen["light"] == draws.chosen["light"] and alone.chosen["blur"] == []


def test_an_occluder_hides_most_of_the_target_in_a_later_frame(drawer: MaterialDrawer) -> None:
    plain, hidden = (
        compose(drawer, replace(CONFIG, families=Families(occlusion_share=share)), 12, seed=4) for share in (0.0, 1.0)
    )
    before, after = ((batch.labels == 1).sum((2, 3, 4)).float() for batch in (plain, hidden))
    assert torch.equal(before[:, 0], after[:, 0]), "the first frame shows it whole"
    seen = (after / before.clamp(min=1))[:, 1:].min(1).values
    assert seen.mean() < 0.35 and (seen < 0.8).all()
    assert not ((hidden.labels == 1) & (plain.labels != 1)).any()
    frames = [set(hidden_frames(3, np.random.default_rng(seed))) for seed in range(40)]
    assert {1} in frames and {2} in frames and {1, 2} in frames and len({*map(tuple, frames)}) == 3


def test_small_targets_lose_their_detail_and_keep_their_light() -> None:
    images = noise(2)
    seen = recorded(images, 0.25, None)
    assert seen.shape == images.shape and seen.std() < 0.4 * images.std()
    assert seen.mean() == pytest.approx(float(images.mean()), rel=0.02)
    assert torch.equal(recorded(images, 1.0, None), images)


def test_compression_leaves_blocks_of_the_same_scene() -> None:
    x = torch.linspace(0, 255, 64)
    ramp = torch.stack([x.expand(64, 64), x.flip(0).expand(64, 64), x.view(-1, 1).expand(64, 64)]).unsqueeze(0)
    seen = compressed(ramp, np.random.default_rng(3))
    difference = (seen - ramp).abs()
    assert 0.5 < difference.mean() < 25.0 and seen.shape == ramp.shape
    assert (seen[0, 0, :, -8:].mean() > 200) and (seen[0, 1, :, -8:].mean() < 60), "colors stay in their order"


def test_a_moving_point_becomes_a_line_along_its_path() -> None:
    kernel = line_kernel(np.array([12.0, 0.0]))
    assert kernel.sum() == pytest.approx(1.0)
    rows, columns = np.nonzero(kernel > 1e-3)
    assert np.ptp(columns) in (12, 13) and np.ptp(rows) == 0
    assert (line_kernel(np.array([0.0, 12.0])) == kernel.T).all()
    center = (np.arange(len(kernel)) * kernel.sum(0)).sum()
    assert center == pytest.approx(len(kernel) // 2, abs=0.01)


def test_motion_blurs_the_target_or_everything() -> None:
    image, alpha = noise()[0], torch.zeros(1, 64, 64)
    alpha[:, 20:44, 20:44] = 1.0
    for everything in (True, False):
        seen = motion_blur(image, alpha, np.array([10.0, 4.0]), everything=everything)
        assert seen[:, 28:36, 28:36].std() < 0.6 * image[:, 28:36, 28:36].std()
        assert torch.allclose(seen[:, :10], image[:, :10], atol=0.01) != everything


def test_light_changes_strongly_and_differs_from_frame_to_frame() -> None:
    rng = np.random.default_rng(1)
    flat = torch.full((3, 64, 64), 100.0)
    lit = torch.stack([relit(flat, rng) for _ in range(24)])
    means = lit.mean((1, 2, 3))
    assert means.min() < 50 and means.max() > 150 and lit.min() >= 0 and lit.max() <= 255
    assert (lit.std((2, 3)).mean(1) > 5).float().mean() > 0.5, "it comes from one side"


def test_wrong_memories_have_a_piece_too_much_or_too_little() -> None:
    rng = np.random.default_rng(2)
    errors = [mask_error(64, CENTER, 20.0, rng) for _ in range(30)]
    signs = {float(error.sum().sign()) for error in errors}
    assert signs == {1.0, -1.0}
    for error in errors:
        assert error.abs().max() == 1.0 and error.shape == (64, 64)
        if error.sum() > 0:
            rows, columns = np.nonzero(error.numpy() > 0.5)
            away = np.hypot(columns.mean() - CENTER[0], rows.mean() - CENTER[1])
            assert 8 <= away <= 20 and len(rows) < 600, "beside the target, and no larger"


def test_families_together_keep_the_batch_as_promised(drawer: MaterialDrawer) -> None:
    batch = compose(drawer, replace(CONFIG, frames=4, families=Families(**dict.fromkeys(NAMES, 1.0))), 3)
    assert batch.images.shape == (3, 4, 3, 128, 128) and batch.images.isfinite().all()
    assert batch.images.min() >= 0 and batch.images.max() <= 255
    assert (batch.images[:, :, 0] - batch.images[:, :, 2]).abs().median() < 12, "gray, but for what compression adds"
    assert set(batch.labels.unique().tolist()) <= {IGNORE, 0.0, 1.0}
    assert batch.memory_error is not None and batch.memory_error[:, 1:3].flatten(2).any(2).all()
