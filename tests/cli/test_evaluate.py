"""What `dmb evaluate` refuses, in one sentence each; with the toolkit it is tested end to end."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tracker.cli.evaluate import main
from vot_workspace.layout import (
    check_truth,
    check_truths,
    frame_count,
    known_trackers,
    read_workspace,
    registry_places,
)
from vot_workspace.parallel import note_settings
from vot_workspace.writer import WorkspaceError

REGISTRY = "[Here]\ncommand = here\n[There]\ncommand = there\nversion = 2\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name, frames in (("car", 4), ("ball", 9)):
        folder = tmp_path / "sequences" / name
        folder.mkdir(parents=True)
        (folder / "groundtruth.txt").write_text("0,0,9,9\n" * frames)
    (tmp_path / "sequences" / "list.txt").write_text("car\nball\n")
    (tmp_path / "config.yaml").write_text("registry:\n- ./trackers.ini\nstack: vot2018/shortterm\n")
    (tmp_path / "trackers.ini").write_text(REGISTRY)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["--workers", "2", *map(str, arguments)]) == 1
    text = capsys.readouterr().err
    assert text.startswith("dmb evaluate: error: ") and text.count("\n") == 1
    return text


def test_what_a_user_may_get_wrong(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--workspace", workspace)
    assert "is not a workspace: it has no 'config.yaml'; make one" in refusal(capsys, "--workspace", "/nowhere", "Here")
    told = refusal(capsys, *where, "DMBB")
    assert "there is no tracker 'DMBB'" in told and "known are: " in told and "Here" in told and "There" in told
    assert "trackers.ini" in told
    assert "no tracker 'There@'" in refusal(capsys, *where, "There@")
    assert "no experiment 'fast'; it has: baseline, realtime, unsupervised" in refusal(
        capsys, *where, "Here", "--experiments", "fast"
    )
    assert "--registry is '/nowhere.ini', which does not exist" in refusal(
        capsys, *where, "Here", "--registry", "/nowhere.ini"
    )
    (workspace / "trackers.ini").write_text("command = here\n")
    assert "registers no trackers" in refusal(capsys, *where, "Here")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf0,0,9,9\n", "' begins with a byte order mark; save it as UTF-8 without one"),
        (b"0,0,9,9\n\n0,0,9,9\n", "', line 2 is empty; write nan,nan,nan,nan where nothing is seen"),
        (b"0,0,9,9\n0,0,9,9\n\n", "', line 3 is empty"),
        (b"0,0,9,9\n0\t0\t9\t9\n", "', line 2: '0\t0\t9\t9' is not a region; write x,y,w,h or"),
        (b"0 0 9 9\n", "', line 1: '0 0 9 9' is not a region"),
        (b"0,0,9\n", "', line 1: '0,0,9' is not a region"),
        (b"x,y,w,h\n0,0,9,9\n", "', line 1: 'x,y,w,h' is not a region"),
        (b"m0,0,x\n", "', line 1: 'm0,0,x' is not a region"),
        ("0,0,9,9\n".encode("utf-16"), "' cannot be read ("),
    ],
)
def test_a_mistake_in_the_ground_truth_is_told_with_file_and_line(
    workspace: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    path = workspace / "sequences" / "ball" / "groundtruth.txt"
    path.write_bytes(content)
    assert f"'{path}{told}" in refusal(capsys, "--workspace", workspace, "Here")


def with_images(sequence: Path, pattern: str, count: int) -> None:
    for number in range(1, count + 1):
        path = sequence / (pattern % number)
        path.parent.mkdir(exist_ok=True)
        path.touch()


@pytest.mark.parametrize("lines", [7, 12])
@pytest.mark.parametrize(
    ("facts", "images", "told"),
    [
        ("length=9\n", "color/%08d.jpg", "'{}/sequence' says so"),
        ("channels.color=color/%08d.jpg\n", "color/%08d.jpg", "images '{}/color/%08d.jpg'"),
        ("channels.color = left\\%05d.png\n", "left/%05d.png", "images '{}/left/%05d.png'"),
        ("channels.ir=ir\n", "ir/%08d.jpg", "images '{}/ir/%08d.jpg'"),
        ("fps=20\n", "color/%08d.jpg", "images '{}/color/%08d.jpg'"),
        (None, "%08d.jpg", "images '{}/%08d.jpg'"),
    ],
)
def test_more_or_fewer_regions_than_frames_are_told_with_both_numbers(
    workspace: Path, capsys: pytest.CaptureFixture[str], facts: str | None, images: str, told: str, lines: int
) -> None:
    ball = workspace / "sequences" / "ball"
    if facts is not None:
        (ball / "sequence").write_text(facts)
    with_images(ball, images, 9)
    check_truth(ball)
    (ball / "groundtruth.txt").write_text("0,0,9,9\n" * lines)
    said = refusal(capsys, "--workspace", workspace, "Here")
    assert f"'{ball}/groundtruth.txt' has {lines} lines, but the sequence has 9 frames ({told.format(ball)})" in said


def test_the_first_region_is_enough_where_nothing_is_reset(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in challenges that keep the others secret: a file with one line for each of several objects."""
    ball = workspace / "sequences" / "ball"
    with_images(ball, "%08d.jpg", 9)
    for target in "ab":
        (ball / f"groundtruth_{target}.txt").write_text("0,0,9,9\n")
    assert "groundtruth_a.txt' has 1 lines" in refusal(capsys, "--workspace", workspace, "Here")
    layout = read_workspace(workspace)
    check_truths(replace(layout, experiments={"unsupervised": layout.experiments["unsupervised"]}))
    (ball / "groundtruth_b.txt").write_text("0,0,9,9\n" * 2)
    with pytest.raises(WorkspaceError, match=r"groundtruth_b.txt' has 2 lines, but the sequence has 9 frames"):
        check_truth(ball, first_is_enough=True)


