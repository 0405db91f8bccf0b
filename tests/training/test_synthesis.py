"""Training samples: geometry, composition, boxes and reproducibility, on material made here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from tracker.training.data import VOID, Frame
from tracker.training.sources import SOURCE_SIZE, MaterialDrawer, Source, cut_source, video_sources
from tracker.training.synthesis import IGNORE, SynthesisConfig, Synthesiser, View, sample, view_grid

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
    return MaterialDrawer([frame(seed) for seed in range(4)], videos, video_share=0.4)


def test_view_shows_the_source_where_it_should() -> None:
    image, mask = picture(0)
    source = cut_source(image, mask, 1.0, (0, 0))
    assert source.centre == pytest.approx((150, 100), abs=1)
    grid = view_grid([View(np.array(source.centre), 144.0, 0.0, False)], 72, CPU)
    pixels = torch.from_numpy(source.image).permute(2, 0, 1)[None].float()
    view = sample(pixels, torch.tensor([[288.0, 200.0]]), grid, mirror=False)
    assert view.shape == (1, 3, 72, 72)
    assert view[0, :, 36, 36].tolist() == pytest.approx([200, 30, 40], abs=2)
    assert grid[0, 0, 0].tolist() == pytest.approx([150 - 71, 100 - 71], abs=1.0)


def test_beyond_the_extent_the_border_repeats_or_the_image_is_mirrored() -> None:
    ramp = torch.arange(10.0).view(1, 1, 1, 10).expand(1, 1, 10, 10)
    padded = torch.zeros(1, 1, SOURCE_SIZE, SOURCE_SIZE)
    padded[..., :10, :10] = ramp
    extent = torch.tensor([[10.0, 10.0]])
    x = torch.arange(-2.0, 12.0)
    grid = torch.stack([x, torch.full_like(x, 5.0)], -1).view(1, 1, 14, 2).expand(1, 2, 14, 2)
    ramp_up = [float(value) for value in range(10)]
    repeated = sample(padded, extent, grid, mirror=False)[0, 0, 0].tolist()
    assert repeated == pytest.approx([0, 0, *ramp_up, 9, 9], abs=1e-4)
    mirrored = sample(padded, extent, grid, mirror=True)[0, 0, 0].tolist()
    assert mirrored == pytest.approx([2, 1, *ramp_up, 8, 7], abs=1e-4)


def test_batch_has_the_promised_shapes_and_values(drawer: MaterialDrawer) -> None:
    rng = np.random.default_rng(0)
    config = SynthesisConfig(size=64, frames=3, factor=(2.0, 3.0))
    batch = Synthesiser(config, seed=0, device=CPU).compose([drawer.draw(3, rng) for _ in range(6)])
    assert batch.images.shape == (6, 3, 3, 64, 64)
    assert batch.maps.shape == (6, 3, 1, 4, 4)
    assert batch.memory_mask.shape == (6, 1, 64, 64)
    assert batch.images.min() >= 0 and batch.images.max() <= 255
    assert set(batch.labels.unique().tolist()) <= {IGNORE, 0.0, 1.0}
    assert 0 <= batch.padding < 0.35
    # the first frame is centred on its target
    assert np.abs(batch.centres[:, 0] - 31.5).max() < 8
    share = (batch.labels[:, 0] > 0).float().mean((1, 2, 3))
    assert ((share > 0.03) & (share < 0.7)).all()


def test_box_masks_are_the_boxes_of_the_first_labels(drawer: MaterialDrawer) -> None:
    rng = np.random.default_rng(1)
    config = SynthesisConfig(size=64, frames=2, factor=(2.0, 3.0), box_mask_share=1.0)
    batch = Synthesiser(config, seed=0, device=CPU).compose([drawer.draw(2, rng) for _ in range(4)])
    for mask, label in zip(batch.memory_mask[:, 0].numpy(), batch.labels[:, 0, 0].numpy(), strict=True):
        rows, columns = np.flatnonzero((label > 0).any(1)), np.flatnonzero((label > 0).any(0))
        expected = np.zeros_like(mask)
        expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
        assert np.array_equal(mask, expected)


def test_the_map_is_near_zero_at_the_target(drawer: MaterialDrawer) -> None:
    rng = np.random.default_rng(2)
    config = SynthesisConfig(size=128, frames=3, factor=(2.0, 3.0), map_jitter=0.0, map_miss=0.0)
    batch = Synthesiser(config, seed=0, device=CPU).compose([drawer.draw(3, rng) for _ in range(4)])
    for maps, centres in zip(batch.maps[:, :, 0].numpy(), batch.centres, strict=True):
        for values, (x, y) in zip(maps, centres, strict=True):
            row, column = np.unravel_index(values.argmin(), values.shape)
            assert abs(column * 16 + 7.5 - x) <= 8.5 and abs(row * 16 + 7.5 - y) <= 8.5


def test_the_same_seed_gives_the_same_batch(drawer: MaterialDrawer) -> None:
    def batch(seed: int) -> torch.Tensor:
        rng = np.random.default_rng(3)
        config = SynthesisConfig(size=64, frames=2)
        return Synthesiser(config, seed=seed, device=CPU).compose([drawer.draw(2, rng) for _ in range(3)]).images

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
    sources = video_sources(frames, np.random.default_rng(0))
    assert sources is not None and len(sources) == 3
    assert all(isinstance(source, Source) for source in sources)
    assert set(np.unique(sources[0].mask)) == {0, 1, VOID}
