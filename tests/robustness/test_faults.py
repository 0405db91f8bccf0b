"""When something around the tracker fails: signals, closed pipes, full disks, full GPUs, odd places and languages."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.conftest import CHECKOUT, clean_environment
from tests.robustness.checks import assert_sentence
from tests.robustness.pictures import TARGET, frame
from tests.robustness.processes import Server, states
from tests.robustness.test_checkpoints import good
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.checkpoints import weights
from tracker.checkpoints.weights import WeightsError, load_weights, write_tensors
from tracker.cli.main import main
from tracker.engine.engine import Engine
from tracker.errors import DeviceFullError
from tracker.trax_server import Log

START = b'@@TRAX:initialize "40,30,30,24"\n'
NUMBERS = {"x": torch.ones(3)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("frames") / "1.png"
    cv2.imwrite(str(file), frame()[:, :, ::-1])
    return str(file)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    started.read_until(lambda text: "@@TRAX:hello" in text and text.endswith("\n"))
    yield started
    started.close()


class TestSignalsAndPipes:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("when", ["at once", "between frames", "in the middle of a message", "twice"])
    def test_a_signal_ends_it_in_order(self, server: Server, path: str, when: str, number: signal.Signals) -> None:
        if when in ("between frames", "twice"):
            server.send(START + b'@@TRAX:frame "file://' + path.encode() + b'"\n')
            server.read_until(lambda text: bool(states(text)))
        elif when == "in the middle of a message":
            server.send(b'@@TRAX:frame "file:///ha')
        time.sleep(0.1)  # until it waits
        for _ in range(1 + (when == "twice")):
            os.kill(server.pid, number)
        assert server.wait() == 128 + number
        assert f"DMB: stopped by {number.name}" in server.text and "Traceback" not in server.text

    def test_a_client_that_goes_away_ends_it(self, server: Server) -> None:
        server.hang_up()
        assert server.wait() == 0
        assert "Traceback" not in server.text

    def test_a_client_that_no_longer_listens_is_served_until_it_goes(self, server: Server, path: str) -> None:
        server.stop_listening()
        server.send(2 * (START + b'@@TRAX:frame "file://' + path.encode() + b'"\n'))
        server.hang_up()
        assert server.wait() in (0, 1), "it neither hangs nor is killed by SIGPIPE"

    def test_by_hand_it_says_what_it_is_for(self) -> None:
        process = subprocess.run(
            [sys.executable, "-m", "tracker.trax_server"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=60,
        )
        assert process.returncode == 2 and "The VOT toolkit starts it" in process.stdout and not process.stderr


class TestDisk:
    @pytest.mark.parametrize("where", ["save_file", "replace", "chmod"])
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
    def test_weights_that_cannot_be_written_leave_the_old_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, number: int
    ) -> None:
        target = tmp_path / "weights.safetensors"
        target.write_bytes(b"old")

        def fail(*arguments: object, **options: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(weights if where == "save_file" else weights.os, where, fail)
        with pytest.raises(OSError) as caught:
            write_tensors(NUMBERS, target, {})
        assert caught.value.errno == number
        assert target.read_bytes() == b"old" and os.listdir(tmp_path) == [target.name]

    def test_a_write_that_is_cut_off_leaves_the_old_ones(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        target = tmp_path / "weights.safetensors"
        target.write_bytes(b"old")

        def fail(tensors: object, name: str, metadata: object) -> None:
            Path(name).write_bytes(b"half of the numb")
            raise KeyboardInterrupt

        monkeypatch.setattr(weights, "save_file", fail)
        with pytest.raises(KeyboardInterrupt):
            write_tensors(NUMBERS, target, {})
        assert target.read_bytes() == b"old" and os.listdir(tmp_path) == [target.name]

    def test_a_conversion_that_cannot_be_written_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from tracker.checkpoints import conversion

        def fail(source: Path, target: Path) -> dict[str, str]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

        monkeypatch.setattr(conversion, "convert", fail)
        source = tmp_path / "net.pth"
        source.write_bytes(b"any")
        assert main(["weights", "convert", str(source)]) == 1
        told = capsys.readouterr().err.strip()
        assert_sentence(told, "^dmb weights: error: .*No space left on device.*net.safetensors")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    def test_a_full_disk_under_the_log_is_said_once_and_ends_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        log = Log()
        log.path = Path("/dev/full")
        for number in range(3):
            log.write(f"line {number}")
        lines = capfd.readouterr().err.splitlines()
        assert [line for line in lines if "line" in line] == ["DMB: line 0", "DMB: line 1", "DMB: line 2"]
        assert [line for line in lines if "warning" in line] == [
            "DMB: warning: log file '/dev/full' cannot be written (No space left on device)"
        ]

    @pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EISDIR, errno.ENOENT])
    def test_so_is_a_log_that_cannot_be_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
    ) -> None:
        def fail(*arguments: object, **options: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "open", fail)
        log = Log()
        log.path = tmp_path / "dmb.log"
        log.write("first")
        log.write("second")
        text = capfd.readouterr().err
        assert text.count("cannot be written") == 1 and os.strerror(number) in text and "DMB: second" in text

    def test_the_session_goes_on_without_its_log(self, tmp_path: Path, path: str) -> None:
        server = Server(DMB_LOG=str(tmp_path / "no such folder" / "dmb.log"))
        try:
            server.send(START + b'@@TRAX:frame "file://' + path.encode() + b'"\n')
            assert server.read_until(lambda text: bool(states(text)))
            server.send(b"@@TRAX:quit\n")
            assert server.wait() == 0
            assert server.text.count("no such folder/dmb.log' cannot be written (No such file or directory)") == 1
        finally:
            server.close()

    def test_weights_replaced_while_tracking_change_nothing(self, tmp_path: Path) -> None:
        """The numbers are in memory, not a view of the file: a training may write new ones beside a tracker."""
        target = tmp_path / "weights.safetensors"
        write_tensors(NUMBERS, target, {})
        tensors, _ = weights.read_tensors(target)
        content = bytearray(target.read_bytes())
        write_tensors({"x": torch.zeros(3)}, target, {})
        assert tensors["x"].tolist() == [1, 1, 1]
        target.write_bytes(bytes(len(content)))  # even in place, as a careless copy does
        assert tensors["x"].tolist() == [1, 1, 1]
        assert target.stat().st_mode & 0o777 == 0o644

    def test_so_it_is_with_the_network_that_tracks(self, tmp_path: Path, weights_file: Path) -> None:
        """In the middle of a video, by another file of the name and in place."""
        target = Path(shutil.copyfile(weights_file, tmp_path / "weights.safetensors"))
        masks = []
        for replaced in (False, True):
            dmb = DMB(Engine(load_weights(target), precision="float32"))
            masks.append([dmb.initialize(frame(), TARGET).mask, dmb.track(frame(1)).mask])
            if replaced:
                write_tensors(NUMBERS, target, {})
                target.write_bytes(b"something else")
            masks[-1] += [dmb.track(frame(index)).mask for index in (2, 3)]
        assert all(np.array_equal(one, other) for one, other in zip(*masks, strict=True))


class CrowdedNet(torch.nn.Module):
    """Wraps the tiny network; calls fail with `error`, by name, while `fails` says so."""

    def __init__(self, net: torch.nn.Module, fails: Callable[[str, tuple[Any, ...]], bool], error: Exception) -> None:
        super().__init__()
        self.net, self.fails, self.error = net, fails, error

    def __getattr__(self, name: str) -> Any:
        if name in ("normalize", "query_encoder", "encode_query", "encode_memory", "segment"):
            method = getattr(super().__getattr__("net"), name)

            def call(*arguments: Any) -> Any:
                if self.fails(name, arguments):
                    raise self.error
                return method(*arguments)

            return call
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("net"), name)


FULL = torch.OutOfMemoryError("CUDA out of memory")


def crowded(name: str, call: int, error: Exception) -> Engine:
    """An engine on whose device a step, at one of its calls, does not fit."""
    engine, calls = tiny_engine(), [0]

    def fails(method: str, arguments: tuple[Any, ...]) -> bool:
        calls[0] += method == name
        return method == name and calls[0] > call

    engine.model = CrowdedNet(engine.model, fails, error).eval()  # type: ignore[assignment]
    return engine


def follow(engine: Engine) -> None:
    dmb = DMB(engine, CONFIG)
    dmb.initialize(frame(), TARGET)
    for index in range(1, 8):
        dmb.track(frame(index))


@pytest.mark.parametrize("name", ["normalize", "query_encoder", "encode_query", "encode_memory", "segment"])
class TestFullGPU:
    @pytest.mark.parametrize("call", [0, 1, 4])
    def test_a_full_memory_is_one_sentence(self, name: str, call: int) -> None:
        with pytest.raises(DeviceFullError, match=r"is full; choose another device .* or end other programs$"):
            follow(crowded(name, call, FULL))

    def test_other_words_for_a_full_memory_are_understood(self, name: str) -> None:
        error = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        with pytest.raises(DeviceFullError):
            follow(crowded(name, 0, error))

    def test_other_errors_stay_what_they_are(self, name: str) -> None:
        error = RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED")
        with pytest.raises(RuntimeError, match="EXECUTION_FAILED"):
            follow(crowded(name, 0, error))


class TestPlaces:
    @pytest.mark.parametrize("name", ["ünï cödé", "空白 文件", "a'b\"c %s", "x" * 200, "new\nline"])
    def test_weights_in_odd_places(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        target = folder / "weights.safetensors"
        facts = write_tensors(NUMBERS, target, {"note": "größer"})
        assert weights.read_tensors(target)[1] == facts
        target.write_bytes(good())
        assert weights.read_weights(weights.find_weights(target))[1]["format"] == "dmb-1"

    @pytest.mark.parametrize("name", ["~nobody-of-this-name/w.safetensors", "nul\0byte", "x" * 5000, "a/" * 3000])
    def test_names_that_no_file_can_have(self, name: str) -> None:
        with pytest.raises(WeightsError, match=r"does not exist; name an existing \.safetensors file"):
            load_weights(name)

    def test_the_package_runs_from_a_folder_of_another_script(self, tmp_path: Path) -> None:
        folder = tmp_path / "Größe и 空白"
        shutil.copytree(CHECKOUT / "tracker", folder / "tracker", ignore=shutil.ignore_patterns("__pycache__"))
        code = "import sys, tracker.cli.main as m; print(m.__file__); sys.exit(m.main(['--version']))"
        environ = clean_environment() | {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
        process = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,  # which Python puts before all others
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environ,
            timeout=60,
        )
        assert process.returncode == 0, process.stderr
        assert "空白" in process.stdout and process.stdout.splitlines()[1].startswith("dmb ")


@pytest.fixture
def german(tmp_path: Path) -> dict[str, str]:
    """The environment of a language that writes 1,5 for one and a half, made for the test."""
    if shutil.which("localedef") is None:
        pytest.skip("no localedef here")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")], capture_output=True, text=True
    )
    if not (tmp_path / "de_DE.UTF-8" / "LC_NUMERIC").exists():
        pytest.skip(f"no source of a language here: {made.stderr.strip()}")
    return clean_environment(LOCPATH=str(tmp_path), LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8")


DECIMAL_COMMAS = """
import locale, numpy as np, pytest
assert locale.setlocale(locale.LC_ALL, "") == "de_DE.UTF-8" and locale.str(1.5) == "1,5"  # for C libraries too
from tests.robustness.pictures import SHAPE, TARGET, frame
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB
from tracker.geometry.region import RegionError
from tracker.trax.convert import confidence_text, read_region, write_region
result = DMB(tiny_engine(), CONFIG).initialize(frame(), TARGET)
assert confidence_text(result) == "1.0000"
with pytest.raises(RegionError, match="the box 40[.]5, 30, -1, 5 has no area"):
    DMB(tiny_engine(), CONFIG).initialize(frame(), (40.5, 30, -1, 5))
for kind in ("rectangle", "polygon", "mask"):
    region = write_region(result, kind, SHAPE)
    assert np.allclose(read_region(region, SHAPE)[1], {"rectangle": result.box, "polygon": result.polygon,
                                                       "mask": result.mask}[kind], atol=1e-3)
print("done")
"""


def test_numbers_are_written_with_points_everywhere(german: dict[str, str]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", DECIMAL_COMMAS], capture_output=True, text=True, env=german, cwd=CHECKOUT, timeout=300
    )
    assert process.returncode == 0 and process.stdout == "done\n", process.stderr


def test_the_command_speaks_in_a_language_that_is_not_installed(tmp_path: Path) -> None:
    path = tmp_path / "größe.safetensors"
    path.write_bytes(b"no weights")
    process = subprocess.run(
        [sys.executable, "-m", "tracker.cli.main", "weights", "info", str(path)],
        capture_output=True,
        env=clean_environment(LC_ALL="de_XX.UTF-8"),
        timeout=100,
    )
    assert process.returncode == 1
    assert process.stderr.startswith(b"dmb weights: error: ") and b"Traceback" not in process.stderr
    assert len(process.stderr.splitlines()) == 1
