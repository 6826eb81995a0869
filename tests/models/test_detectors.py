"""A DETR or a Deformable DETR under its authors' names starts the families of its line."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relforge.models.blueprint import Blueprint
from relforge.models.detectors import COCO_CATEGORIES
from relforge.models.published import published_blueprint, start_from_detector
from relforge.models.zoo import family
from tests.fixtures import tiny_tagger

DIM, WIDE = 32, 48
BACKBONE = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}


def pair_detector(kind: str) -> tuple[nn.Module, Blueprint]:
    sizes = {"dim": DIM, "pairs": 4, "encoder_layers": 2, "decoder_layers": 2, "feedforward": WIDE}
    classes, relations = ("dog", "griffin", "person"), ("ride", "hold")
    text = tiny_tagger.BLUEPRINT.text_encoder if family(kind).labels == "open" else None
    blueprint = Blueprint(kind, family(kind).sizes(**sizes), BACKBONE, text, classes, relations)
    torch.manual_seed(0)
    return blueprint.build(tiny_tagger.tokenizer() if text else None), blueprint


def detector(model: nn.Module, decoder: str) -> dict[str, Tensor]:
    """A detector with the layers of `model`'s decoder of that name, and its own heads and tables."""
    state = {"transformer.reference_points.weight": torch.rand(2, DIM)}
    state |= {
        "transformer.reference_points.bias": torch.rand(2),
        "query_embed.weight": torch.rand(300, 2 * DIM),
    }
    for k in range(6):
        state |= {f"class_embed.{k}.weight": torch.rand(91, DIM), f"class_embed.{k}.bias": torch.rand(91)}
        for layer, width in enumerate((DIM, DIM, 4)):
            state[f"bbox_embed.{k}.layers.{layer}.weight"] = torch.rand(width, DIM)
            state[f"bbox_embed.{k}.layers.{layer}.bias"] = torch.rand(width)
    for name, tensor in model.state_dict().items():
        if name.startswith("encoder."):
            state[f"transformer.{name}"] = torch.rand(tensor.shape)
        if name.startswith(f"{decoder}."):
            state[f"transformer.decoder{name.removeprefix(decoder)}"] = torch.rand(tensor.shape)
    return state


@pytest.mark.parametrize(
    ("kind", "decoders"),
    [("parsed_v1", ("entity_decoder", "relation_decoder")), ("qahoi_rlipv2", ("decoder",))],
)
def test_layers_and_box_heads_serve_every_decoder_and_role(kind: str, decoders: tuple[str, ...]) -> None:
    model, blueprint = pair_detector(kind)
    state = detector(model, decoders[0])

    start_from_detector(model, state, blueprint)

    ours = model.state_dict()
    key = "layers.1.linear1.weight"
    for decoder in decoders:
        assert torch.equal(ours[f"{decoder}.{key}"], state[f"transformer.decoder.{key}"])
    for role in ("subject", "object"):
        head = ours[f"{role}_boxes.mlps.1.layers.2.weight"]
        assert torch.equal(head, state["bbox_embed.1.layers.2.weight"])
    key = "encoder.layers.0.linear1.weight"
    assert torch.equal(ours[key], state[f"transformer.{key}"])


def test_tables_and_points_of_a_family_with_two_queries_a_pair() -> None:
    model, blueprint = pair_detector("parsed_v1")
    state = detector(model, "entity_decoder")
    start_from_detector(model, state, blueprint)
    ours, table = model.state_dict(), state["query_embed.weight"][:8]
    assert torch.equal(ours["queries.table.weight"], torch.cat([table, table[:, DIM:]], 1))
    for role in ("subject", "object"):
        assert torch.equal(
            ours[f"queries.points.{role}.weight"], state["transformer.reference_points.weight"]
        )


def test_tables_and_points_of_a_family_with_one_query_a_pair() -> None:
    model, blueprint = pair_detector("qahoi_rlipv2")
    state = detector(model, "decoder")
    start_from_detector(model, state, blueprint)
    ours, points = model.state_dict(), state["transformer.reference_points.weight"]
    assert torch.equal(ours["queries.weight"], state["query_embed.weight"][:4])
    assert torch.equal(ours["points.weight"], torch.cat([points, points]))


def test_class_rows_go_by_name_and_the_rest_stays_new() -> None:
    model, blueprint = pair_detector("parsed_v1")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = detector(model, "entity_decoder")
    start_from_detector(model, state, blueprint)
    name = "classifier.object_heads.1.weight"
    ours, rows = model.state_dict()[name], state["class_embed.1.weight"]
    assert torch.equal(ours[0], rows[COCO_CATEGORIES["dog"]])
    assert torch.equal(ours[2], rows[COCO_CATEGORIES["person"]])
    assert torch.equal(ours[[1, 3]], before[name][[1, 3]])  # no class of COCO, and "no objects"


def test_cocos_categories_are_eighty() -> None:
    assert len(COCO_CATEGORIES) == 80
    assert (COCO_CATEGORIES["person"], COCO_CATEGORIES["toothbrush"]) == (1, 90)


