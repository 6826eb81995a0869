"""Every seam of an evaluation forward pass, against the published models (goldens g1 and g4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from relforge.models.blocks.pair_queries import pad_pairs
from relforge.models.blocks.prediction import Prediction
from relforge.models.rlipv2.model import RelationModel
from tests.conftest import TEST_DEVICE
from tests.fixtures.zoo_goldens import BOX, FIELDS, HIDDEN, LOGIT

OBJECTS = 13


def parts(model: RelationModel) -> dict[str, torch.nn.Module]:
    """The parts whose results the fixtures hold."""
    named: dict[str, torch.nn.Module] = {"maps": model.backbone, "tokens": model.pyramid}
    named["queries"] = model.queries
    for i, fusion in enumerate(model.encoder.fusions):
        named |= {f"fuse{i}": fusion, f"delta{i}": fusion.attention}
        named[f"language{i}"] = model.encoder.language_layers[i]
    named |= {f"encoder{i}": layer for i, layer in enumerate(model.encoder.layers)}
    named |= {f"entity{i}": layer for i, layer in enumerate(model.entity_decoder.layers)}
    named |= {f"relation{i}": layer for i, layer in enumerate(model.relation_decoder.layers)}
    return named


@pytest.fixture(scope="module")
def forward(
    golden: Any, published_model: Any, texts: list[str], images: Any, record: Any
) -> Callable[[str], dict[str, Any]]:
    """`forward("parsed")`: all recorded seams of one pass of that model, computed once."""
    done: dict[str, dict[str, Any]] = {}

    def run(kind: str) -> dict[str, Any]:
        if kind in done:
            return done[kind]
        model = published_model(kind)

        @torch.no_grad()
        def call() -> dict[str, Any]:
            pooled = model.text_encoder.encode(texts)
            memory = model.encode(images[0], pooled, images[1])
            if kind == "rtagger":
                targets = golden("g1_tagger_inference").targets(2)
                given = pad_pairs(
                    [torch.stack([t["sub_boxes"], t["obj_boxes"]], 1).to(TEST_DEVICE) for t in targets],
                    [torch.stack([t["sub_labels"], t["obj_labels"]], 1).to(TEST_DEVICE) for t in targets],
                    100,
                )
            else:
                given = None
            outputs = model.decode(memory, OBJECTS, given)
            return {"pooled": pooled, "memory": memory, "outputs": outputs}

        recorded = record(parts(model), call)
        done[kind] = recorded | recorded.pop("result")
        return done[kind]

    return run


FILES = {
    "rtagger": "g1_tagger_inference",
    "parsed": "g4_parsed_inference",
    "parseda": "g4_parseda_inference",
}


@pytest.fixture(
    params=[
        "rtagger",
        pytest.param("parsed", marks=pytest.mark.slow),
        pytest.param("parseda", marks=pytest.mark.slow),
    ]
)
def case(request: pytest.FixtureRequest, forward: Any, golden: Any) -> tuple[dict[str, Any], Any]:
    """(recorded seams, golden arrays) of each family member."""
    return forward(request.param), golden(FILES[request.param])


def test_text_features(case: Any) -> None:
    recorded, g = case
    g.check("text_pooled", recorded["pooled"], 1e-5)


def test_backbone_maps_tokens_and_positions(case: Any) -> None:
    recorded, g = case
    tokens = recorded["tokens"]
    for i, level in enumerate(recorded["maps"]):
        g.check(f"backbone_layer{i + 2}", level, HIDDEN)
    sizes = [h * w for h, w in tokens.shapes]
    values = tokens.values.split(sizes, 1)
    for i, (height, width) in enumerate(tokens.shapes):
        g.check(f"src{i}", values[i].transpose(1, 2).unflatten(2, (height, width)), HIDDEN)


def test_memory_after_every_fusion_and_encoder_layer(case: Any) -> None:
    recorded, g = case
    for i in range(3):
        g.check(f"fuse{i}_delta_v", recorded[f"delta{i}"][0], HIDDEN)
        g.check(f"fuse{i}_delta_l", recorded[f"delta{i}"][1], HIDDEN)
        g.check(f"fuse{i}_vis_last_level", recorded[f"fuse{i}"][0], HIDDEN)
        g.check(f"fuse{i}_lang", recorded[f"fuse{i}"][1], HIDDEN)
        g.check(f"fuse{i}_lang_after_roberta", recorded[f"language{i}"], HIDDEN)
    for i in range(6):
        g.check(f"enc_layer{i}_vis", recorded[f"encoder{i}"], HIDDEN)
    g.check("img_memory", recorded["memory"].values, HIDDEN)
    features = torch.stack(recorded["memory"].labels)  # layer x image x text x dim; stored text-first
    g.check("text_memory_resized", features.transpose(1, 2), HIDDEN)


def test_decoder_states(case: Any) -> None:
    recorded, g = case
    g.check("hs_ho", torch.stack([recorded[f"entity{i}"] for i in range(3)]), HIDDEN)
    g.check("hs_verb", torch.stack([recorded[f"relation{i}"] for i in range(3)]), HIDDEN)


def test_boxes_and_logits_of_every_layer(case: Any) -> None:
    recorded, g = case
    for layer, prefix in ((2, ""), (0, "aux0_"), (1, "aux1_")):
        prediction: Prediction = recorded["outputs"][layer]
        for stored, field in FIELDS.items():
            ours, atol = getattr(prediction, field), BOX if "boxes" in stored else LOGIT
            name = f"{prefix}pred_{stored}"
            if name in g:
                g.check(name, ours, atol)
            else:
                g.check(f"{name}_valid", ours[:, :5], atol)


def test_start_references_and_boxes_between_layers(case: Any) -> None:
    recorded, g = case
    first, second = recorded["queries"].references.chunk(2, 1)
    boxes = torch.stack([torch.stack([p.subject_boxes, p.object_boxes]) for p in recorded["outputs"]])
    if "init_ref_sub" not in g:  # the tagger's fixture keeps the queries that hold pairs
        g.check("init_ref_sub_valid", first[:, :5], BOX)
        g.check("init_ref_obj_valid", second[:, :5], BOX)
        g.check("inter_refs_valid", boxes[:, :, :, :5], BOX)
        return
    shared = g["init_ref_sub"].dim() == 2  # anchors are the same for every image
    g.check("init_ref_sub", first[0] if shared else first, BOX)
    g.check("init_ref_obj", second[0] if shared else second, BOX)
    g.check("inter_refs", boxes, BOX)


def test_masks_and_level_geometry(forward: Any, golden: Any) -> None:
    tokens, g = forward("rtagger")["tokens"], golden("g1_tagger_inference")
    assert torch.tensor(tokens.shapes).equal(g["spatial_shapes"])
    g.check("valid_ratios", tokens.valid_ratios, 0)
    assert tokens.padding.equal(g["mask_flatten"])


def test_positions_are_the_sine_encoding_plus_the_level(
    forward: Any, golden: Any, published_model: Any
) -> None:
    tokens, g = forward("rtagger")["tokens"], golden("g1_tagger_inference")
    level_embed = published_model("rtagger").pyramid.level_embed
    for i, positions in enumerate(tokens.positions.split([h * w for h, w in tokens.shapes], 1)):
        sine = (positions - level_embed[i]).transpose(1, 2).unflatten(2, tokens.shapes[i])
        g.check(f"pos{i}", sine, 1e-5)


def test_given_pairs_become_queries(forward: Any, golden: Any) -> None:
    queries, g = forward("rtagger")["queries"], golden("g1_tagger_inference")
    assert queries.key_padding_mask.equal(g["key_padding_mask"])
    queries_of_pairs = torch.cat([queries.positions, queries.content], -1)
    g.check("query_valid", queries_of_pairs[:, [*range(5), *range(100, 105)]], HIDDEN)


def test_relation_confidence_is_the_sigmoid_of_the_logit(forward: Any, golden: Any) -> None:
    confidence = forward("rtagger")["outputs"][-1].relation_logits.sigmoid()
    golden("g1_tagger_inference").check("relation_confidence", confidence, 1e-5)
