"""Functions through graphs: what is copied when, and what is done where none can be recorded."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from tracker.engine import graphs
from tracker.engine.graphs import CudaRecorder, Function, Graphs, Recorder


def double(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    return 2 * x, x + y


def test_every_call_answers_for_its_own_inputs() -> None:
    through, x, y = Graphs(Recorder), torch.ones(2, 3), torch.zeros(3)
    first = through.call("double", double, x, y)
    second = through.call("double", double, x + 1, y + 5)
    assert len(through) == 1
    assert all(torch.equal(a, b) for a, b in zip(first, double(x, y), strict=True)), "a later call changes no answer"
    assert all(torch.equal(a, b) for a, b in zip(second, double(x + 1, y + 5), strict=True))
    first[0].zero_()
    assert torch.equal(through.call("double", double, x, y)[0], 2 * x), "what is done to an answer changes no other one"
    assert torch.equal(x, torch.ones(2, 3)), "inputs are left alone"


def test_an_answer_that_is_an_input_is_the_callers_too() -> None:
    through, x = Graphs(Recorder), torch.ones(2)
    (answer,) = through.call("same", lambda x: (x.relu_(),), x)
    through.call("same", lambda x: (x.relu_(),), -x)
    assert answer.tolist() == [1, 1] and x.tolist() == [1, 1]


def test_shapes_types_and_names_have_graphs_of_their_own() -> None:
    through, x = Graphs(Recorder), torch.arange(6.0)
    for inputs in ((x, x), (x[:4], x[:4]), (x.double(), x.double()), (x[:4], x[0])):
        answers = through.call("double", double, *inputs)
        assert all(torch.equal(a, b) for a, b in zip(answers, double(*inputs), strict=True))
    assert len(through) == 4
    assert torch.equal(through.call("other", lambda x, y: (x - y,), x, x)[0], torch.zeros(6))
    assert len(through) == 5


def test_a_graph_repeats_the_function_it_was_recorded_from() -> None:
    """As a CUDA graph does: it keeps its kernels, whatever function the name is called with later."""
    through, x = Graphs(Recorder), torch.ones(1)
    assert through.call("plus", lambda x: (x + 1,), x)[0].item() == 2
    assert through.call("plus", lambda x: (x + 10,), x)[0].item() == 2


def test_memory_layouts_are_no_matter() -> None:
    through, x = Graphs(Recorder), torch.rand(1, 3, 4, 5)
    for tensor in (x.contiguous(memory_format=torch.channels_last), x, x.transpose(2, 3).contiguous().transpose(2, 3)):
        assert torch.equal(through.call("half", lambda x: (x / 2,), tensor)[0], x / 2)
    assert len(through) == 1


def test_the_graph_unused_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST", 2)
    recorded: list[int] = []

    def record(function: Function, inputs: Sequence[Tensor]) -> Recorder:
        recorded.append(len(inputs[0]))
        return Recorder(function, inputs)

    through = Graphs(record)
    for length in (1, 2, 1, 3, 1, 2):
        through.call("sum", lambda x: (x.sum(),), torch.ones(length))
        assert len(through) <= 2
    assert recorded == [1, 2, 3, 2]


def test_where_recording_fails_functions_are_called() -> None:
    def record(function: Function, inputs: Sequence[Tensor]) -> Recorder:
        if inputs[0].ndim == 2:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
        return Recorder(function, inputs)

    through, x = Graphs(record), torch.ones(2)
    through.call("double", double, x, x)
    with pytest.warns(RuntimeWarning, match=r"'double' cannot be recorded .*capturing\); the tracker goes on without"):
        answers = through.call("double", double, x[None], x)
    assert torch.equal(answers[0], 2 * x[None]) and len(through) == 0, "the memory of all graphs is given back"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(through.call("double", double, x[None], x)[0], 2 * x[None])
    assert len(through) == 0


def test_errors_of_the_function_are_the_callers() -> None:
    through = Graphs(Recorder)
    with pytest.raises(RuntimeError, match="must match"), pytest.warns(RuntimeWarning):
        through.call("double", double, torch.ones(2), torch.ones(3))


def test_a_cuda_graph_is_recorded_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without CUDA: the order of calls, and that this PyTorch takes their arguments."""
    events: list[str] = []
    signature = inspect.signature(torch.cuda.graph)

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            events.append(f"{self.name} waits for {other.name}")

    class Replayable:
        def replay(self) -> None:
            events.append("replay")

    side, usual = Stream("side"), Stream("usual")

    @contextmanager
    def entered(stream: Stream) -> Iterator[None]:
        events.append(f"enter {stream.name}")
        try:
            yield
        finally:
            events.append(f"leave {stream.name}")

    @contextmanager
    def recording(*arguments: object, **named: object) -> Iterator[None]:
        given = signature.bind(*arguments, **named).arguments
        assert given["stream"] is side and given["pool"] == (0, 7) and isinstance(given["cuda_graph"], Replayable)
        events.append("begin")
        yield
        events.append("end")

    def stream(device: torch.device) -> object:
        events.append("new stream")
        return side

    for name, replacement in {
        "Stream": stream,
        "current_stream": lambda device: usual,
        "stream": entered,
        "graph": recording,
        "CUDAGraph": Replayable,
        "graph_pool_handle": lambda: (0, 7),
    }.items():
        monkeypatch.setattr(torch.cuda, name, replacement)

    def function(x: Tensor) -> tuple[Tensor, ...]:
        events.append("run")
        return (x + 1,)

    x = torch.zeros(2)
    record = CudaRecorder()
    graph = record(function, (x,))
    graph.replay()
    runs = ["run"] * graphs.WARM_UPS
    recorded = [
        "side waits for usual",
        "enter side",
        *runs,
        "begin",
        "run",
        "end",
        "leave side",
        "usual waits for side",
    ]
    assert events == ["new stream", *recorded, "replay"]
    assert graph.inputs[0] is not x and graph.outputs[0].tolist() == [1, 1]
    events.clear()
    record(function, (x,))
    assert events == recorded, "one stream for all graphs, or they share no memory"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
class TestOnAGPU:
    def test_replayed_answers_are_those_of_the_function(self) -> None:
        through, layer = Graphs(CudaRecorder()), torch.nn.Conv2d(3, 8, 3).cuda()
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("error")
            for seed in range(3):
                torch.manual_seed(seed)
                x = torch.rand(1, 3, 32, 32, device="cuda")
                torch.testing.assert_close(through.call("layer", lambda x: (layer(x),), x)[0], layer(x))
        assert len(through) == 1

    def test_what_waits_for_the_gpu_is_called_without_a_graph(self) -> None:
        through, x = Graphs(CudaRecorder()), torch.ones(2, device="cuda")
        with pytest.warns(RuntimeWarning, match="cannot be recorded"):
            assert through.call("item", lambda x: (x * x.sum().item(),), x)[0].tolist() == [2, 2]
        assert torch.cuda.current_stream() == torch.cuda.default_stream()
        assert (x + 1).tolist() == [2, 2], "and the GPU goes on"
