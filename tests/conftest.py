"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trax  # type: ignore[import-untyped]
from hypothesis import HealthCheck, settings
from trax.client import Client  # type: ignore[import-untyped]

CHECKOUT = Path(__file__).resolve().parent.parent
INTEGRATION = ("end_to_end", "robustness")  # folders whose tests are no unit tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in INTEGRATION:
            item.add_marker("integration")


# where the tests run in the background Ctrl-C and a closed terminal are ignored, and all processes that they start
# would inherit that; what DMB does on these signals is tested
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, lambda number, frame: None)  # default in the processes, and no end of the tests

# how long an example takes says how busy the machine is, not whether the code is right
settings.register_profile("dmb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dmb")


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would steer DMB or TraX, and with the checkout importable."""
    steering = ("DMB_", "TRAX", "VOT_")
    environ = {name: text for name, text in os.environ.items() if not name.startswith(steering)}
    return environ | {"PYTHONPATH": str(CHECKOUT)} | variables


class TraxClient:
    """A TraX client and the server process that it has started; by default that tracks with a double."""

    def __init__(self, module: str = "tests.doubles", **variables: str) -> None:
        self._text: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(TRAX="1", **variables),
            bufsize=0,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        streams = (self.process.stdin.fileno(), self.process.stdout.fileno())
        self.client = Client(streams, log=self._text.append)

    @property
    def text(self) -> str:
        """Everything that went over the wire so far, log lines included."""
        return "".join(self._text)

    def initialize(
        self, image: trax.Image, *regions: trax.Region, **properties: str
    ) -> list[tuple[trax.Region, dict[str, str]]]:
        """Start on objects; returns their states."""
        states, _ = self.client.initialize({"color": image}, [(region, {}) for region in regions], properties)
        return states  # type: ignore[no-any-return]

    def frame(self, image: trax.Image, *regions: trax.Region) -> list[tuple[trax.Region, dict[str, str]]]:
        """Track, and start on further objects; returns the states of all."""
        states, _ = self.client.frame({"color": image}, {}, [(region, {}) for region in regions])
        return states  # type: ignore[no-any-return]

    def end(self) -> int:
        """Quit; returns the exit code and completes `text`."""
        self.client.quit()
        output, _ = self.process.communicate(timeout=30)
        self._text.append(output.decode())
        return self.process.returncode

    def close(self) -> None:
        """End the process whatever its state. A client that is collected unterminated crashes in libtrax."""
        self.client.quit()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start_trax() -> Iterator[Callable[..., TraxClient]]:
    """Start TraX servers with their clients; they are ended after the test."""
    clients: list[TraxClient] = []

    def start(module: str = "tests.doubles", **variables: str) -> TraxClient:
        clients.append(TraxClient(module, **variables))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's trained weights; where there are none, a network with random ones."""
    import torch

    from tracker.checkpoints.weights import WeightsError, find_weights, save_weights
    from tracker.network import DMBNet

    try:
        return find_weights(None, {})
    except WeightsError:
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("weights") / "random.safetensors"
        save_weights(DMBNet(stride_on="3x3"), path, {"stage": "none: random"})
        return path
