"""The `.pth` files of SpeaQ (github.com/mlvlab/SpeaQ) and Iterative SGG (github.com/ubc-vision/IterativeSG).

Detectron2 wrote them: a ResNet under its names, and the buffers of the losses beside the weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.detectron2_names import torchvision_name
from relforge.models.blocks.published_names import (
    Rule,
    backbone_of,
    count_layers,
    rename_all,
    rename_by,
    unnamed,
)
from relforge.models.blueprint import Blueprint
from relforge.models.speaq.sizes import Sizes

_ROLES = {"subject": "subject", "object": "object", "relation": "predicate"}
_DECODER = r"^detr\.transformer\.decoder\."

_RULES: list[Rule] = [
    (r"^detr\.input_proj\.", "tokens.projection."),
    (r"^detr\.query_embed\.", "subject_queries."),
    (r"^detr\.object_query_embed\.", "object_queries."),
    (r"^detr\.relation_query_embed\.", "predicate_queries."),
    (r"^detr\.transformer\.encoder\.layers\.", "encoder.layers."),
    (rf"{_DECODER}(\w+)_layers\.(\d+)\.multihead_attn\.", lambda m: f"{_layer(m)}.cross_attn."),
    (rf"{_DECODER}(\w+)_layers\.(\d+)\.", lambda m: f"{_layer(m)}."),
    (rf"{_DECODER}subject_norm\.", "decoder.entity_norm."),
    (rf"{_DECODER}relation_norm\.", "decoder.predicate_norm."),
    (rf"{_DECODER}(\w+)_pos_attn\.(\d+)\.", lambda m: f"{_part(m, 'positions')}.attention."),
    (rf"{_DECODER}(\w+)_pos_linear\.(\d+)\.", lambda m: f"{_part(m, 'positions')}.residual."),
    (rf"{_DECODER}(\w+)_graph_query_attn\.(\d+)\.", lambda m: f"{_part(m, 'contexts')}.attention."),
    (rf"{_DECODER}(\w+)_graph_query_(residual|norm)\.(\d+)\.", lambda m: _context(m)),
    (r"^detr\.transformer\.object_embed\.", "entity_classifier."),
    (r"^detr\.transformer\.relation_embed\.", "relation_classifier."),
    (r"^detr\.transformer\.object_bbox_coords\.", "box."),
]

_UNUSED = ("criterion.empty_weight_obj", "criterion.empty_rel_weight")
"""Class weights of the losses, which a training computes from its data."""


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model. A file does not hold the names of its
    labels."""
    wanted = (
        "detr.transformer.decoder.relation_layers.0.linear1.weight",
        "detr.transformer.encoder.layers.0.linear1.weight",
        # a detector whose decoder was copied three times has no attention between the copies
        "detr.transformer.decoder.relation_pos_attn.0.in_proj_bias",
        "detr.relation_query_embed.weight",
        "detr.query_embed.weight",
        "detr.transformer.object_embed.weight",
        "detr.transformer.relation_embed.weight",
    )
    if not all(key in state for key in wanted):
        return None
    feedforward, dim = state["detr.transformer.encoder.layers.0.linear1.weight"].shape
    pairs = len(state["detr.query_embed.weight"])
    sizes = Sizes(
        dim=dim,
        pairs=pairs,
        predicate_copies=len(state["detr.relation_query_embed.weight"]) // pairs,
        encoder_layers=count_layers(state, "detr.transformer.encoder.layers."),
        decoder_layers=count_layers(state, "detr.transformer.decoder.relation_layers."),
        feedforward=feedforward,
    )
    classes = unnamed("class", len(state["detr.transformer.object_embed.weight"]) - 1)
    relations = unnamed("relation", len(state["detr.transformer.relation_embed.weight"]) - 1)
    backbone = backbone_of({torchvision_name(key): value for key, value in state.items()})
    return Blueprint("speaq", sizes, backbone, None, classes, relations)


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    theirs = {torchvision_name(key): key for key in state}
    renamed, problems = rename_all(
        {name: state[key] for name, key in theirs.items()},
        our_name=partial(rename_by, _RULES),
        alias_of=lambda key: None,
        unused=_UNUSED,
    )
    return {name: (theirs[key], tensor) for name, (key, tensor) in renamed.items()}, problems


def _layer(match: re.Match[str]) -> str:
    return f"decoder.{_ROLES.get(match[1], match[1])}_layers.{match[2]}"


def _part(match: re.Match[str], what: str) -> str:
    return f"decoder.{_ROLES.get(match[1], match[1])}_{what}.{match[2]}"


def _context(match: re.Match[str]) -> str:
    return f"decoder.{_ROLES.get(match[1], match[1])}_contexts.{match[3]}.{match[2]}."
