"""Disks that are full while results, weights and videos are written, and folders that may not be written to.

What was there before stays whole, one sentence names the file, and with room again the same command continues.
"""

from __future__ import annotations

import csv
import errno
import json
import logging
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoints.test_conversion import slim
from tests.end_to_end.test_evaluation import Workspace, wait_until
from tests.media.clips import StillTracker, write_clip
from tests.robustness.checks import assert_sentence
from tests.robustness.disks import ROOM, Cramped, cramped, files_of_at_most, fill, mounted, sealed
from tests.training.test_loop import trainer
from tests.vot_workspace.mask_folders import label, write_video
from tracker.benchmarks.record import record
from tracker.checkpoints.weights import read_tensors, release_name, save_weights, write_tensors
from tracker.cli import track
from tracker.cli.main import main
from tracker.network import DMBNet
from tracker.training.report import Report
from vot_workspace.trajectories import publish

KINDS = ("a full disk", "a limit")
MEGABYTE = 2**20


def release() -> dict[str, torch.Tensor]:
    """A checkpoint of the release that takes little room until it is converted."""
    state = DMBNet(stride_on="3x3", coarse_prediction=False).state_dict()
    return slim({release_name(name): tensor for name, tensor in state.items()})


@pytest.fixture(params=KINDS)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cramped]:
    with cramped(tmp_path / "small", request.param) as made:
        yield made


def test_weights_that_do_not_fit_leave_the_old_ones(small: Cramped) -> None:
    path = small.folder / "weights.safetensors"
    write_tensors({"x": torch.ones(30)}, path, {})
    before = path.read_bytes()
    with pytest.raises(OSError) as caught:
        write_tensors({"x": torch.ones(300_000)}, path, {})
    assert str(caught.value) == f"[Errno {small.number}] {small.words}: '{path}'"
    assert path.read_bytes() == before and list(small.folder.iterdir()) == [path]
    assert read_tensors(path)[0]["x"].sum() == 30


