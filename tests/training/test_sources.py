"""What is drawn: parts of objects, pairs of them, and only videos that are long enough."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.test_synthesis import frame, picture
from tracker.training.data import VOID, DataError, Frame
from tracker.training.drawer import MaterialDrawer
from tracker.training.sources import Files


def test_parts_are_drawn_as_often_as_asked_and_keep_their_own_surroundings() -> None:
    stills, rng = Files([frame(3)], {}), np.random.default_rng(0)
    whole = stills.still(0).objects[1].area
    for share, expected in ((0.0, False), (1.0, True)):
        drawer = MaterialDrawer(stills, part_share=share, composite_share=1.0, distractor_share=0.0)
        recipe = drawer.draw(3, rng, video_share=0.0)
        assert len(set(recipe.target)) == 1
        area = (stills.pack([recipe]).masks[0] == 1).sum()
        assert (area < 0.75 * whole) == expected
        assert (recipe.background is None) == expected, "the rest of the object stays beside its part"


def test_pairs_are_drawn_as_often_as_asked() -> None:
    stills, rng = Files([frame(3)], {}), np.random.default_rng(0)
    whole = stills.still(0).objects[1].area
    for share, expected in ((0.0, False), (1.0, True)):
        drawer = MaterialDrawer(stills, pair_share=share, distractor_share=0.0)
        recipe = drawer.draw(3, rng, video_share=0.0)
        assert len(set(recipe.target)) == 1
        area = (stills.pack([recipe]).masks[0] == 1).sum()
        assert (area > 1.03 * whole) == expected


def test_videos_shorter_than_a_sample_are_passed_over() -> None:
    videos = {"long": [frame(seed, {1: 1}) for seed in range(5)], "short": [frame(seed, {1: 1}) for seed in range(3)]}
    drawer, rng = MaterialDrawer(Files([frame(0)], videos)), np.random.default_rng(0)
    for _ in range(8):
        assert len(drawer.draw(5, rng, video_share=1.0).target) == 5
    drawer = MaterialDrawer(Files([frame(0)], {"short": videos["short"]}))
    with pytest.raises(DataError, match="fewer than 5 frames"):
        drawer.draw(5, rng, video_share=1.0)


def scene(seed: int) -> Frame:
    """A picture with the objects 4 and 9 side by side, a speck 6 and a band of void."""
    image, _ = picture(seed)
    ids = np.zeros(image.shape[:2], np.uint8)
    ids[60:120, 40:90], ids[60:120, 120:160], ids[:4, :4], ids[180:] = 4, 9, 6, VOID
    files = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix, pixels in ((".webp", image), (".png", ids))]
    return Frame(f"i/{seed}", *files)


def test_any_of_several_objects_is_a_target_and_the_others_stay_beside_it() -> None:
    videos = {"v": [frame(seed, {1: 1}) for seed in range(3)]}
    files, rng = Files([frame(3)], videos, [scene(0), scene(1)]), np.random.default_rng(0)
    drawer = MaterialDrawer(files, instance_share=1.0, composite_share=1.0, part_share=1.0, twin_share=1.0)
    recipes = [drawer.draw(3, rng, video_share=0.3) for _ in range(40)]
    several = [recipe for recipe in recipes if not recipe.video]
    assert 20 < len(several) < 36 and all(recipe.background is None for recipe in several)
    assert {source.target for recipe in several for source in recipe.target} == {4, 9}
    assert {source.number for recipe in several for source in recipe.target} == {3, 4}
    assert {source.number for recipe in recipes if recipe.video for source in recipe.target} <= {0, 1, 2}
    assert any(recipe.distractor for recipe in several) and all(len(set(recipe.target)) == 1 for recipe in several)
    packed = files.pack(several)
    for recipe, row in zip(several, packed.target[:, 0], strict=True):
        area = int((packed.masks[row, :200, :288] == 1).sum())
        assert area == {4: 60 * 50, 9: 60 * 40}[recipe.target[0].target]
        assert (packed.masks[row, 180:200, :288] == VOID).all()


def test_plans_without_instances_draw_what_they_drew() -> None:
    stills = [frame(seed) for seed in range(4)]
    with_them, without = Files(stills, {}, [scene(0)]), Files(stills, {})
    drawn = []
    for files, share in ((with_them, 0.0), (without, 0.0), (without, 0.5)):
        drawer, rng = MaterialDrawer(files, twin_share=0.3, instance_share=share), np.random.default_rng(5)
        drawn.append([drawer.draw(2, rng, video_share=0.3) for _ in range(12)])
    assert drawn[0] == drawn[1] == drawn[2], "what is not there is drawn by nobody, either"


def test_damaged_pictures_of_several_objects_are_named_and_others_drawn(caplog: pytest.LogCaptureFixture) -> None:
    damaged = Frame("i/bad", b"no image", scene(0).mask)
    drawer = MaterialDrawer(Files([frame(0)], {}, [damaged, scene(0)]), instance_share=1.0)
    rng = np.random.default_rng(0)
    assert {drawer.draw(2, rng, video_share=0.0).target[0].number for _ in range(12)} == {1}
    assert [record.message.split("'")[1] for record in caplog.records] == ["i/bad"]
    drawer = MaterialDrawer(Files([frame(0)], {}, [damaged]), instance_share=1.0)
    with pytest.raises(DataError, match="200 pictures of several objects in a row"):
        drawer.draw(2, rng, video_share=0.0)
