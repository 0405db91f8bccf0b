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
from torch import Tensor

from tests.conftest import CHECKOUT, clean_environment
from tests.robustness.checks import assert_sentence, assert_valid
from tests.robustness.pictures import SHAPE, TARGET, frame, target_mask
from tests.robustness.processes import Server, states
from tests.robustness.test_checkpoints import good
from tests.robustness.tiny import CONFIG, tiny_engine
from tracker import DMB, weights
from tracker.cli.main import main
from tracker.engine import Engine
from tracker.trax_server import Log
from tracker.weights import WeightsError, load_weights, write_tensors

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
        from tracker import conversion

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
        if name in ("normalise", "query_encoder", "encode_query", "encode_memory", "segment"):
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


def crowded(fails: Callable[[str, tuple[Any, ...]], bool], error: Exception = FULL) -> Engine:
    """An engine whose device is full when `fails` says so; it is a CPU that passes for a GPU."""
    engine = tiny_engine()
    engine.model = CrowdedNet(engine.model, fails, error).eval()  # type: ignore[assignment]
    engine._can_move = True
    return engine


def follow(engine: Engine, frames: int = 8, region: object = TARGET) -> list[np.ndarray]:
    dmb = DMB(engine, CONFIG)
    results = [dmb.initialize(frame(), region)] + [dmb.track(frame(index)) for index in range(1, frames)]
    for result in results:
        assert_valid(result, SHAPE)
    return [result.mask for result in results]


@pytest.mark.filterwarnings("ignore:the memory of")
class TestFullGPU:
    @pytest.fixture(autouse=True)
    def _float32_on_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that answers from before and after the move can be compared."""
        monkeypatch.setattr("tracker.engine.cpu_has_bfloat16", lambda: False)

    @pytest.mark.parametrize("name", ["normalise", "query_encoder", "encode_query", "encode_memory", "segment"])
    @pytest.mark.parametrize("call", [0, 1, 4])
    def test_the_answers_go_on_on_the_cpu_and_are_the_same(self, name: str, call: int) -> None:
        calls = {"count": -1}

        def fails(method: str, arguments: tuple[Any, ...]) -> bool:
            calls["count"] += method == name
            full = engine._can_move and method == name and calls["count"] >= call
            return full

        engine = crowded(fails)
        with pytest.warns(RuntimeWarning, match="full; the tracker goes on on the CPU, slower; lower DMB_MAX_FRAMES"):
            masks = follow(engine)
        assert not engine._can_move and engine.device.type == "cpu"
        if name != "segment":  # which reads less before it gives up
            assert all(np.array_equal(mask, other) for mask, other in zip(masks, follow(tiny_engine()), strict=True))

    def test_fewer_frames_are_read_before_the_network_moves(self) -> None:
        most = 256  # rows of one frame

        def fails(method: str, arguments: tuple[Any, ...]) -> bool:
            return method == "segment" and arguments[1].shape[1] > most

        engine = crowded(fails)
        with pytest.warns(RuntimeWarning, match=r"reads 1 of the remembered frames from now on; lower DMB_MAX_FRAMES"):
            follow(engine, 25, target_mask())
        assert engine._can_move and engine._frames_read == 1, "one frame fits, so it stays where it is"

    @pytest.mark.parametrize("name", ["encode_query", "segment"])
    def test_other_words_for_a_full_memory_are_understood(self, name: str) -> None:
        error = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        engine = crowded(lambda method, arguments: engine._can_move and method == name, error)
        with pytest.warns(RuntimeWarning, match="goes on on the CPU"):
            follow(engine)
        assert not engine._can_move

    @pytest.mark.parametrize("name", ["encode_query", "segment"])
    def test_other_errors_are_no_reason_to_move(self, name: str) -> None:
        error = RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED")
        engine = crowded(lambda method, arguments: engine._can_move and method == name, error)
        with pytest.raises(RuntimeError, match="EXECUTION_FAILED"):
            follow(engine)
        assert engine._can_move

    def test_the_memory_of_the_network_is_given_back_after_it_has_moved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        engine, order = crowded(lambda method, arguments: False), []
        monkeypatch.setattr(engine.model, "to", lambda device: order.append("moved"))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: order.append("given back"))
        engine._move_to_cpu()
        assert order[-2:] == ["moved", "given back"]

    def test_where_the_cpu_is_full_the_error_is_the_users(self) -> None:
        engine = crowded(lambda method, arguments: method == "encode_query")
        with pytest.warns(RuntimeWarning), pytest.raises(torch.OutOfMemoryError):
            follow(engine)

    def test_one_that_is_on_the_cpu_does_not_try_twice(self) -> None:
        calls: list[str] = []

        def fails(method: str, arguments: tuple[Any, ...]) -> bool:
            calls.append(method)
            return method == "normalise"

        engine = crowded(fails)
        engine._can_move = False
        with pytest.raises(torch.OutOfMemoryError):
            follow(engine)
        assert calls.count("normalise") == 1

    def test_tensors_of_another_type_are_read(self) -> None:
        """What was remembered in half precision on the GPU is read in float32 on the CPU."""
        engine = tiny_engine()
        pixels: Tensor = engine.normalise(frame()[None, :64, :64])
        query = engine.encode_query(pixels)
        keys, values = engine.encode_memory(pixels, np.ones((64, 64), np.float32))
        zeros = np.zeros((4, 4), np.float32)
        half = engine.segment(query, keys.bfloat16(), values.bfloat16(), zeros)
        assert np.abs(half - engine.segment(query, keys, values, zeros)).max() < 0.05


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
from tracker.trax_io import confidence_text, read_region, write_region
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
