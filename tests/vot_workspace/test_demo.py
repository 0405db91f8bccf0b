"""Demo sequences and workspaces: deterministic, exact, and in the toolkit's formats."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import CHECKOUT
from tracker.geometry.region import polygon_to_mask
from vot_workspace.demo import FORMS, SCRIPTS, main, render
from vot_workspace.writer import REGISTRY, STACKS, anchors, encode_mask, write_sequence


def decode_mask(text: str, shape: tuple[int, int]) -> np.ndarray:
    """The toolkit's mask text, read by an independent loop."""
    x, y, width, height, *runs = map(int, text[1:].split(","))
    flat: list[int] = []
    for index, run in enumerate(runs):
        flat += [index % 2] * run
    mask = np.zeros(shape, bool)
    mask[y : y + height, x : x + width] = np.array(flat, bool).reshape(height, width)
    return mask


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo")
    assert main([str(directory), "--frames", "4", "--size", "160", "120"]) == 0
    return directory


def test_both_workspaces_are_complete(demo: Path) -> None:
    for form in ("vot2018", "vot2020"):
        config = yaml.safe_load((demo / form / "config.yaml").read_text())
        assert REGISTRY in [(demo / form / place).resolve() for place in config["registry"]]
        assert not any(Path(place).is_absolute() for place in config["registry"])
        assert (demo / form / config["stack"]).read_text() == (STACKS / config["stack"]).read_text()
        for name in (demo / form / "sequences" / "list.txt").read_text().split():
            folder = demo / form / "sequences" / name
            facts = dict(line.split("=") for line in (folder / "sequence").read_text().split())
            assert (facts["width"], facts["height"], facts["length"]) == ("160", "120", "4")
            assert len(list((folder / "color").glob("*.jpg"))) == 4
            assert (folder / "anchor.value").read_text().split() == ["1", "0", "0", "-1"]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_masks_and_boxes_are_where_the_target_is(demo: Path, name: str) -> None:
    frames = list(render(name, SCRIPTS[name], 4, (160, 120)))
    polygons = (demo / "vot2018" / "sequences" / name / "groundtruth.txt").read_text().split()
    masks = (demo / "vot2020" / "sequences" / name / "groundtruth.txt").read_text().split()
    assert len(polygons) == len(masks) == len(frames) == 4
    for frame, polygon, mask in zip(frames, polygons, masks, strict=True):
        assert np.array_equal(decode_mask(mask, (120, 160)), frame.mask)
        corners = np.array(polygon.split(","), float).reshape(4, 2)
        assert np.allclose(corners, frame.polygon, atol=1e-3)
        inside = frame.mask & polygon_to_mask(corners, (120, 160))
        assert inside.sum() >= 0.97 * frame.mask.sum() > 100


def test_the_same_arguments_give_the_same_pixels() -> None:
    one, two = (list(render("cat", SCRIPTS["cat"], 3, (160, 120))) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.mask, b.mask)
    assert not np.array_equal(one[0].image, one[1].image)


def draw(directory: Path, frames: int, width: int = 96, *, names: tuple[str, ...] = ("cat", "cup")) -> int:
    return main([str(directory), "--frames", str(frames), "--size", str(width), "64", "--sequences", *names])


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_sequences_are_drawn_anew_without_a_rest_of_the_old_ones(tmp_path: Path) -> None:
    assert draw(tmp_path / "demo", 5) == 0
    cached = tmp_path / "demo" / "vot2018" / "cache" / "analysis" / "x"  # the toolkit knows sequences by their names
    cached.parent.mkdir(parents=True)
    cached.write_text("")
    configuration = tmp_path / "demo" / "vot2018" / "config.yaml"
    configuration.write_text(configuration.read_text().replace("registry:", "registry:\n- /mine.ini"))
    told = configuration.read_text()
    assert draw(tmp_path / "demo", 3, 128) == draw(tmp_path / "new", 3, 128) == 0
    assert not cached.exists() and configuration.read_text() == told
    for form in FORMS:
        old, new = (contents(tmp_path / where / form / "sequences") for where in ("demo", "new"))
        assert old == new and f"cat/color/{4:08d}.jpg" not in new
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == sorted(FORMS)