def detr(model: nn.Module) -> dict[str, Tensor]:
    """A DETR of 7 queries and 3 decoder layers, as wide as `model`, whose pair decoder has 2."""
    state = {"class_embed.weight": torch.rand(92, DIM), "class_embed.bias": torch.rand(92)}
    state |= {"query_embed.weight": torch.rand(7, DIM)}
    for name, tensor in model.state_dict().items():
        theirs = name.replace("tokens.projection.", "input_proj.").replace("object_box.", "bbox_embed.")
        theirs = theirs.replace("encoder.layers", "transformer.encoder.layers")
        theirs = theirs.replace("pairs.decoder", "transformer.decoder").replace(
            "cross_attn", "multihead_attn"
        )
        if theirs != name:
            state[theirs] = torch.rand(tensor.shape)
            if ".decoder.layers.1." in theirs:
                state[theirs.replace(".1.", ".2.", 1)] = torch.rand(tensor.shape)
    return state


def test_a_detr_starts_pixels_queries_decoder_box_heads_and_class_rows() -> None:
    model, blueprint = pair_detector("qpic")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = detr(model)

    start_from_detector(model, state, blueprint)

    ours = model.state_dict()
    layer = "layers.1.{}.in_proj_weight"
    decoder = state[f"transformer.decoder.{layer.format('multihead_attn')}"]
    assert torch.equal(ours[f"pairs.decoder.{layer.format('cross_attn')}"], decoder)
    assert torch.equal(ours["tokens.projection.weight"], state["input_proj.weight"])
    for role in ("subject", "object"):
        assert torch.equal(ours[f"{role}_box.layers.2.weight"], state["bbox_embed.layers.2.weight"])
    assert torch.equal(ours["pairs.queries.weight"], state["query_embed.weight"][:4])
    head, rows = ours["classifier.object_heads.0.weight"], state["class_embed.weight"]
    known = [COCO_CATEGORIES["dog"], COCO_CATEGORIES["person"], 91]
    assert torch.equal(head[[0, 2, 3]], rows[known])
    assert torch.equal(head[1], before["classifier.object_heads.0.weight"][1])  # no class of COCO


@pytest.mark.parametrize("kind", ["parse", "rlip_parse"])
def test_a_detr_starts_both_decoders_and_the_queries_of_both_roles(kind: str) -> None:
    model, blueprint = pair_detector(kind)
    state = detr(model)
    before = model.state_dict()["pairs.queries.weight"][4].clone()

    start_from_detector(model, state, blueprint)

    ours = model.state_dict()
    for decoder in ("pairs", "relations"):
        for layer in range(2):
            for ending in ("cross_attn.in_proj_weight", "norm2.weight", "norm3.bias"):
                theirs = f"transformer.decoder.layers.{layer}.{ending.replace('cross', 'multihead')}"
                assert torch.equal(ours[f"{decoder}.decoder.layers.{layer}.{ending}"], state[theirs])
    rows, queries = state["query_embed.weight"][:4], ours["pairs.queries.weight"]
    assert torch.equal(queries[:4], rows)
    # a subject and an object of one state would be of one class where one classifier serves both
    apart = 3 * before if kind == "rlip_parse" else torch.zeros(DIM)
    torch.testing.assert_close(queries[4:] - rows, apart.expand(4, -1))
    assert torch.equal(ours["encoder.layers.1.norm2.bias"], state["transformer.encoder.layers.1.norm2.bias"])


PARSE_NAMES = {
    "pairs.decoder": "transformer.ho_decoder",
    "relations.decoder": "transformer.verb_decoder",
    "pairs.queries": "query_embed",
    "encoder.layers": "transformer.encoder.layers",
    "tokens.projection": "input_proj",
    "classifier.object_heads.0": "obj_class_embed",
    "subject_box": "sub_bbox_embed",
    "object_box": "obj_bbox_embed",
}


def test_a_detr_that_was_converted_to_the_names_of_parse_is_a_start() -> None:
    model, blueprint = pair_detector("parse")
    state, copied = {}, []
    for name, tensor in model.state_dict().items():
        for ours, theirs in PARSE_NAMES.items():
            if name.startswith(ours):
                copied.append(name)
                key = name.replace(ours, theirs).replace("cross_attn", "multihead_attn")
                state[key] = torch.rand(tensor.shape)
                if "decoder.layers.1." in key:  # more layers than the model has
                    state[key.replace("layers.1.", "layers.2.")] = torch.rand(tensor.shape)
    assert published_blueprint(state) is None  # it has no relations
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    start_from_detector(model, state, blueprint)

    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == copied


def test_named_parts_do_not_start_from_the_detector() -> None:
    model, blueprint = pair_detector("qpic")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = detr(model)
    start_from_detector(model, state, blueprint, ["pairs.decoder."])
    name = "pairs.decoder.norm.weight"
    assert torch.equal(model.state_dict()[name], before[name])
    assert torch.equal(
        model.state_dict()["encoder.layers.0.norm1.bias"], state["transformer.encoder.layers.0.norm1.bias"]
    )
    with pytest.raises(ValueError, match=r"a qpic has no part 'relation\."):
        start_from_detector(model, state, blueprint, ["relation."])
