"""Graphs of many shapes: which are captured, kept and given up. `RecordedGraph` stands in for a GPU's."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from relforge.models.graph_cache import GraphCache
from relforge.models.kept_tensors import KeptTensors, hold_kept_tensors
from tests.fixtures.recorded_graphs import RecordedGraph

CPU = torch.device("cpu")


def double(shape: int, inputs: Sequence[Tensor]) -> Tensor:
    assert inputs[0].shape == (shape,)
    return inputs[0] * 2 + inputs[1]


def inputs(shape: int, value: float) -> list[Tensor]:
    return [torch.full((shape,), value), torch.ones(())]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[RecordedGraph]:
    monkeypatch.setattr("relforge.models.cuda_graph.CudaGraph", RecordedGraph)
    monkeypatch.setattr(RecordedGraph, "captured", [])
    return RecordedGraph.captured


def test_a_shape_is_captured_when_it_comes_again_and_then_replayed(graphs: list[RecordedGraph]) -> None:
    cache = GraphCache(double, CPU, 4)
    for number in range(4):
        assert cache(3, inputs(3, number)).tolist() == [2 * number + 1] * 3
        assert (cache.shapes, len(graphs)) == (([3], 1) if number else ([], 0))
    assert graphs[0].replays == 3


def test_a_replay_reads_the_inputs_of_the_call_not_those_of_the_capture(graphs: list[RecordedGraph]) -> None:
    cache = GraphCache(double, CPU, 4)
    given = inputs(2, 5)
    for _ in range(2):
        cache(2, given)
    given[0].fill_(7)  # the cache reads a copy, which stays where it is
    assert graphs[0].function().tolist() == [11, 11]
    assert cache(2, given).tolist() == [15, 15]


def test_the_least_recently_used_goes(graphs: list[RecordedGraph]) -> None:
    cache = GraphCache(double, CPU, 2)
    for shape in (1, 1, 2, 2, 1, 3, 3):
        cache(shape, inputs(shape, 1))
    assert cache.shapes == [1, 3]
    assert cache(2, inputs(2, 4)).tolist() == [9, 9]  # captured anew
    assert cache.shapes == [3, 2]
    assert len(graphs) == 4


def test_a_graph_that_goes_leaves_its_memory(graphs: list[RecordedGraph]) -> None:
    cache = GraphCache(double, CPU, 1)
    for _ in range(2):
        cache(3, inputs(3, 1))
    kept = weakref.ref(next(iter(cache._kept.values())).inputs[0])
    for _ in range(2):
        cache(4, inputs(4, 1))
    graphs.clear()
    gc.collect()
    assert kept() is None


def test_graphs_share_inputs_of_equal_shape(graphs: list[RecordedGraph]) -> None:
    cache = GraphCache(double, CPU, 4)
    for shape in (1, 1, 2, 2):
        cache(shape, inputs(shape, 1))
    first, second = cache._kept[1].inputs, cache._kept[2].inputs
    assert first[1] is second[1]
    assert first[0] is not second[0]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory.\nmore"), RuntimeError("operation not permitted")]
)
def test_a_capture_that_fails_is_said_once_and_shapes_run_kernel_by_kernel(
    graphs: list[RecordedGraph],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: RuntimeError,
) -> None:
    cache = GraphCache(double, CPU, 4)
    for _ in range(2):
        cache(3, inputs(3, 1))

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("relforge.models.cuda_graph.CudaGraph", refuse)
    with caplog.at_level(logging.WARNING):
        for number in range(4):
            assert cache(4, inputs(4, number)).tolist() == [2 * number + 1] * 4
    assert [record.getMessage() for record in caplog.records] == [
        f"no further CUDA graphs after 1 ({str(error).splitlines()[0]}); other shapes run kernel by kernel"
    ]
    assert cache.note == f"off: {str(error).splitlines()[0]}"
    cache(3, inputs(3, 1))
    assert graphs[0].replays == 2  # the one that there was stays in use


def test_released_graphs_are_gone_for_good(graphs: list[RecordedGraph]) -> None:
    cache = GraphCache(double, CPU, 4)
    for _ in range(2):
        cache(3, inputs(3, 1))
    cache.release("memory ran out")
    assert cache(3, inputs(3, 2)).tolist() == [5, 5, 5]
    assert (cache.shapes, cache.note) == ([], "off: memory ran out")


def test_a_graph_holds_the_constants_that_it_reads() -> None:
    make = KeptTensors(lambda size: torch.ones(size), max_kept=1)
    with hold_kept_tensors() as held, hold_kept_tensors():
        kept = weakref.ref(make(2))
    make(3)  # takes its place
    assert kept() is not None
    assert any(one is kept() for one in held)
    held.clear()
    assert kept() is None
    assert make(3) is make(3)
