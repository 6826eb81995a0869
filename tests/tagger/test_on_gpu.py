"""What the engine does on a GPU, switched on by hand on the CPU, and what would wait there, on `meta`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from relforge.images.detection_resize import DetectionResize
from relforge.models.blocks.branch_fusion import MultiBranchFusion
from relforge.models.blocks.heads import BoxHeads, predict_boxes
from relforge.tagger.buckets import batches_of_equal_size
from relforge.tagger.engine import BATCH_NOISE, Engine
from relforge.tagger.gpu_model import fold_batch_norms, join_kernels, keep_weights, prepare_for_gpu
from relforge.tagger.image_batch import exact_size, normalise_padded, padded_size, stack, stack_rows
from relforge.tagger.request import Request, Result
from relforge.tagger.text_cache import TextFeatures, Tile

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from coco_sizes import draw  # noqa: E402
from launches import LaunchCounter  # noqa: E402

CPU = torch.device("cpu")
COCO = ROOT.parent / "shared" / "data" / "coco" / "instances_val2017_part.json"


@pytest.fixture
def engine(tiny: Any) -> Any:
    """`engine(on_gpu=True)`: an engine over a small model of its own with those options."""

    def make(dtype: torch.dtype = torch.float32, device: str = "cpu", **options: Any) -> Engine:
        model = tiny.model()
        if options.get("on_gpu"):
            prepare_for_gpu(model, dtype)
        return Engine(model.to(device), TextFeatures(model.text_encoder, "0" * 64), dtype=dtype, **options)

    return make


def results(engine: Engine, requests: list[Request]) -> dict[str, Result]:
    out = {}
    for result in engine.run(requests):
        assert isinstance(result, Result), result
        out[result.image_id] = result
    return out


def worst(first: dict[str, Result], second: dict[str, Result]) -> float:
    assert first.keys() == second.keys()
    return max(
        float(np.abs(getattr(one, name) - getattr(second[key], name)).max())
        for key, one in first.items()
        for name in ("scores", "subject_scores", "object_scores")
    )


@pytest.fixture
def requests(tiny: Any) -> list[Request]:
    return [tiny.request(str(i), i, height=64 + 9 * (i % 3), candidates=4 + 3 * i) for i in range(7)]


def test_float32_scores_are_those_of_the_cpu(engine: Any, requests: list[Request]) -> None:
    found = results(engine(on_gpu=True, batch_size=4), requests)
    assert worst(found, results(engine(), requests)) < BATCH_NOISE[torch.float32]


@pytest.mark.parametrize(
    ("dtype", "largest", "mean"), [(torch.float32, 0.02, 2e-3), (torch.bfloat16, 0.1, 5e-3)]
)
def test_padded_images_score_near_exact_ones(
    engine: Any, tiny: Any, dtype: torch.dtype, largest: float, mean: float
) -> None:
    """Padding changes what layers see beyond the border, as in training: the less, the larger the image."""
    requests = [tiny.request(str(i), i, height=250, width=250, candidates=20) for i in range(2)]
    exact, padding = results(engine(), requests), engine(dtype, on_gpu=True, batch_size=2)
    padding.pads = True
    found = results(padding, requests)
    differences = np.concatenate([np.abs(one.scores - found[key].scores) for key, one in exact.items()])
    assert 0 < differences.max() < largest
    assert differences.mean() < mean


def test_an_image_of_a_padded_size_scores_as_an_exact_one(engine: Any, tiny: Any) -> None:
    requests = [tiny.request(str(i), i, height=64, width=128) for i in range(3)]
    padding = engine(on_gpu=True, batch_size=3)
    padding.pads = True
    # another kernel reads the mask, and weights this random multiply its last bits
    assert worst(results(padding, requests), results(engine(), requests)) < 1e-4


def test_a_padded_image_scores_the_same_in_any_company(engine: Any, requests: list[Request]) -> None:
    padding = engine(on_gpu=True, batch_size=4)
    padding.pads = True
    together = results(padding, requests)
    padding.batch_size = 1
    assert worst(together, results(padding, requests)) < BATCH_NOISE[torch.float32]


def test_images_of_neighbouring_sizes_share_a_padded_batch(engine: Any, tiny: Any) -> None:
    requests = [tiny.request(str(i), i, height=65 + i, width=70 + i) for i in range(5)]
    padding, exact = engine(torch.bfloat16, on_gpu=True), engine(on_gpu=True)
    assert (padding.pads, exact.pads) == (True, False)  # float32 keeps exact sizes, for parity
    assert len({padded_size(request) for request in requests}) == 1
    assert len({exact_size(request) for request in requests}) == 5


def test_the_stacked_batch_holds_the_images_and_zeros(tiny: Any) -> None:
    requests = [tiny.request(str(i), i, height=60 + i, width=70 - i) for i in range(3)]
    sizes = torch.tensor([exact_size(request) for request in requests])
    images, padding = normalise_padded(stack_rows(requests, (64, 128)), sizes)
    assert images.is_contiguous(memory_format=torch.channels_last)
    for i, request in enumerate(requests):
        height, width = exact_size(request)
        assert images[i, :, :height, :width].equal(stack([request], CPU)[0])
        assert not padding[i, :height, :width].any()
        assert padding[i].sum() == 64 * 128 - height * width
    assert (images * padding[:, None]).eq(0).all()


def sizes_of_coco() -> list[tuple[int, int]]:
    """Of real images in the file's order where they are at hand, else of the table of the benchmarks."""
    if COCO.exists():
        images = json.loads(COCO.read_text())["images"]
        return [(image["height"], image["width"]) for image in images]
    return draw(3897)


