"""`dmb workspace`: challenges with sequences at hand or downloaded, and videos with masks."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.conftest import clean_environment
from tests.vot_workspace.mask_folders import SHAPE, label, pack, write_video
from tests.vot_workspace.test_demo import decode_mask
from tracker.cli.workspace import main
from tracker.geometry.region import polygon_to_mask
from vot_workspace.challenges import Stack, find_stack, list_stacks, make_workspace
from vot_workspace.layout import known_trackers, read_workspace
from vot_workspace.writer import STACKS, WorkspaceError

NOWHERE = "http://127.0.0.1:9"


def run(*arguments: object) -> int:
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), NOWHERE)
    return main(list(map(str, arguments)), environ=clean_environment(**proxies))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert run(*arguments) == 1
    text = capsys.readouterr().err
    assert text.startswith("dmb workspace: error: ") and text.count("\n") == 1, text
    return text


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    for name in ("car", "ball"):
        folder = tmp_path / "vot" / name
        (folder / "color").mkdir(parents=True)
        cv2.imwrite(str(folder / "color" / "00000001.jpg"), np.zeros((*SHAPE, 3), np.uint8))
        (folder / "groundtruth.txt").write_text("0,0,9,9\n")
        (folder / "sequence").write_text("channels.color=color/%08d.jpg\nlength=1\n")
    (tmp_path / "vot" / "list.txt").write_text("car\nball\n")
    return tmp_path / "vot"


def test_short_names_mean_the_short_term_challenge() -> None:
    assert find_stack("vot2018").name == "vot2018/shortterm" and find_stack("vot2016").name == "vot2016/rgb"
    assert find_stack("vot2018/longterm").name == "vot2018/longterm" and find_stack("vot2018-dev").name == "dev.yaml"
    stacks = list_stacks()
    assert {"vot2019", "vot2020", "vot2021", "vot2022", "vot2013", "masks", "polygons"} <= stacks.keys()
    assert not any(name.startswith("tests") for name in stacks)
    assert all(stacks[f"vot{year}"].dataset for year in (2016, 2018, 2019, 2020, 2021, 2022))


def test_sequences_at_hand_are_linked(sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = tmp_path / "v"
    assert run("vot2018", workspace, "--sequences", sequences) == 0
    layout = read_workspace(workspace)
    assert list(layout.sequences) == ["car", "ball"] and "baseline" in layout.experiments
    assert (workspace / "sequences" / "car").is_symlink()
    assert (workspace / "sequences" / "car" / "color" / "00000001.jpg").samefile(
        sequences / "car" / "color" / "00000001.jpg"
    )
    assert {"DMB", "MIL"} <= known_trackers(layout.registry).keys()
    (workspace / "trackers.ini").write_text("[Mine]\ncommand = mine\n")
    assert "Mine" in known_trackers(layout.registry)
    assert run("vot2018", workspace) == 0  # again: what is there is used
    assert "using the sequences in" in capsys.readouterr().out
    assert "is a workspace of the stack 'vot2018/shortterm'" in refusal(capsys, "vot2019", workspace)
    assert "has sequences already" in refusal(capsys, "vot2018", workspace, "--sequences", sequences)


def test_our_stack_comes_with_the_workspace(sequences: Path, tmp_path: Path) -> None:
    (sequences / "list.txt").unlink()
    (sequences / "car" / "sequence").unlink()
    assert run("vot2018-dev", tmp_path / "v", "--sequences", sequences) == 0
    assert read_workspace(tmp_path / "v").experiments["baseline"]["repetitions"] == 1
    assert "color/%08d.jpg" in (tmp_path / "v" / "sequences" / "car" / "sequence").read_text()
    packed = pack(sequences, tmp_path / "vot.tar")
    assert run("vot2018-dev", tmp_path / "w", "--sequences", packed) == 0
    assert sorted(read_workspace(tmp_path / "w").sequences) == ["ball", "car"]


def test_sequences_of_a_list_may_lie_elsewhere_and_lack_a_description(sequences: Path, tmp_path: Path) -> None:
    (sequences / "car").rename(tmp_path / "car")
    (tmp_path / "car" / "sequence").unlink()
    (sequences / "ball" / "sequence").unlink()
    (sequences / "ball" / "groundtruth.txt").rename(sequences / "ball" / "groundtruth_1.txt")  # several targets
    (sequences / "list.txt").write_text(f"{tmp_path / 'car'}\nball\n")
    assert run("vot2018", tmp_path / "v", "--sequences", sequences) == 0
    found = read_workspace(tmp_path / "v").sequences
    assert list(found) == ["car", "ball"]
    assert all("color/%08d.jpg" in (path / "sequence").read_text() for path in found.values())
    assert (found["ball"] / "groundtruth_1.txt").is_file() and not (sequences / "ball" / "sequence").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"stack: [1", "cannot be read"), (b"stack: v\xe4", "cannot be read"), (b"", "holds no configuration")],
)
def test_a_damaged_configuration_is_told(
    sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, complaint: str
) -> None:
    write_video(tmp_path / "videos" / "bear", tmp_path / "videos" / "bear", [label((1, 4, 4))] * 3)
    workspace = tmp_path / "v"
    workspace.mkdir()
    (workspace / "config.yaml").write_bytes(content)
    for command in (("vot2018", workspace, "--sequences", sequences), ("from-masks", tmp_path / "videos", workspace)):
        told = refusal(capsys, *command)
        assert "config.yaml' " in told and complaint in told and "; restore it" in told


def test_two_videos_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos, both = tmp_path / "videos", [label((1, 4, 4), (2, 30, 20))] * 3
    write_video(videos / "car", videos / "car", both)
    write_video(videos / "car_1", videos / "car_1", [label((1, 9, 9))] * 3)
    told = refusal(capsys, "from-masks", videos, tmp_path / "w")
    assert "videos 'car' and 'car_1' of" in told and "both become a sequence 'car_1'; rename one of them" in told
    assert run("from-masks", videos, tmp_path / "w2", "--sequences-only", "car_1") == 0


def test_what_a_user_may_get_wrong(sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no stack 'vot1999'; use one of vot2015, vot2016, vot2018" in refusal(capsys, "vot1999", tmp_path)
    assert "give yours: --sequences FOLDER" in refusal(capsys, "vot2018-dev", tmp_path / "v")
    (sequences / "ball" / "groundtruth.txt").unlink()
    told = refusal(capsys, "vot2018", tmp_path / "v", "--sequences", sequences)
    assert "1 of the 2 sequences in" in told and "ball" in told
    assert "does not exist" in refusal(capsys, "vot2018", tmp_path / "v", "--sequences", tmp_path / "none")
    assert "holds other files (vot)" in refusal(capsys, "vot2018", tmp_path)
    with pytest.raises(SystemExit) as ended:
        run("vot2018")
    assert ended.value.code == 2


@pytest.mark.end_to_end
@pytest.mark.integration
def test_without_a_network_one_sentence_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "vot2018", tmp_path / "v")
    assert "the sequences of vot2018/shortterm could not be downloaded from http://data.votchallenge.net/" in told
    assert "(the server cannot be reached)" in told and "--sequences FOLDER" in told
    assert not (tmp_path / "v" / "config.yaml").exists()


@pytest.fixture
def server(sequences: Path, tmp_path: Path) -> Iterator[str]:
    """Serves sequences as the challenge's server does; yields the address of their description."""
    root = tmp_path / "www"
    root.mkdir()
    entries = []
    for name in ("car", "ball"):
        for kind, files in (("truth", ("groundtruth.txt",)), ("color", ("00000001.jpg",))):
            with zipfile.ZipFile(root / f"{name}_{kind}.zip", "w") as archive:
                for file in files:
                    archive.write(sequences / name / ("" if kind == "truth" else kind) / file, file)
        channel = {"url": f"{name}_color.zip", "uncompressed": 9, "pattern": "%08d.jpg"}
        truth = {"url": f"{name}_truth.zip", "uncompressed": 9, "uid": name}
        entries.append({"name": name, "fps": 20, "annotations": truth, "channels": {"color": channel}})
    (root / "description.json").write_text(json.dumps({"name": "test", "sequences": entries}))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/description.json"
        running.shutdown()


