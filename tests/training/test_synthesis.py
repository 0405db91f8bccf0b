"""Training samples: geometry, composition, boxes and reproducibility, on material made here."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from tracker.data.masks import VOID
from tracker.training.data import Frame
from tracker.training.drawer import MaterialDrawer
from tracker.training.sources import Files
from tracker.training.synthesis import IGNORE, Batch, SynthesisConfig, Synthesizer

CPU = torch.device("cpu")


def picture(seed: int, size: tuple[int, int] = (200, 288)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (8, 10, 3), dtype=np.uint8)
    image = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(mask, (150, 100), (50, 30), 20, 0, 360, 1, -1)
    image[mask > 0] = (200, 30, 40)
    return image, mask


def frame(seed: int, ids: dict[int, int] | None = None, shift: int = 0) -> Frame:
    image, mask = picture(seed)
    mask = np.roll(mask, shift, 1)
    stored = mask * 255 if ids is None else np.vectorize(lambda value: ids.get(value, 0))(mask).astype(np.uint8)
    files = ((".webp", image[..., ::-1]), (".png", stored))
    encode = [cv2.imencode(suffix, data)[1].tobytes() for suffix, data in files]
    return Frame(f"s/{seed:05d}", *encode)


@pytest.fixture(scope="module")
def drawer() -> MaterialDrawer:
    videos = {"v": [frame(1, {1: 3}, shift=4 * index) for index in range(6)]}
    return MaterialDrawer(Files([frame(seed) for seed in range(4)], videos))


def compose(drawer: MaterialDrawer, config: SynthesisConfig, count: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    packed = drawer.pictures.pack([drawer.draw(config.frames, rng, video_share=0.4) for _ in range(count)])
    return Synthesizer(config, device=CPU).compose(packed, [seed])


def test_holders_are_large_and_leave_the_label_alone(drawer: MaterialDrawer) -> None:
    drawer.distractor_share, before = 1.0, drawer.distractor_share
    try:
        config = SynthesisConfig(size=64, factor=(2.0, 3.0), map_miss=0.0, box_mask_share=0.0)
        plain, held = (compose(drawer, replace(config, holder_share=share), 12, seed=5) for share in (0.0, 1.0))
    finally:
        drawer.distractor_share = before
    changed = (plain.labels[:, 0] != held.labels[:, 0]).float().mean()
    assert changed < 0.01, "in the first frame nothing lies over the target; its soft border may give way"
    covered = (plain.images - held.images).abs().amax((1, 2)) > 20.0
    shares = covered.flatten(1).float().mean(1)
    assert (shares > 0.1).any(), "twice as large, they cover background that they did not cover before"


def test_batch_has_the_promised_shapes_and_values(drawer: MaterialDrawer) -> None:
    batch = compose(drawer, SynthesisConfig(size=64, frames=3, factor=(2.0, 3.0)), 6)
    assert batch.images.shape == (6, 3, 3, 64, 64)
    assert batch.maps.shape == (6, 3, 1, 4, 4)
    assert batch.memory_mask.shape == (6, 1, 64, 64)
    assert batch.images.min() >= 0 and batch.images.max() <= 255
    assert set(batch.labels.unique().tolist()) <= {IGNORE, 0.0, 1.0}
    assert 0 <= batch.padding < 0.35
    # the first frame is centered on its target
    assert np.abs(batch.centers[:, 0] - 31.5).max() < 8
    share = (batch.labels[:, 0] > 0).float().mean((1, 2, 3))
    assert ((share > 0.03) & (share < 0.7)).all()


def test_box_masks_are_the_boxes_of_the_first_labels(drawer: MaterialDrawer) -> None:
    batch = compose(drawer, SynthesisConfig(size=64, frames=2, factor=(2.0, 3.0), box_mask_share=1.0), 4)
    for mask, label in zip(batch.memory_mask[:, 0].numpy(), batch.labels[:, 0, 0].numpy(), strict=True):
        rows, columns = np.flatnonzero((label > 0).any(1)), np.flatnonzero((label > 0).any(0))
        expected = np.zeros_like(mask)
        expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
        assert np.array_equal(mask, expected)


def test_the_map_is_near_zero_at_the_target(drawer: MaterialDrawer) -> None:
    config = SynthesisConfig(size=128, frames=3, factor=(2.0, 3.0), map_jitter=0.0, map_miss=0.0)
    batch = compose(drawer, config, 4)
    for maps, centers in zip(batch.maps[:, :, 0].numpy(), batch.centers, strict=True):
        for values, (x, y) in zip(maps, centers, strict=True):
            row, column = np.unravel_index(values.argmin(), values.shape)
            assert abs(column * 16 + 7.5 - x) <= 8.5 and abs(row * 16 + 7.5 - y) <= 8.5


def test_the_response_is_highest_at_the_target(drawer: MaterialDrawer) -> None:
    config = SynthesisConfig(
        size=128, frames=3, factor=(2.0, 3.0), map_jitter=0.0, map_miss=0.0, spatial_map="response"
    )
    batch = compose(drawer, config, 6)
    heights = []
    for maps, centers in zip(batch.maps[:, :, 0].numpy(), batch.centers, strict=True):
        for values, (x, y) in zip(maps, centers, strict=True):
            row, column = np.unravel_index(values.argmax(), values.shape)
            # noise may lift a neighbor of the cell that the center lies in
            assert abs(column * 16 + 7.5 - x) <= 24 and abs(row * 16 + 7.5 - y) <= 24
            heights.append(values.max())
    assert 0.1 < min(heights) < max(heights) < 1.25 and np.ptp(heights) > 0.2


def test_the_same_seed_gives_the_same_batch(drawer: MaterialDrawer) -> None:
    def batch(seed: int) -> torch.Tensor:
        rng = np.random.default_rng(3)
        packed = drawer.pictures.pack([drawer.draw(2, rng, video_share=0.4) for _ in range(3)])
        return Synthesizer(SynthesisConfig(size=64, frames=2), device=CPU).compose(packed, [seed, 1]).images

    assert torch.equal(batch(5), batch(5))
    assert not torch.equal(batch(5), batch(6))


def test_video_keeps_one_object_and_ignores_void() -> None:
    frames = []
    for index in range(3):
        image, mask = picture(index)
        ids = mask * 7
        ids[:10] = VOID
        ids[150:, :100] = 2
        frames.append(
            Frame(f"v/{index}", cv2.imencode(".webp", image)[1].tobytes(), cv2.imencode(".png", ids)[1].tobytes())
        )
    drawer, rng = MaterialDrawer(Files([frame(0)], {"v": frames}), distractor_share=0.0), np.random.default_rng(0)
    recipes = [drawer.draw(3, rng, video_share=1.0) for _ in range(8)]
    assert {source.target for recipe in recipes for source in recipe.target} == {2, 7}
    packed = drawer.pictures.pack(recipes)
    assert all(set(mask.unique().tolist()) == {0, 1, VOID} for mask in packed.masks)
