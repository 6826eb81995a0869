"""The tagger's forward pass in few fixed shapes, as a GPU replays it: keys, bits, memory that runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from relforge.tagger.engine import BATCH_NOISE, Engine
from relforge.tagger.gpu_model import prepare_for_gpu
from relforge.tagger.padded_forward import MAX_GRAPHS, fill_up
from relforge.tagger.published_groups import label_groups
from relforge.tagger.request import Request, Result
from relforge.tagger.text_cache import TextFeatures
from tests.fixtures.recorded_graphs import RecordedGraph


@pytest.fixture
def engine(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`engine(graphs=True)`: an engine that works as on a GPU, in bfloat16, with graphs that are recorded."""
    monkeypatch.setattr("relforge.models.cuda_graph.CudaGraph", RecordedGraph)
    monkeypatch.setattr(RecordedGraph, "captured", [])

    def make(**options: Any) -> Engine:
        model = tiny.model()
        prepare_for_gpu(model, torch.bfloat16)
        features = TextFeatures(model.text_encoder, "0" * 64)
        given = {"dtype": torch.bfloat16, "batch_size": 4, "on_gpu": True, **options}
        return Engine(model, features, **given)

    return make


def results(engine: Engine, requests: list[Request]) -> dict[str, Result]:
    out = {}
    for result in engine.run(requests):
        assert isinstance(result, Result), result
        out[result.image_id] = result
    return out


def equal(first: dict[str, Result], second: dict[str, Result]) -> bool:
    names = ("scores", "subject_scores", "object_scores")
    return first.keys() == second.keys() and all(
        np.array_equal(getattr(one, name), getattr(second[key], name))
        for key, one in first.items()
        for name in names
    )


@pytest.fixture
def requests(tiny: Any) -> list[Request]:
    """Images of two padded sizes; the last batch of either is short."""
    return [tiny.request(str(i), i, height=60 + 9 * (i % 2), candidates=4 + 3 * (i % 5)) for i in range(22)]


def test_replays_give_the_bits_of_single_kernels(engine: Any, requests: list[Request]) -> None:
    graphed = engine(graphs=True)
    assert equal(results(graphed, requests), results(engine(graphs=False), requests))
    graphs = graphed.padded.graphs
    assert {shape.height for shape in graphs.shapes} == {64, 128}
    assert sum(graph.replays for graph in RecordedGraph.captured) >= 2
    assert graphs.note == "on"
    assert graphs.max_graphs == MAX_GRAPHS


def test_shapes_are_of_padded_sizes_text_columns_and_powers_of_two(engine: Any, tiny: Any) -> None:
    graphed = engine(graphs=True)
    texts = [tiny.request(str(i), i, candidates=2 + i, height=60 - i, width=70 + i) for i in range(8)]
    for count in (4, 3):  # three are filled up to four
        list(graphed._start(texts[:count]))
    (shape,) = graphed.padded.graphs.shapes
    assert shape[:3] == (4, 64, 128)
    assert (shape.labels % 32, shape.objects) == (0, 32)
    assert shape.decoder_batches == 1
    assert shape.pairs == graphed.max_pairs
    many = tiny.request("many", 3, boxes=6, candidates=200)  # 30 pairs, 8 queries: 4 decoder batches
    for _ in range(2):
        graphed._start([many])
    assert (graphed.padded.graphs.shapes[-1].images, graphed.padded.graphs.shapes[-1].decoder_batches) == (
        1,
        4,
    )


@pytest.mark.parametrize(("given", "count"), [(1, 1), (2, 2), (3, 4), (5, 6), (6, 6)])
def test_batches_are_filled_up_to_few_sizes(tiny: Any, given: int, count: int) -> None:
    batch = [tiny.request(str(i), i) for i in range(given)]
    filled = fill_up(batch, 6)
    assert filled[:given] == batch
    assert len(filled) == count
    assert all(one is batch[0] for one in filled[given:])


def test_decoder_batches_in_several_calls_score_as_in_one(engine: Any, tiny: Any) -> None:
    many = [tiny.request(str(i), i, boxes=6, candidates=200) for i in range(2)]
    once, piecewise = engine(decoder_batches=16), engine(decoder_batches=3)
    first, second = results(once, many), results(piecewise, many)
    for key, one in first.items():
        assert np.abs(one.scores - second[key].scores).max() <= BATCH_NOISE[torch.bfloat16]


def test_memory_that_runs_out_gives_the_graphs_back_and_splits_the_batch(
    engine: Any, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphed = engine(graphs=True)
    results(graphed, requests)
    assert graphed.padded.graphs.shapes
    encode = graphed.model.encode

    def only_two(images: torch.Tensor, *rest: Any) -> Any:
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(images, *rest)

    monkeypatch.setattr(graphed.model, "encode", only_two)
    expected = results(engine(graphs=False, batch_size=2), requests[:8:2])
    found = results(graphed, requests[:8:2])
    assert graphed.padded.graphs.shapes == []
    for key, one in expected.items():
        assert np.abs(one.scores - found[key].scores).max() <= BATCH_NOISE[torch.bfloat16]


def test_the_published_function_is_the_cpus_on_a_gpu_too(tiny: Any) -> None:
    """Its labels are padded there, which neither takes part in a softmax nor is a text."""
    request = tiny.request("a", 1, height=60, width=70)
    groups = [([(0, 1), (1, 2)], list(tiny.RELATIONS[:3])), ([(2, 0)], list(tiny.RELATIONS[2:5]))]
    rows = []
    for on_gpu in (False, True):
        model = tiny.model()
        features = TextFeatures(model.text_encoder, "0" * 64)
        rows.append(label_groups(Engine(model, features, on_gpu=on_gpu), request, groups, threshold=0.0))
    assert [(row.pair, row.text) for row in rows[0]] == [(row.pair, row.text) for row in rows[1]]
    for one, other in zip(*rows, strict=True):
        assert abs(one.score - other.score) < 1e-4
        assert abs(one.subject_score - other.subject_score) < 1e-4


def test_crops_of_pairs_are_those_of_the_image_whatever_is_padded(tiny: Any) -> None:
    """`pair_pixels` reads the images themselves, which a GPU's batches pad."""
    requests = [
        tiny.request(str(i), i, height=60 - 5 * i, width=70 + 9 * i, candidates=4 + i) for i in range(3)
    ]
    found = []
    for on_gpu, dtype in ((False, torch.float32), (True, torch.float32), (True, torch.bfloat16)):
        model = tiny.model(pair_pixels=48)
        torch.manual_seed(0)
        for part in (model.pair_pixels.mix, model.pair_pixels.direct):
            torch.nn.init.normal_(part.layers[-1].weight, std=0.1)
        if on_gpu:
            prepare_for_gpu(model, dtype)
        features = TextFeatures(model.text_encoder, "0" * 64)
        found.append(results(Engine(model, features, dtype=dtype, batch_size=3, on_gpu=on_gpu), requests))
    exact, padded, rounded = found
    plain = results(Engine(tiny.model(), features, batch_size=3), requests)
    for key, one in exact.items():
        assert np.abs(one.scores - padded[key].scores).max() <= BATCH_NOISE[torch.float32]
        assert np.abs(one.scores - rounded[key].scores).max() <= 2 * BATCH_NOISE[torch.bfloat16]
        assert np.abs(one.scores - plain[key].scores).max() > 2 * BATCH_NOISE[torch.bfloat16]