def test_batches_of_padded_coco_images_hold_six_or_more(tiny: Any) -> None:
    resize, mean, sizes = DetectionResize(), {}, sizes_of_coco()
    of_size = {size: torch.empty(3, *resize.size(*size), device="meta") for size in set(sizes)}
    request = tiny.request("0", 0)
    images = [
        Request(str(i), of_size[size], request.boxes, request.labels, request.candidates, request.classes)
        for i, size in enumerate(sizes)
    ]
    for rule in (exact_size, padded_size):
        batches = list(batches_of_equal_size(images, 32, 64, rule))
        assert sum(map(len, batches)) == len(images)
        mean[rule.__name__] = len(images) / len(batches)
    assert mean["padded_size"] >= 6
    assert mean["exact_size"] < mean["padded_size"] / 2


def test_a_batch_reads_nothing_back_and_uploads_few_times(engine: Any, tiny: Any) -> None:
    """On `meta` a value that is read fails, as it would wait for a GPU."""
    meta = engine(device="meta", batch_size=4)
    assert meta.on_gpu
    requests = [tiny.request(str(i), i, candidates=30) for i in range(4)]
    labels = sorted({text for request in requests for *_, text in request.candidates} | {*tiny.CLASSES})
    meta.features.memory = {name: torch.empty(24, device="meta") for name in (*labels, "no objects")}
    meta._compute(requests)  # constants of this size are made once
    with LaunchCounter() as counter:
        started = meta._compute(requests)
    assert not counter.waits
    assert counter.uploads <= 4  # images, sizes, labels, pairs
    assert counter.total / len(requests) < 170
    with pytest.raises(NotImplementedError):
        started.results()  # the one read-back


def padded_on_meta(tiny: Any, images: int) -> tuple[Engine, list[Request]]:
    """An engine as for bfloat16 on a GPU, but for the type, which `meta` cannot choose by itself."""
    model = tiny.model()
    features = TextFeatures(model.text_encoder, "0" * 64)
    model.to("meta")
    prepare_for_gpu(model, torch.float32)
    join_kernels(model, torch.float32)
    engine = Engine(model, features, batch_size=images)
    engine.pads = True
    requests = [tiny.request(str(i), i, candidates=30) for i in range(images)]
    labels = {text for request in requests for *_, text in request.candidates} | {*tiny.CLASSES, "no objects"}
    features.memory = {name: torch.empty(24, device="meta") for name in labels}
    return engine, requests