@pytest.mark.end_to_end
@pytest.mark.integration
def test_the_toolkit_downloads_and_goes_on(server: str, tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    content = {"title": "Test", "dataset": server, "experiments": {"baseline": {"type": "unsupervised"}}}
    file.write_text(yaml.safe_dump(content))
    stack = Stack(str(file), file, False, "Test", server)
    environ = clean_environment(HTTPS_PROXY=NOWHERE, https_proxy=NOWHERE, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    archive = tmp_path / "www" / "ball_color.zip"
    kept = archive.read_bytes()
    archive.unlink()
    with pytest.raises(WorkspaceError, match="could not be downloaded from"):
        make_workspace(stack, tmp_path / "v", environ=environ)
    assert not (tmp_path / "v" / "config.yaml").exists()
    first = (tmp_path / "v" / "sequences" / "car" / "color" / "00000001.jpg").stat().st_mtime_ns
    archive.write_bytes(kept)
    (tmp_path / "v" / "sequences" / "ball" / "sequence").unlink(missing_ok=True)
    assert make_workspace(stack, tmp_path / "v", environ=environ) == 2
    assert list(read_workspace(tmp_path / "v").sequences) == ["car", "ball"]
    assert (tmp_path / "v" / "sequences" / "car" / "color" / "00000001.jpg").stat().st_mtime_ns == first
    assert not list((tmp_path / "v").glob(".download_*"))


def test_masks_become_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [label(), *(label((1, 5 + index, 9)) for index in range(3)), label(), label((1, 9, 9))]
    write_video(tmp_path / "davis" / "bear", tmp_path / "davis" / "bear", labels)
    write_video(tmp_path / "davis" / "bus", tmp_path / "davis" / "bus", labels)
    packed = pack(tmp_path / "davis", tmp_path / "davis.tar")
    workspace = tmp_path / "w"
    assert run("from-masks", packed, workspace, "--form", "both", "--sequences-only", "bear") == 0
    assert "bear: 5 frames, from image 00001.jpg, absent in 1 of them" in capsys.readouterr().out
    for form, kind in (("polygon", "supervised"), ("mask", "multistart")):
        layout = read_workspace(workspace / form)
        assert layout.experiments["baseline"]["type"] == kind and list(layout.sequences) == ["bear"]
        folder = layout.sequences["bear"]
        assert (folder / "absent.tag").read_text().split() == ["0", "0", "0", "1", "0"]
        assert (folder / "color" / "00000001.jpg").read_bytes() == (
            tmp_path / "davis" / "bear" / "00001.jpg"
        ).read_bytes()
        assert len(list((folder / "color").iterdir())) == 5
        lines = (folder / "groundtruth.txt").read_text().split()
        for ids, line in zip(labels[1:], lines, strict=True):
            if form == "mask":
                assert np.array_equal(decode_mask(line, SHAPE), ids == 1)
            elif not ids.any():
                assert line == "0,0,0,0"
            else:
                fitted = polygon_to_mask(np.array(line.split(","), float).reshape(4, 2), SHAPE)
                assert (fitted & (ids == 1)).sum() > 0.8 * (fitted | (ids == 1)).sum()
    anchors = (workspace / "mask" / "sequences" / "bear" / "anchor.value").read_text()
    assert anchors.split() == ["1", "0", "0", "0", "-1"]
    assert "skip_tags" in (workspace / "polygon" / "polygons.yaml").read_text()
    assert run("from-masks", packed, workspace / "mask") == 0  # the other one is added
    assert list(read_workspace(workspace / "mask").sequences) == ["bear", "bus"]
    assert "bear: 5 frames, from image 00001.jpg, absent in 1 of them (there already)" in capsys.readouterr().out


def changed_by_its_user(workspace: Path, stack: str) -> dict[Path, str]:
    """Add a registry and edit the stack; returns the files' texts."""
    texts = {}
    for path, old, new in (
        (workspace / "config.yaml", "registry:\n", "registry:\n- /mine.ini\n"),
        (workspace / stack, "high:", "high: 99 #"),
    ):
        text = path.read_text()
        assert old in text
        texts[path] = text.replace(old, new)
        path.write_text(texts[path])
    return texts


def test_what_a_user_has_changed_in_a_workspace_stays(sequences: Path, tmp_path: Path) -> None:
    for name in ("bear", "bus"):
        write_video(tmp_path / "davis" / name, tmp_path / "davis" / name, [label((1, 4, 4))] * 3)
    masks, dev = tmp_path / "m", tmp_path / "d"
    assert run("from-masks", tmp_path / "davis", masks, "--sequences-only", "bear") == 0
    assert run("dev", dev, "--sequences", sequences) == 0
    texts = changed_by_its_user(masks, "masks.yaml") | changed_by_its_user(dev, "dev.yaml")
    assert run("from-masks", tmp_path / "davis", masks, "--sequences-only", "bus") == 0
    assert run("dev", dev) == 0
    assert {path: path.read_text() for path in texts} == texts
    assert list(read_workspace(masks).sequences) == ["bear", "bus"]
    for path in texts:  # what is missing is written again
        path.unlink()
    (dev / "config.yaml").write_text(texts[dev / "config.yaml"])
    (masks / "config.yaml").write_text(texts[masks / "config.yaml"])
    assert run("from-masks", tmp_path / "davis", masks) == run("dev", dev) == 0
    for workspace, stack in ((masks, "masks.yaml"), (dev, "dev.yaml")):
        assert (workspace / stack).read_bytes() == (STACKS / stack).read_bytes()


def test_trackers_of_the_user_are_known_beside_masks_too(tmp_path: Path) -> None:
    write_video(tmp_path / "davis" / "bear", tmp_path / "davis" / "bear", [label((1, 4, 4))] * 3)
    workspace = tmp_path / "w"
    workspace.mkdir()
    (workspace / "trackers.ini").write_text("[Mine]\ncommand = mine\n")
    assert run("from-masks", tmp_path / "davis", workspace) == 0
    assert {"DMB", "MIL", "Mine"} <= known_trackers(read_workspace(workspace).registry).keys()
    (workspace / "trackers.ini").unlink()
    assert {"DMB", "MIL"} <= known_trackers(read_workspace(workspace).registry).keys()


def test_every_object_becomes_a_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [label((2, 4 + index, 4), (255, 40, 20), *([(7, 30, 20)] if index >= 2 else [])) for index in range(6)]
    root = tmp_path / "DAVIS"
    write_video(root / "JPEGImages" / "480p" / "pair", root / "Annotations" / "480p" / "pair", labels)
    write_video(root / "JPEGImages" / "480p" / "none", root / "Annotations" / "480p" / "none", [label()] * 3)
    assert run("from-masks", root, tmp_path / "w") == 0
    output = capsys.readouterr().out
    assert "left out none: its masks are empty" in output and "pair_7: 4 frames, from image 00002.jpg" in output
    layout = read_workspace(tmp_path / "w")
    assert list(layout.sequences) == ["pair_2", "pair_7"]
    lines = (layout.sequences["pair_7"] / "groundtruth.txt").read_text().split()
    assert np.array_equal(decode_mask(lines[0], SHAPE), labels[2] == 7)
    first = [(layout.sequences[name] / "color" / "00000001.jpg").read_bytes() for name in ("pair_2", "pair_7")]
    assert first == [(root / "JPEGImages" / "480p" / "pair" / f"0000{index}.jpg").read_bytes() for index in (0, 2)]


def test_youtube_vos_and_black_and_white_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [label((255, 4 + index, 4)) for index in range(6)]
    root = tmp_path / "youtube" / "train"
    write_video(root / "JPEGImages" / "0a1b", root / "Annotations" / "0a1b", labels, step=2)
    assert run("from-masks", root.parent, tmp_path / "w") == 0
    assert "0a1b: 3 images without a mask are left out" in capsys.readouterr().out
    (sequence,) = read_workspace(tmp_path / "w").sequences.values()
    assert sequence.name == "0a1b" and len(list((sequence / "color").iterdir())) == 3
    pack(tmp_path / "youtube", tmp_path / "youtube.tar")
    assert run("from-masks", tmp_path / "youtube.tar", tmp_path / "w2") == 0
    (other,) = read_workspace(tmp_path / "w2").sequences.values()
    assert (other / "groundtruth.txt").read_text() == (sequence / "groundtruth.txt").read_text()


def test_damage_in_videos_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "videos" / "bear"
    write_video(folder, folder, [label((1, 4, 4))] * 3, suffix=".webp")
    command = ("from-masks", tmp_path / "videos", tmp_path / "w")
    assert "no sequence 'bus'" in refusal(capsys, *command, "--sequences-only", "bus")
    with pytest.raises(SystemExit) as stop:
        run(*command, "--fps", "0")
    assert stop.value.code == 2 and "--fps is 0; it must be at least 1" in capsys.readouterr().err
    mask = (folder / "00001.png").read_bytes()
    (folder / "00001.png").write_bytes(mask[:-40])
    assert "bear/00001.png' is damaged" in refusal(capsys, *command)
    cv2.imwrite(str(folder / "00001.png"), np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    assert "colors, soft borders or a picture; save it as an indexed PNG" in refusal(capsys, *command)
    (folder / "00001.png").write_bytes(mask)
    image = (folder / "00001.webp").read_bytes()
    (folder / "00001.webp").write_bytes(image[:9])
    assert "00001.webp' is damaged or not an image" in refusal(capsys, *command)
    assert not (tmp_path / "w" / "config.yaml").exists()
    (folder / "00001.webp").write_bytes(image)
    assert run(*command) == 0
    assert cv2.imread(str(tmp_path / "w" / "sequences" / "bear" / "color" / "00000002.jpg")).shape == (*SHAPE, 3)
    for path in folder.glob("0000[12].png"):
        path.unlink()
    assert "fewer than two images with a mask" in refusal(capsys, *command[:2], tmp_path / "w3")
    for path in folder.glob("*.png"):
        path.unlink()
    assert "holds no images with masks" in refusal(capsys, *command[:2], tmp_path / "w3")
    assert "does not exist" in refusal(capsys, "from-masks", tmp_path / "nothing", tmp_path / "w3")
