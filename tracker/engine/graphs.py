"""Functions of tensors as CUDA graphs: their kernels are recorded once, and launched together from then on.

A frame is several hundred kernels, and launching them one by one may take the host longer than they take a large GPU.
A graph's kernels read and write fixed addresses. So inputs are copied into the graph's own, the graph is replayed, and
what it leaves is copied out, since the next replay overwrites it: a few megabytes that do not leave the GPU.

Where there is no GPU `Recorder` stands in for the graph, with the same fixed inputs and outputs, so that tests see
everything but CUDA itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]

MOST = 24  # graphs held; a tracker needs about ten for one size of image
WARM_UPS = 3  # runs before the recording, in which libraries choose kernels and allocate what they keep


class Graph(Protocol):
    """A function that was recorded on `inputs`, and leaves what it computes in `outputs`."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def replay(self) -> None:
        """Compute `outputs` from what is in `inputs` now."""


class CudaGraph:
    """A CUDA graph of a function.

    Args:
        function: of tensors on one GPU. It launches the same kernels whatever their numbers, and waits for none.
        inputs: where shapes, types and memory layouts are taken from.
        pool: the memory that it shares with others, see `torch.cuda.graph_pool_handle`.
        stream: where it is recorded.

    Raises:
        RuntimeError: it cannot be recorded, because it waits for the GPU, for instance, or the memory is full.
    """

    def __init__(self, function: Function, inputs: Sequence[Tensor], pool: Any, stream: torch.cuda.Stream) -> None:
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        usual = torch.cuda.current_stream(self.inputs[0].device)
        stream.wait_stream(usual)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):  # left for the usual stream also where the recording fails
            for _ in range(WARM_UPS):
                function(*self.inputs)
            # other threads, of the program around, may go on calling CUDA
            with torch.cuda.graph(self._graph, pool, stream, capture_error_mode="thread_local"):
                self.outputs = function(*self.inputs)
        usual.wait_stream(stream)

    def replay(self) -> None:
        """As `Graph.replay`; returns before the GPU is done."""
        self._graph.replay()


class CudaRecorder:
    """Records CUDA graphs, all of one GPU, that share their memory.

    One graph's replay may overwrite what another has left, but `Graphs` has copied that out by then. The memory of what
    was recorded on one stream is lent to that stream alone, hence one stream for all.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, function: Function, inputs: Sequence[Tensor]) -> CudaGraph:
        """As `CudaGraph`."""
        if self._stream is None:
            self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(inputs[0].device)
        return CudaGraph(function, inputs, self._pool, self._stream)


class Recorder:
    """Stands in for `CudaGraph` on any device: the function is called again, its inputs and outputs stay in place."""

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        self.outputs = tuple(tensor.clone() for tensor in function(*self.inputs))
        self._function = function

    def replay(self) -> None:
        """As `Graph.replay`."""
        for place, tensor in zip(self.outputs, self._function(*self.inputs), strict=True):
            place.copy_(tensor)


class Graphs:
    """Calls functions through graphs, one for each function and shapes and types of its inputs.

    Beyond `MOST` the graph that was not used for longest makes room. Where recording fails, all graphs are given up
    with a warning, and functions are called directly from then on.

    Args:
        record: makes a graph.
    """

    def __init__(self, record: Callable[[Function, Sequence[Tensor]], Graph]) -> None:
        self._record = record
        self._graphs: dict[object, Graph] = {}  # the one used last is the last one
        self._works = True

    def __len__(self) -> int:
        return len(self._graphs)

    def call(self, name: str, function: Function, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What `function` makes of `inputs`, in tensors that are the caller's.

        Args:
            name: tells functions apart. One that depends on anything but `inputs` and what never changes has another
                name for each value of it: a graph repeats the function that it was recorded from.
            function: see `CudaGraph`.
            inputs: on one device.
        """
        if not self._works:
            return function(*inputs)
        key = (name, *((tensor.shape, tensor.dtype, tensor.device) for tensor in inputs))
        graph = self._graphs.pop(key, None)
        if graph is None:
            try:
                graph = self._record(function, inputs)
            except RuntimeError as error:
                reason = str(error).strip().partition("\n")[0]
        if graph is None:  # outside the handler, whose traceback would keep tensors alive
            self._give_up(name, reason)
            return function(*inputs)
        self._graphs[key] = graph
        if len(self._graphs) > MOST:
            del self._graphs[next(iter(self._graphs))]
        for place, tensor in zip(graph.inputs, inputs, strict=True):
            place.copy_(tensor)
        graph.replay()
        return tuple(tensor.clone() for tensor in graph.outputs)

    def _give_up(self, name: str, reason: str) -> None:
        self._graphs.clear()
        self._works = False
        message = f"'{name}' cannot be recorded as a CUDA graph ({reason}); the tracker goes on without graphs, slower"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