def test_the_padded_pass_waits_for_nothing_and_copies_nothing_from_the_host(tiny: Any) -> None:
    """The rules of a CUDA graph, and the launches of a batch: those of the graph, and those beside it."""
    engine, requests = padded_on_meta(tiny, 4)
    counters = []
    forward = engine.padded.forward

    def counted(*inputs: Any) -> Any:
        with LaunchCounter() as counter:
            result = forward(*inputs)
        counters.append(counter)
        return result

    engine.padded.forward = counted  # type: ignore[assignment]
    engine._compute(requests)  # constants of this size are made once
    with LaunchCounter() as whole:
        engine._compute(requests)
    within = counters[1]
    assert not whole.waits
    assert within.uploads <= 1  # the pixels, which a graph finds on the device
    assert whole.uploads <= 4  # pixels, labels, pairs and sizes
    assert within.total / len(requests) < 160
    assert whole.total - within.total <= 6


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        (lambda x: x.__setitem__(x > 0, 1.0), "index by a mask"),
        (lambda x: torch.tensor([1.0, 2.0], device=x.device), "host constant"),
    ],
)
def test_the_counter_sees_what_waits(waiting: Any, reason: str) -> None:
    with LaunchCounter() as counter:
        waiting(torch.empty(4, device="meta"))
    assert counter.waits[reason] == 1


def test_the_classifier_computes_in_float32(engine: Any, requests: list[Request]) -> None:
    for on_gpu, distinct in ((False, False), (True, True)):
        scores = np.concatenate(
            [one.scores for one in results(engine(torch.bfloat16, on_gpu=on_gpu), requests[:2]).values()]
        )
        logits = torch.from_numpy(np.log(scores / (1 - scores)))
        rounded = torch.isclose(logits, logits.bfloat16().float(), atol=1e-5).float().mean()
        assert (rounded < 0.5) == distinct


def test_precision_is_scoped(engine: Any) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_bf16_reduced_precision_reduction
    with engine().precision():
        assert not cudnn.allow_tf32  # else convolutions of float32 round to 10 bits
    with engine(torch.bfloat16).precision():
        assert not matmul.allow_bf16_reduced_precision_reduction
        assert cudnn.allow_tf32 == before[0]
    assert before == (cudnn.allow_tf32, matmul.allow_bf16_reduced_precision_reduction)


