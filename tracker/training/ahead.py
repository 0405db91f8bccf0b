"""Prepares batches in a thread while the network trains on the ones before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from queue import SimpleQueue
from typing import Generic, TypeVar

import torch
from torch import Tensor

DEPTH = 2  # batches that are ready or being made
FIRST = -1  # a stream's priority: its many small kernels are not to queue behind the training's large ones

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterates over what a thread makes ahead, and measures how long that kept the training waiting.

    On a GPU the thread works on a stream of its own, so that the host waits only there for what it reads back. Close
    the iterator when it is not used up (`contextlib.closing`): that ends the thread.

    `waited` is an upper bound: on a GPU the training's queued work may have ended anywhere in the time that is counted.

    Args:
        make: makes one item, whose tensors are fields of it, from a step and a part.
        addresses: the steps and parts.
        device: where `make` works.
    """

    def __init__(
        self, make: Callable[[int, int], T], addresses: Sequence[tuple[int, int]], device: torch.device
    ) -> None:
        self.make, self.addresses, self.device = make, addresses, device
        self.waited = 0.0  # seconds

    def __iter__(self) -> Generator[T, None, None]:
        ready: SimpleQueue[tuple[T, torch.cuda.Event | None] | BaseException] = SimpleQueue()
        slots, ended = threading.Semaphore(DEPTH), threading.Event()
        stream = None
        if self.device.type == "cuda":
            stream = torch.cuda.Stream(self.device, priority=FIRST)
            # what the thread reads was put there by this one
            stream.wait_stream(torch.cuda.current_stream(self.device))

        def work() -> None:
            try:
                with nullcontext() if stream is None else torch.cuda.stream(stream):
                    for address in self.addresses:
                        slots.acquire()
                        if ended.is_set():
                            return
                        item = self.make(*address)
                        ready.put((item, None if stream is None else stream.record_event()))
            except BaseException as error:  # raised where the training waits for it
                ready.put(error)

        thread = threading.Thread(target=work, name="data ahead", daemon=True)
        thread.start()
        try:
            for _ in self.addresses:
                start, queued = time.perf_counter(), self._queued()
                made = ready.get()
                if queued is None or queued.query():  # else the device was busy all the time
                    self.waited += time.perf_counter() - start
                slots.release()
                if isinstance(made, BaseException):
                    raise made
                yield self._handed_over(*made)
        finally:
            ended.set()
            slots.release()
            thread.join()

    def _queued(self) -> torch.cuda.Event | None:
        """On a GPU the end of all that this thread has queued there so far."""
        return torch.cuda.current_stream(self.device).record_event() if self.device.type == "cuda" else None

    def _handed_over(self, item: T, event: torch.cuda.Event | None) -> T:
        """Let this thread's stream wait for the item, and its memory live until this stream has used it."""
        if event is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(event)
            for value in vars(item).values():
                if isinstance(value, Tensor):
                    value.record_stream(stream)
        return item
