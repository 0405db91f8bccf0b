"""DMB where a user keeps it: a path with a space, and a file that is called `tracker.py`, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment
from tests.end_to_end.workspace import Video, Workspace, straight
from tracker.cli.evaluate import main as evaluate

SHORT = {"type": "supervised", "repetitions": 1, "skip_initialize": 5}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A sequence, and a tracker that stands still."""
    video = Video("one", {"object": straight(4, (40, 60), (0, 0))}, "polygon")
    made = Workspace(tmp_path / "work space", SHORT, [video])
    (made.folder / "trackers.ini").write_text(
        f"[DMB]\nlabel = DMB\nprotocol = traxpython\ncommand = tests.doubles\npaths = {CHECKOUT}\nenv_DOUBLE = still\n"
    )
    return made


@pytest.fixture
def spaced(tmp_path: Path) -> Path:
    """This interpreter in an environment whose path holds a space."""
    folder = tmp_path / "my environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (folder / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    return folder / "bin" / "python"


@pytest.mark.end_to_end
@pytest.mark.skipif("__import__('sys').prefix == __import__('sys').base_prefix")
@pytest.mark.parametrize("command", [["evaluate", "--workers", "1"], ["vot", "evaluate"]])
def test_an_environment_whose_path_holds_a_space(workspace: Workspace, spaced: Path, command: list[str]) -> None:
    words = [str(spaced), "-m", "tracker.cli.main", *command, "--workspace", str(workspace.folder), "DMB"]
    done = subprocess.run(words, capture_output=True, text=True, env=clean_environment(VOT_RESULTS_BINARY="0"),
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(workspace.results("one")["one_001.txt"]) == 4, done.stdout + done.stderr


def test_a_tracker_registered_twice_is_told(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "others.ini").write_text("[DMB]\nprotocol = traxpython\ncommand = nothing\n[Else]\ncommand = nothing\n")
    words = ["--workspace", str(workspace.folder), "--workers", "1", "--registry", str(tmp_path / "others.ini"), "DMB"]
    assert evaluate(words, environ=clean_environment()) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    first, second = workspace.folder / "trackers.ini", tmp_path / "others.ini"
    assert notes == [
        f"note: [DMB] is in '{first}' and in '{second}'; the toolkit takes the first one, rename the other"
    ]
    assert evaluate(words, environ=clean_environment(DMB_GATE="off")) == 0
    told = capsys.readouterr().out
    assert f"the results in '{workspace.folder}/results/DMB' were made with other settings (DMB_GATE)" in told


@pytest.mark.parametrize("kind", ["file", "package"])
@pytest.mark.parametrize("way", ["path", "current folder"])
def test_a_users_own_tracker_hides_nothing(tmp_path: Path, kind: str, way: str) -> None:
    own = tmp_path / ("tracker.py" if kind == "file" else "tracker/__init__.py")
    own.parent.mkdir(exist_ok=True)
    own.write_text("raise SystemExit('the wrong tracker')\n")
    path = f"{tmp_path}:{CHECKOUT}" if way == "path" else f":{CHECKOUT}"
    for words in (["--version"], ["track", "--help"], ["doctor", "--help"]):
        code = f"import sys; sys.argv = ['dmb', *{words}]; from dmb_tracker import main; sys.exit(main())"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean_environment(PYTHONPATH=path),
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0 and "dmb" in done.stdout and not done.stderr, done.stderr
    code = "from dmb_tracker import DMB, __version__; import tracker; print(DMB.__module__, tracker.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean_environment(PYTHONPATH=path),
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout.startswith("tracker.tracking.tracker ") and not done.stderr


def test_a_tracker_that_was_imported_before_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tracker.py").write_text("")
    code = "import tracker\ntry:\n    from dmb_tracker import DMB\nexcept ImportError as error:\n    print(error)"
    environment = clean_environment(PYTHONPATH=f"{tmp_path}:{CHECKOUT}")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout == (
        f"a module 'tracker' ({tmp_path}/tracker.py) was imported before DMB, which is called so, too; "
        "import dmb_tracker first, or rename that file\n"
    )


@pytest.mark.parametrize("name", ["PIL", "random"])
def test_a_users_own_file_in_place_of_a_module_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("mine = True\n")
    code = "import sys; sys.argv = ['dmb', 'track', 'no.mp4', '--box', '1,2,3,4']; "
    code += "from dmb_tracker import main; sys.exit(main())"
    environment = clean_environment(PYTHONPATH=f"{tmp_path}:{CHECKOUT}")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    told = f"dmb: error: '{tmp_path}/{name}.py' was imported in place of the module '{name}' that DMB needs; rename it"
    assert done.stderr.startswith(told)