def test_a_byte_order_mark_in_a_registry_is_told(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = workspace / "trackers.ini"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    told = refusal(capsys, "--workspace", workspace, "Here")
    assert f"'{path}' begins with a byte order mark; save it as UTF-8 without one" in told


def test_usual_ground_truth_is_understood(workspace: Path) -> None:
    lines = ["0, 0, 9, 9", "1,2,3,4,5,6,7,8", "nan,nan,nan,nan", "0", "m1,2,3,4,5,6", "1,2,3,4,5,6"]
    (workspace / "sequences" / "ball" / "groundtruth.txt").write_text("\r\n".join(lines) + "\r\n")
    check_truth(workspace / "sequences" / "ball")


def test_results_of_other_settings_are_told(workspace: Path) -> None:
    layout, notes = read_workspace(workspace), list[str]()
    for environ in ({"DMB_GATE": "off", "DMB_THREADS": "2"}, {"DMB_GATE": "off", "DMB_THREADS": "1", "HOME": "x"}):
        note_settings(layout, "Here", layout.registry, environ, notes.append)
    assert not notes
    note_settings(layout, "Here", layout.registry, {"DMB_CROP_SIZE": "256"}, notes.append)
    (workspace / "trackers.ini").write_text(REGISTRY.replace("command = here", "command = here\nenv_DMB_GATE = off"))
    note_settings(layout, "Here", layout.registry, {"DMB_GATE": "off"}, notes.append)
    folder = workspace / "results" / "Here"
    assert [note.partition(" are kept")[0] for note in notes] == [
        f"note: the results in '{folder}' were made with other settings (DMB_CROP_SIZE, DMB_GATE) and",
        f"note: the results in '{folder}' were made with other settings (env_dmb_gate) and",
    ]


def test_the_current_folder_is_no_registry(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toolkit's processes would not find a tracker there either, see `registry_places`."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "trackers.ini").write_text("[Mine]\ncommand = mine\n")
    monkeypatch.chdir(here)
    where = ("--workspace", workspace)
    assert "no tracker 'Mine'" in refusal(capsys, *where, "Mine")
    (workspace / "config.yaml").write_text("registry:\n- gone/trackers.ini\nstack: vot2018/shortterm\n")
    told = refusal(capsys, *where, "Mine")
    assert f"names the registry '{workspace}/gone/trackers.ini', which does not exist; correct it there" in told
    assert told.endswith("with --registry FILE, for instance --registry trackers.ini\n")
    layout = read_workspace(workspace)
    assert known_trackers(registry_places(layout, Path("trackers.ini"), {})) == {"Mine": "Mine"}
    environ = {"VOT_REGISTRY": os.pathsep.join((".", str(here)))}  # a relative one is read from elsewhere
    assert registry_places(layout, None, environ) == [workspace / "gone" / "trackers.ini", here]
    monkeypatch.chdir(tmp_path / "sequences")
    assert refusal(capsys, *where, "Mine").endswith("with --registry FILE\n")


def test_wrong_usage_ends_with_2(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--workspace", str(workspace), "--workers", "0", "Here"])
    assert stop.value.code == 2 and "--workers is 0; it must be at least 1" in capsys.readouterr().err


def test_files_of_others_may_be_damaged_or_old(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = workspace / "sequences" / "ball" / "sequence"
    facts.write_bytes("name=B\xe4lle\nlength=5\n".encode("latin-1"))
    assert frame_count(facts.parent) == 5
    (facts.parent / "groundtruth.txt").write_text("0,0,9,9\n" * 5)
    (workspace / "config.yaml").write_text("registry: trackers.ini\nstack: vot2020/shortterm\n")
    (facts.parent / "anchor.value").write_text("1\n0\none\n")
    told = refusal(capsys, "--workspace", workspace, "Here")
    assert "anchor.value' holds something other than one number per frame" in told and "'one'" in told


def test_sequences_must_be_there(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--workspace", workspace)
    (workspace / "sequences" / "list.txt").write_text("car\ngone\n")
    assert "1 of the 2 sequences" in refusal(capsys, *where, "Here")
    (workspace / "sequences" / "list.txt").write_text("\n")
    assert "there are no sequences: " in refusal(capsys, *where, "Here")
    (workspace / "sequences" / "list.txt").unlink()
    assert "--sequences FOLDER" in refusal(capsys, *where, "Here")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stack: vot1999", "names the stack 'vot1999'"),
        ("registry: []", "names no stack"),
        ("stack: {title: empty}", "has no experiments"),
        ("[1", "cannot be read"),
    ],
)
def test_a_configuration_must_be_usable(
    workspace: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    (workspace / "config.yaml").write_text(text + "\n")
    assert told in refusal(capsys, "--workspace", workspace, "Here")


def test_one_evaluation_at_a_time(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (workspace / "config.yaml").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "an evaluation is running in" in refusal(capsys, "--workspace", workspace, "Here")


def test_a_workspace_is_read_as_the_toolkit_does(workspace: Path) -> None:
    layout = read_workspace(workspace)
    assert list(layout.sequences) == ["car", "ball"] and layout.sequences["car"].is_absolute()
    assert layout.experiments["baseline"]["repetitions"] == 15
    assert known_trackers(layout.registry) == {"Here": "Here", "There": "There@2"}
    (workspace / "trackers.yaml").write_text("Also:\n  command: also\nHere:\n  command: other\n  version: 7\n")
    assert known_trackers([workspace, *layout.registry]) == {"Also": "Also", "Here": "Here@7", "There": "There@2"}
    assert frame_count(layout.sequences["ball"]) == 9
    (layout.sequences["ball"] / "sequence").write_text("fps=20\nlength=5\n")
    assert frame_count(layout.sequences["ball"]) == 5


def test_help_is_light() -> None:
    code = (
        "import sys\nfrom tracker.cli.evaluate import main\nfrom tracker.cli.workspace import main as other\n"
        "for run in (main, other):\n    try:\n        run(['--help'])\n    except SystemExit as end:\n"
        "        assert end.code == 0\nsys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Ctrl-C" in done.stdout and "from-masks" in done.stdout