def test_no_image_is_computed_twice(engine: Any, requests: list[Request]) -> None:
    batch = engine(on_gpu=True, batch_size=3)
    batch.floor = 0.5  # amid the scores
    sizes: list[int] = []
    compute = batch._compute

    def record(requests: list[Request]) -> Any:
        sizes.append(len(requests))
        return compute(requests)

    batch._compute = record
    assert len(results(batch, requests)) == sum(sizes) == len(requests)
    assert batch.margin == BATCH_NOISE[torch.float32]
    assert engine().margin == 0


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
    ids=lambda error: str(error)[:40],
)
def test_memory_that_runs_out_in_a_library_splits_the_batch(
    engine: Any, requests: list[Request], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    limited = engine(on_gpu=True, batch_size=4)
    encode = limited.encode

    def only_one(batch: list[Request], layout: Any) -> Any:
        if len(batch) > 1:
            raise error
        return encode(batch, layout)

    monkeypatch.setattr(limited, "encode", only_one)
    assert len(results(limited, requests)) == len(requests)


def test_weights_kept_in_bfloat16_give_the_bits_of_autocast(tiny: Any, requests: list[Request]) -> None:
    def score(keep: bool) -> dict[str, Result]:
        model = tiny.model()
        features = TextFeatures(model.text_encoder, "0" * 64)
        if keep:
            for name, child in model.named_children():
                if name != "text_encoder":
                    keep_weights(child, torch.bfloat16)
        return results(Engine(model, features, dtype=torch.bfloat16), requests)

    assert worst(score(True), score(False)) == 0


def test_folded_norms_and_joined_branches_compute_the_same(tiny: Any) -> None:
    model = tiny.model()
    images = torch.rand(2, 3, 64, 96)
    for module in model.backbone.modules():
        if hasattr(module, "running_var"):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    before = model.backbone(images)
    count = sum(1 for module in model.backbone.modules() if hasattr(module, "running_var"))
    fold_batch_norms(model.backbone)
    assert count > 10
    assert not any(hasattr(module, "running_var") for module in model.backbone.modules())
    for one, other in zip(model.backbone(images), before, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)

    fusion = MultiBranchFusion(32, 4)
    a, b = torch.rand(2, 5, 32), torch.rand(2, 5, 32)
    with torch.no_grad():
        expected = fusion(a, b)
        state = list(fusion.state_dict())
        fusion.join()
        torch.testing.assert_close(fusion(a, b), expected, atol=1e-6, rtol=1e-5)
    assert list(fusion.state_dict()) == state


@pytest.mark.parametrize("coordinates", [2, 4])
def test_joined_box_heads_compute_the_same_boxes(coordinates: int) -> None:
    torch.manual_seed(0)
    subjects, objects = BoxHeads(16, 2), BoxHeads(16, 2)
    for parameter in (*subjects.parameters(), *objects.parameters()):
        parameter.data.normal_()
    pair = torch.rand(3, 5, 16)
    references = torch.rand(3, 5, coordinates), torch.rand(3, 5, coordinates)
    state = list(subjects.state_dict())
    for queries in ((pair, pair), (pair, pair.flip(1))):
        expected = subjects(1, queries[0], references[0]), objects(1, queries[1], references[1])
        subjects.joined = None
        for found, box in zip(
            predict_boxes(subjects, objects, 1, queries, references), expected, strict=True
        ):
            assert found.equal(box)  # apart, to the last bit, as on a CPU
        subjects.join(objects, torch.float32)
        for found, box in zip(
            predict_boxes(subjects, objects, 1, queries, references), expected, strict=True
        ):
            torch.testing.assert_close(found, box, atol=1e-6, rtol=1e-5)
    assert list(subjects.state_dict()) == state


def test_products_of_a_prepared_model_have_half_weights_and_norms_do_not(tiny: Any) -> None:
    model = tiny.model()
    prepare_for_gpu(model, torch.bfloat16)
    assert model.encoder.layers[0].linear1.weight.dtype == torch.bfloat16
    assert model.entity_decoder.layers[0].self_attn.in_proj_weight.dtype == torch.bfloat16
    kept = [model.encoder.layers[0].norm1, model.classifier.projection, *model.text_encoder.modules()]
    for module in kept:
        assert all(parameter.dtype == torch.float32 for parameter in module.parameters(recurse=False))
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


def test_labels_in_tiles_do_not_depend_on_each_other(tiny: Any) -> None:
    encoder = tiny.model().text_encoder
    tile = Tile(8, 6)
    labels = [*tiny.RELATIONS, *tiny.CLASSES, "next to " * 4]  # the last one is too long for a tile
    together = TextFeatures(encoder, "0" * 64, tile=tile)
    found = together.get(labels)
    assert together.encoded == len(labels)
    for label, feature in zip(labels, found, strict=True):
        alone = TextFeatures(encoder, "0" * 64, tile=tile).get([label])[0]
        torch.testing.assert_close(alone, feature, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(TextFeatures(encoder, "0" * 64).get(labels), found, atol=1e-5, rtol=1e-4)


def test_tiles_have_one_shape(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny.model().text_encoder
    shapes: list[tuple[int, ...]] = []
    forward = encoder.forward

    def record(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(ids.shape))
        return forward(ids, mask)

    monkeypatch.setattr(encoder, "forward", record)
    features = TextFeatures(encoder, "0" * 64, tile=Tile(4, 6))
    features.get(tiny.RELATIONS[:6])
    features.get(["riding", "person"])
    assert shapes == [(4, 6)] * 3
