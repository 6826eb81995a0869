"""The inference engine: what may and what may not change an image's scores."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from relforge.tagger.engine import BATCH_NOISE, Engine
from relforge.tagger.request import Failure, Request, Result
from relforge.tagger.text_cache import TextFeatures

FLOOR = 0.05


@pytest.fixture(scope="module")
def engine(tiny: Any) -> Any:
    """`engine(batch_size=4)`: an engine over the small model with those options."""
    model = tiny.model()
    features = TextFeatures(model.text_encoder, "0" * 64)
    return lambda **options: Engine(model, features, floor=FLOOR, **options)


def results(engine: Engine, requests: list[Request]) -> dict[str, Result]:
    """Results by image id; all must have succeeded."""
    out = {}
    for result in engine.run(requests):
        assert isinstance(result, Result), result
        out[result.image_id] = result
    return out


def test_scores_do_not_depend_on_the_other_images_of_the_batch(engine: Any, tiny: Any) -> None:
    requests = [tiny.request(str(i), i, candidates=4 + 3 * i) for i in range(6)]
    alone = results(engine(batch_size=1), requests)
    for batch_size in (2, 3, 6):
        batched = results(engine(batch_size=batch_size), random.Random(batch_size).sample(requests, 6))
        for key, result in alone.items():
            assert np.abs(result.scores - batched[key].scores).max() <= BATCH_NOISE[torch.float32]
            assert ((result.scores > FLOOR) == (batched[key].scores > FLOOR)).all()


def test_a_score_within_noise_of_the_floor_is_decided_alone(engine: Any, tiny: Any) -> None:
    requests = [tiny.request(str(i), i) for i in range(3)]
    alone = results(engine(batch_size=1), requests)
    batch = engine(batch_size=3)
    batch.floor = float(alone["1"].scores[0])  # as close to the floor as can be

    batched = results(batch, requests)

    assert batched["1"].scores.tolist() == alone["1"].scores.tolist()


def test_scores_do_not_depend_on_the_order_of_candidates(engine: Any, tiny: Any) -> None:
    request = tiny.request("a", 1, candidates=20)
    shuffled = list(request.candidates)
    random.Random(0).shuffle(shuffled)
    first = results(engine(), [request])["a"]
    second = results(engine(), [replace(request, candidates=shuffled)])["a"]
    by_candidate = dict(zip(request.candidates, first.scores.tolist(), strict=True))
    assert [by_candidate[c] for c in shuffled] == second.scores.tolist()


def test_pairs_beyond_the_queries_go_into_further_decoder_batches_however_these_are_cut(
    engine: Any, tiny: Any
) -> None:
    request = tiny.request("many", 3, boxes=6, candidates=200)  # 30 pairs, 8 queries
    once = results(engine(decoder_batches=16), [request])["many"]
    piecewise = results(engine(decoder_batches=1), [request])["many"]
    assert len(once.scores) == 200
    np.testing.assert_allclose(once.scores, piecewise.scores, atol=1e-6)


def test_images_with_different_numbers_of_decoder_batches_share_a_batch(engine: Any, tiny: Any) -> None:
    requests = [tiny.request("few", 1, candidates=2), tiny.request("many", 3, boxes=6, candidates=200)]
    alone = results(engine(batch_size=1), requests)
    batched = results(engine(batch_size=2), requests)
    for key in ("few", "many"):
        np.testing.assert_allclose(alone[key].scores, batched[key].scores, atol=BATCH_NOISE[torch.float32])


def test_only_images_of_one_size_share_a_batch(engine: Any, tiny: Any, record_batches: Any) -> None:
    requests = [tiny.request(str(i), i, height=64 + 32 * (i % 2)) for i in range(6)]
    sizes = record_batches(engine(batch_size=3), requests)
    assert sorted(sizes) == [3, 3]


@pytest.fixture
def record_batches(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`record_batches(engine, requests)`: how many images each computed batch held."""

    def run(engine: Engine, requests: list[Request]) -> list[int]:
        sizes: list[int] = []
        compute = engine._compute

        def record(batch: Any) -> Any:
            sizes.append(len(batch))
            return compute(batch)

        monkeypatch.setattr(engine, "_compute", record)
        list(engine.run(requests))
        return sizes

    return run


def test_an_own_class_list_per_image_is_possible(engine: Any, tiny: Any) -> None:
    wide = tiny.request("wide", 1)
    narrow = replace(tiny.request("narrow", 2), classes=sorted(set(tiny.CLASSES)))
    more = replace(wide, classes=(*tiny.CLASSES, "riding"))
    alone = results(engine(batch_size=1), [more, narrow])
    batched = results(engine(batch_size=2), [more, narrow])
    for key in alone:
        np.testing.assert_allclose(alone[key].scores, batched[key].scores, atol=1e-5)
        np.testing.assert_allclose(alone[key].subject_scores, batched[key].subject_scores, atol=1e-5)


def test_memory_that_runs_out_splits_the_batch(
    engine: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [tiny.request(str(i), i) for i in range(4)]
    limited = engine(batch_size=4)
    encode = limited.encode

    def only_two(batch: list[Request], layout: Any) -> Any:
        if len(batch) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return encode(batch, layout)

    monkeypatch.setattr(limited, "encode", only_two)
    assert len(results(limited, requests)) == 4


def test_an_image_that_does_not_fit_alone_fails_alone(
    engine: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [tiny.request(str(i), i) for i in range(3)]
    limited = engine(batch_size=3)
    encode = limited.encode

    def never_one(batch: list[Request], layout: Any) -> Any:
        if any(request.image_id == "1" for request in batch):
            raise MemoryError("out of memory")
        return encode(batch, layout)

    monkeypatch.setattr(limited, "encode", never_one)
    failures = [result for result in limited.run(requests) if isinstance(result, Failure)]
    assert [(f.image_id, f.reason) for f in failures] == [("1", "out_of_memory")]


def test_numbers_that_are_not_finite_fail_their_image_only(engine: Any, tiny: Any) -> None:
    broken = tiny.request("broken", 1)
    broken.boxes[:] = float("nan")
    found = list(engine(batch_size=2).run([broken, tiny.request("good", 2)]))
    assert {result.image_id: type(result) for result in found} == {"broken": Failure, "good": Result}


def test_bfloat16_stays_near_float32(engine: Any, tiny: Any) -> None:
    request = tiny.request("a", 5, candidates=40)
    exact = results(engine(), [request])["a"].scores
    rough = results(engine(dtype=torch.bfloat16), [request])["a"].scores
    assert np.abs(exact - rough).max() < 0.1
    assert np.abs(exact - rough).mean() < 0.02


def test_other_programming_errors_are_not_swallowed(engine: Any, tiny: Any) -> None:
    request = replace(tiny.request("a", 1), labels=["unknown"] * 4)
    with pytest.raises(KeyError):
        list(engine().run([request]))