def test_a_sequence_with_results_is_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = tmp_path / "demo"
    assert draw(demo, 4) == 0
    result = demo / "vot2020" / "results" / "DMB" / "baseline" / "cup" / "cup_00000000.bin"
    result.parent.mkdir(parents=True)
    result.write_text("")
    before = contents(demo)
    assert draw(demo, 4) == 0, "nothing changes"
    assert draw(demo, 3, names=("cat",)) == 0, "it has no results"
    assert draw(demo, 4) == 0
    assert contents(demo) == before
    capsys.readouterr()
    for frames, width in ((3, 96), (5, 96), (4, 128)):
        assert draw(demo, frames, width) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"error: '{demo / 'vot2020'}' has results on the sequence 'cup', which would change; ")
        assert f"or delete '{demo / 'vot2020' / 'results'}' first" in told and told.count("\n") == 1
        assert contents(demo) == before, "not even the sequences without results"
    shutil.rmtree(demo / "vot2020" / "results")
    assert draw(demo, 3) == 0


def test_a_sequence_is_written_anew(tmp_path: Path) -> None:
    for frames in (3, 2):
        write_sequence(tmp_path / "cat", render("cat", SCRIPTS["cat"], frames, (96, 64)), kind="mask")
    assert len(list((tmp_path / "cat" / "color").iterdir())) == 2


def test_another_workspace_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vot2018").mkdir()
    (tmp_path / "vot2018" / "config.yaml").write_text("registry: []\nstack: vot2018/shortterm\n")
    assert draw(tmp_path, 2, names=("cat",)) == 1
    assert "is a workspace of the stack 'vot2018/shortterm'; name another folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "vot2018").iterdir()] == ["config.yaml"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", ["demo", "clean"])
def test_make_deletes_only_the_two_workspaces(tmp_path: Path, target: str) -> None:
    words = ["make", "--dry-run", target, f"DEMO={tmp_path}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    deleted = [word for line in re.findall(r"^rm (.*)", done.stdout, re.M) for word in line.split()]
    assert str(tmp_path) not in deleted and {f"{tmp_path}/vot2018", f"{tmp_path}/vot2020"} <= set(deleted)


def test_anchors_lead_away_from_the_nearer_end_and_avoid_empty_frames() -> None:
    values = anchors([True] * 120)
    assert [index for index, value in enumerate(values) if value] == [0, 50, 100, 119]
    assert [values[index] for index in (0, 50, 100, 119)] == [1, 1, -1, -1]
    assert anchors([False, True, True, False]) == [0, 1, -1, 0]
    assert anchors([False, False]) == [0, 0]


def test_mask_text_starts_with_zeros() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1, 2:4] = mask[2, 3] = True
    assert encode_mask(mask) == "m2,1,2,2,0,2,1,1"
    assert encode_mask(np.zeros((3, 3), bool)) == "m0,0,0,0,0"


def test_registry_holds_no_absolute_path_and_the_promised_trackers() -> None:
    registry = configparser.ConfigParser()
    registry.read(REGISTRY)
    assert {"DMB", "MIL", "CSRT"} <= set(registry.sections())
    for section in registry.sections():
        assert registry[section]["protocol"] == "traxpython"
        assert not Path(registry[section]["paths"]).is_absolute()
        module = registry[section]["command"].replace(".", "/") + ".py"
        assert (REGISTRY.parent / registry[section]["paths"] / module).is_file()


def test_every_stack_has_analyses() -> None:
    for path in STACKS.glob("*.yaml"):
        for experiment in yaml.safe_load(path.read_text())["experiments"].values():
            assert experiment["analyses"]


def test_dev_stack_is_what_eao_on_vot2014_dev_means() -> None:
    baseline = yaml.safe_load((STACKS / "dev.yaml").read_text())["experiments"]["baseline"]
    assert (baseline["type"], baseline["repetitions"]) == ("supervised", 1)
    score = next(a for a in baseline["analyses"] if a["type"] == "supervised_eao_score")
    assert (score["low"], score["high"]) == (50, 250)


def test_a_size_beyond_the_backgrounds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--size", "1280", "720"])
    assert "640 x 480" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "demo"), "--sequences", "cat", "--frames", "2"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
