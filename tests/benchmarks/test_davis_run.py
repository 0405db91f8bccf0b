"""Several objects in one answer: soft aggregation by hand, trackers that disagree, and folders of other runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.davis_folders import (
    ColorFollower,
    Seen,
    load_followers,
    source,
    square,
    two_squares,
    write_davis,
)
from tests.tracking.scenes import CONFIG, PATH, ColorEngine, scene
from tracker import DMB
from tracker.benchmarks.davis_run import Run, check_folder, segment, soft_aggregation, track_all
from tracker.cluster.tasks import Place
from tracker.data.davis import open_davis
from tracker.data.davis_masks import DavisError
from tracker.network import DMBNet
from tracker.settings import Settings


def test_soft_aggregation_by_hand() -> None:
    first, second = [0.8, 0.5, 0.1, 0.6, 1.0], [0.5, 0.5, 0.2, 0.7, 0.0]
    merged = soft_aggregation(np.array([first, second], np.float32)[:, None])[:, 0]
    assert merged.shape == (3, 5) and merged.sum(0) == pytest.approx(1.0)
    # 0.8 and 0.5: the background has 0.2 * 0.5 = 0.1; odds are 1/9, 4 and 1
    assert merged[:, 0] == pytest.approx(np.array([1 / 9, 4, 1]) / (1 / 9 + 4 + 1), rel=1e-5)
    # 0.1 and 0.2: the background has 0.72; odds are 18/7, 1/9 and 1/4
    assert merged[:, 2] == pytest.approx(np.array([18 / 7, 1 / 9, 1 / 4]) / (18 / 7 + 1 / 9 + 1 / 4), rel=1e-5)
    assert merged.argmax(0).tolist() == [1, 1, 0, 2, 1]


@pytest.mark.parametrize("init", ["mask", "box"])
def test_the_surer_tracker_gets_the_pixel(tmp_path: Path, init: str) -> None:
    frames = [two_squares(index) for index in range(4)]
    with open_davis(source(write_davis(tmp_path, {"one": frames}))) as (one,):
        answers = dict(segment(ColorFollower, one, init))
    assert list(answers) == list(one.frames)
    for ids, label in zip(answers.values(), frames, strict=True):  # JPEG blurs the borders by a pixel
        inside = np.zeros_like(label)
        for number in (1, 2):
            rows, columns = np.nonzero(label == number)
            inside[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()] = number
        assert np.array_equal(ids[inside > 0], inside[inside > 0])
        assert np.count_nonzero(ids != label) < 60


class Moved(ColorFollower):
    """Segments nothing any more: its answer is the whole image, of which it is not sure."""

    def track(self, image: np.ndarray) -> Seen:
        super().track(image)
        return Seen(np.ones(image.shape[:2], np.bool_))

    def probability(self) -> None:
        return None


def test_a_moved_mask_yields_to_a_segmented_one(tmp_path: Path) -> None:
    trackers = iter([Moved(), ColorFollower()])
    with open_davis(source(write_davis(tmp_path, {"one": [two_squares(0)] * 3}))) as (one,):
        ids = dict(segment(lambda: next(trackers), one, "mask"))["00001"]
    assert ids[28, 34] == 2 and ids[6, 50] == 1


def test_ids_keep_their_numbers_and_an_object_without_pixels_is_not_followed(tmp_path: Path) -> None:
    frames = [square(4, 4, 8, 1) + square(30, 24, 8, 3)] * 3
    with open_davis(source(write_davis(tmp_path, {"one": frames}))) as (one,):
        answers = dict(segment(ColorFollower, one, "mask"))
        assert one.objects == 3
    assert set(np.unique(answers["00001"])) == {0, 1, 3}
    assert np.array_equal(answers["00000"], frames[0]), "a given mask is answered as it is"


def test_an_object_that_cannot_be_followed_is_told(tmp_path: Path) -> None:
    root = write_davis(tmp_path, {"dot": [square(4, 4, 1)] * 3})
    with open_davis(source(root)) as (dot,), pytest.raises(DavisError, match="an object of sequence 'dot' cannot be"):
        list(segment(ColorFollower, dot, "mask"))


def test_finished_sequences_are_known_and_the_rest_is_segmented(tmp_path: Path) -> None:
    frames = [two_squares(index) for index in range(3)]
    what = source(write_davis(tmp_path / "DAVIS", {"one": frames, "two": frames}))
    run = Run(what, "mask", tmp_path / "out", Settings(), load_followers)
    counts: list[int] = []
    with open_davis(what) as sequences:
        assert list(track_all(run, sequences[:1], Place(), counts.append)) == ["one"]
        assert counts == [1, 2, 3]
        assert [run.is_done(sequence) for sequence in sequences] == [True, False]
        (tmp_path / "out" / "one" / "00001.png").unlink()
        assert not run.is_done(sequences[0])


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path / "out", {"init": "mask", "frames": None}, ["one"])
    check_folder(tmp_path / "out", {"init": "mask", "frames": None}, ["one"])
    with pytest.raises(DavisError, match=r"out' holds masks made with init mask, and this run has box; name another"):
        check_folder(tmp_path / "out", {"init": "box", "frames": None}, ["one"])
    with pytest.raises(DavisError, match="made with frames none, and this run has 5"):
        check_folder(tmp_path / "out", {"init": "mask", "frames": 5}, ["one"])
    (tmp_path / "out" / "run.json").write_text("[]")
    with pytest.raises(DavisError, match=r"run.json' is damaged"):
        check_folder(tmp_path / "out", {}, ["one"])
    (tmp_path / "foreign" / "one").mkdir(parents=True)
    with pytest.raises(DavisError, match=r"holds 'one' but no run.json that tells how it was made"):
        check_folder(tmp_path / "foreign", {}, ["one"])


@pytest.mark.integration
def test_the_real_tracker_tells_the_probability_of_its_mask() -> None:
    dmb = DMB(ColorEngine(DMBNet().eval().requires_grad_(False), precision="float32"), CONFIG)
    assert dmb.probability() is None
    first, second = (scene(*place) for place in PATH[:2])
    dmb.initialize(*first)
    assert dmb.probability() is None
    last = dmb.track(second[0])
    found = dmb.probability()
    assert last.segmented and found is not None and found.shape == last.mask.shape and found.dtype == np.float32
    assert np.array_equal(found > 0.5, last.mask) and 0.8 < found.max() < 0.95