def test_a_conversion_that_does_not_fit_is_one_sentence(small: Cramped, capsys: pytest.CaptureFixture[str]) -> None:
    source = small.folder.parent / "net.pth"
    with files_of_at_most(1000 * MEGABYTE):
        torch.save(release(), source)
    target = small.folder / "net.safetensors"
    target.write_bytes(b"old")
    assert main(["weights", "convert", str(source), "--output", str(target), "--force"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert_sentence(line.replace(str(small.folder), "FOLDER"), f"error: .*{small.words}: 'FOLDER/net.safetensors'")
    assert target.read_bytes() == b"old" and list(small.folder.iterdir()) == [target]


class TestTraining:
    def test_a_checkpoint_that_does_not_fit_leaves_the_old_one_and_the_run_is_continued(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        torch.manual_seed(0)
        start, output = tmp_path / "start.safetensors", tmp_path / "run"
        save_weights(DMBNet(stride_on="3x3"), start)
        run = trainer(output, None, weights=start)
        run.step = 1
        run.save()
        before = {path.name: path.read_bytes() for path in output.iterdir()}
        assert set(before) == {"checkpoint.pt", "dmb_r50.safetensors"}
        run.step = 2
        sentence = f"[Errno {errno.EFBIG}] File too large: '{output / 'checkpoint.pt'}'"
        with files_of_at_most(MEGABYTE), caplog.at_level(logging.WARNING):
            run._save_on_the_way()
            assert caplog.messages == [f"step 2 is not saved ({sentence}); training goes on and will try again"]
            with pytest.raises(OSError) as caught:
                run.run(until=2)  # which has nothing left to do but to save
        assert str(caught.value) == sentence
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handlers are the earlier ones again"
        shutil.rmtree(output / "tensorboard")
        assert {path.name: path.read_bytes() for path in output.iterdir()} == before
        run.load()
        assert run.step == 1, "from where the next run goes on"

    def test_curves_that_cannot_be_written_end_no_training(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Full:
            """A TensorBoard writer whose thread has met a full disk."""

            def add_scalar(self, *arguments: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            def close(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        from tracker.training import report
        from tracker.training.report import Facts

        monkeypatch.setattr(report, "_writer", lambda folder: Full())
        facts = Facts(torch.tensor([1.0, 1.0, 0.0, 0.5]), 1e-4, 64, 1)
        with caplog.at_level(logging.WARNING), Report(tmp_path, first=0, last=3, every=1) as made:
            for number in (1, 2, 3):
                made.step(number, facts, 0.0)
        said = [record.message for record in caplog.records if "curves" in record.message]
        assert said == ["curves and pictures end here ([Errno 28] No space left on device)"]

    def test_a_log_that_cannot_be_written_is_said_once(self, capfd: pytest.CaptureFixture[str]) -> None:
        from tracker.training.run import LogFile

        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full here")
        handler = LogFile("/dev/full")
        for number in range(3):
            handler.emit(logging.LogRecord("x", logging.INFO, "", 0, f"line {number}", None, None))
        text = capfd.readouterr().err
        assert text == "dmb train: warning: '/dev/full' cannot be written (No space left on device); training goes on\n"


class TestTracking:
    SIZE, LENGTH = (320, 240), 40

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_was_written_before_the_disk_was_full_is_whole(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (self.LENGTH, *self.SIZE[::-1], 3), np.uint8)
        clip = write_clip(tmp_path / "clip.mkv", list(noise))
        before = clip.read_bytes()
        with cramped(tmp_path / "small", kind) as small:
            output = small.folder / "out"
            words = [str(clip), "--box", "10,14,40,40", "--masks", "--boxes", "--video", "--output", str(output)]
            code = track.main(words, load=lambda settings: StillTracker, environ={})
            captured = capsys.readouterr()
            assert code == 1 and "Traceback" not in captured.err
            (line,) = [line for line in captured.err.splitlines() if "error: " in line]
            assert_sentence(line.replace(str(output), "OUT"), rf"error: .*{small.words}|error: 'OUT/overlay.webm'")
            done = int(captured.out.split()[0])
            assert 2 <= done < self.LENGTH and str(output) in captured.out
            masks = sorted((output / "masks").iterdir())
            assert len(masks) in (done, done + 1) and all(np.asarray(Image.open(path)).any() for path in masks)
            with (output / "boxes.csv").open() as file:
                rows = list(csv.DictReader(file))
            assert len(rows) >= done and [int(row["frame"]) for row in rows[:done]] == list(range(done))
        assert clip.read_bytes() == before


class TestEvaluation:
    def test_a_result_that_cannot_be_written_leaves_the_old_one(self, tmp_path: Path) -> None:
        files = {"cup_001_time.value": b"0.1\n", "cup_001.txt": b"1,2,3,4\n" * (ROOM * 256)}
        with cramped(tmp_path / "results", "a full disk") as small:
            publish({name: b"old\n" for name in files}, small.folder)
            with pytest.raises(OSError, match=rf"{small.words}: '.*results/cup_001\.txt'"):
                publish(files, small.folder)
            assert (small.folder / "cup_001.txt").read_text() == "old\n"
            assert len(list(small.folder.iterdir())) == 2

    @pytest.mark.end_to_end
    def test_an_evaluation_on_a_full_disk_loses_nothing_and_goes_on(self, tmp_path: Path) -> None:
        """The real toolkit on a real disk that is full from the second of three sequences on."""
        (tmp_path / "small").mkdir()
        with mounted(tmp_path / "small", "size=2m") as disk:
            workspace = Workspace(disk / "workspace", ("unsupervised",), held=True)
            away_from(workspace, tmp_path)
            process = workspace.start(workers=1)
            wait_until(lambda: len(results(workspace)) > 2)  # one of two repetitions on the first sequence
            before = results(workspace)
            ballast = fill(disk)
            workspace.hold.unlink()
            output = "".join(process.communicate(timeout=120))
            assert process.returncode == 1 and "Traceback" not in output, output
            assert "No space left on device" in output and "error: " in output
            ballast.unlink()
            assert before and before.items() <= results(workspace).items()
            computed = workspace.initializations()
            workspace.evaluate()
            assert len(workspace.times()) == 6 and before.items() <= results(workspace).items()
            assert workspace.initializations() - computed <= 5, "what was finished is not computed twice"
            assert not list(workspace.folder.rglob(".*"))


def results(workspace: Workspace) -> dict[str, bytes]:
    """All files with results, those of times too."""
    folder = workspace.folder / "results"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def away_from(workspace: Workspace, folder: Path) -> None:
    """Put the notes of a workspace's tracker onto another disk."""
    registry = workspace.folder / "trackers.ini"
    for name in ("notes", "hold"):
        old = getattr(workspace, name)
        new = folder / old.name
        if old.exists():
            shutil.move(old, new)
        registry.write_text(registry.read_text().replace(str(old), str(new)))
        setattr(workspace, name, new)


class TestNoPermission:
    """Every command that writes, told to write where it may not."""

    @pytest.fixture
    def closed(self, tmp_path: Path) -> Iterator[Path]:
        with sealed(tmp_path / "closed") as folder:
            yield folder

    @pytest.mark.parametrize(
        "words",
        [
            ["track", "CLIP", "--box", "1,2,20,20", "--output", "CLOSED/out"],
            ["weights", "convert", "NET", "--output", "CLOSED/net.safetensors"],
            ["workspace", "vot2018", "CLOSED/workspace"],
            ["workspace", "from-masks", "VIDEOS", "CLOSED/workspace"],
            ["results", "RESULTS", "--output", "CLOSED/out"],
            ["export", "onnx", "--weights", "WEIGHTS", "--output", "CLOSED/out"],
            ["train", "first", "--data", "VIDEOS", "--output", "CLOSED/out", "--device", "cpu"],
        ],
        ids=lambda words: " ".join(words[:2]),
    )
    def test_it_is_one_sentence(
        self, tmp_path: Path, closed: Path, capsys: pytest.CaptureFixture[str], words: list[str]
    ) -> None:
        places = {name: str(tmp_path / name.lower()) for name in ("CLIP", "NET", "VIDEOS", "RESULTS", "WEIGHTS")}
        write_clip(tmp_path / "clip", [np.full((48, 64, 3), 90, np.uint8)] * 2, container="matroska")
        torch.save(release(), places["NET"])
        save_weights(DMBNet(stride_on="3x3"), places["WEIGHTS"])
        write_video(tmp_path / "videos" / "cup", tmp_path / "videos" / "cup", [label((1, 20, 14))] * 3)
        Path(places["RESULTS"]).write_text(json.dumps({"records": [record({}, "clip", {"J": 0.5})]}))
        line = [places.get(word, word).replace("CLOSED", str(closed)) for word in words]
        assert main(line) == 1
        told = [line for line in capsys.readouterr().err.splitlines() if ": warning: " not in line]
        (sentence,) = told
        refused = "(Read-only file system|Permission denied).*CLOSED|CLOSED.* does not permit it"
        assert_sentence(sentence.replace(str(closed), "CLOSED"), refused)
        assert not list(closed.iterdir())
