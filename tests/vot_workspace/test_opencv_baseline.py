"""OpenCV's trackers behind TraX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import trax  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tests.conftest import TraxClient
from tracker.geometry.region import RegionError
from vot_workspace.opencv_baseline import ABOUT, Baseline, BaselineError, create, main, pixel_box

SIDE = 30


def picture(left: int, top: int) -> NDArray[np.uint8]:
    """A chequered square on noise, 120 x 160 BGR."""
    image = np.random.default_rng(0).integers(90, 130, (120, 160, 3)).astype(np.uint8)
    square = np.kron(np.indices((5, 5)).sum(0) % 2, np.ones((6, 6)))
    image[top : top + SIDE, left : left + SIDE] = (square * 255)[:, :, None]
    return image


def path_of(tmp_path: Path, image: NDArray[np.uint8], name: str) -> trax.Image:
    cv2.imwrite(str(tmp_path / name), image)
    return trax.FileImage.create(str(tmp_path / name))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10.4, 20.6, 30.0, 40.0), (10, 21, 30, 40)),
        ((-5.0, -5.0, 20.0, 20.0), (0, 0, 15, 15)),
        ((159.0, 119.0, 1.0, 1.0), (156, 116, 4, 4)),
        ((150.0, 100.0, 50.0, 50.0), (150, 100, 10, 20)),
    ],
)
def test_boxes_become_whole_pixels_inside(
    box: tuple[float, float, float, float], expected: tuple[int, int, int, int]
) -> None:
    assert pixel_box(box, (120, 160)) == expected


def test_it_follows_and_repeats_itself() -> None:
    baseline = Baseline("MIL")
    runs = []
    for _ in range(2):
        baseline.initialize(picture(40, 40), (40.0, 40.0, SIDE, SIDE))
        runs.append([baseline.track(picture(40 + 3 * step, 40 + step)) for step in range(1, 8)])
    assert runs[0] == runs[1]
    (x, y, width, height), found = runs[0][-1]
    assert found and (width, height) == (SIDE, SIDE)
    assert abs(x - 61) <= 6 and abs(y - 47) <= 6


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(BaselineError, match="must be MIL or CSRT or NANO or VIT"):
        create("KCF")
    with pytest.raises(BaselineError, match="initialize first"):
        Baseline("MIL").track(picture(0, 0))
    with pytest.raises(RegionError):
        Baseline("MIL").initialize(picture(0, 0), (300.0, 300.0, 20.0, 20.0))


def test_without_contrib_csrt_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "TrackerCSRT_create", raising=False)
    with pytest.raises(BaselineError, match="opencv-contrib-python"):
        create("CSRT")


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    for models in (None, ""):
        with pytest.raises(BaselineError, match=r"VIT needs a network; name the folder .* by DMB_PEERS"):
            create("VIT", models)
    (tmp_path / "nanotrack_backbone_sim.onnx").write_bytes(b"")
    with pytest.raises(BaselineError, match=r"has no 'nanotrack_head_sim\.onnx' for NANO"):
        create("NANO", str(tmp_path))


def test_a_damaged_network_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "object_tracking_vittrack_2023sep.onnx").write_bytes(b"no network")
    with pytest.raises(BaselineError, match="OpenCV cannot read the networks of VIT"):
        create("VIT", str(tmp_path))


def test_by_hand_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({}) == 2
    assert capsys.readouterr().out == ABOUT


def test_over_trax_a_polygon_is_answered_by_its_tracked_box(
    start_trax: Callable[..., TraxClient], tmp_path: Path
) -> None:
    client = start_trax("vot_workspace.opencv_baseline", OPENCV_TRACKER="MIL")
    corners = [(40.0, 40.0), (69.0, 40.0), (69.0, 69.0), (40.0, 69.0)]
    ((first, _),) = client.initialize(path_of(tmp_path, picture(40, 40), "0.png"), trax.Polygon.create(corners))
    assert first.bounds() == (40.0, 40.0, SIDE, SIDE)
    ((second, properties),) = client.frame(path_of(tmp_path, picture(43, 41), "1.png"))
    assert abs(second.bounds()[0] - 43) <= 4
    assert properties["confidence"] == "1"
    assert client.end() == 0


def test_over_trax_a_missing_frame_ends_the_session_with_a_sentence(
    start_trax: Callable[..., TraxClient], tmp_path: Path
) -> None:
    client = start_trax("vot_workspace.opencv_baseline", OPENCV_TRACKER="MIL")
    client.initialize(path_of(tmp_path, picture(40, 40), "0.png"), trax.Rectangle.create(40, 40, SIDE, SIDE))
    with pytest.raises(trax.TraxException):
        client.frame(trax.FileImage.create(str(tmp_path / "missing.png")))
    client.end()
    assert "cannot be read (No such file or directory); check the dataset" in client.text
    assert "Traceback" not in client.text
