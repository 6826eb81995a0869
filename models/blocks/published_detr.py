"""What the authors' files of the DETR line have in common: names, and the sizes that they tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from relforge.models.blocks.published_names import Rule, count_layers, unnamed

DETR_RULES: list[Rule] = [
    (r"^input_proj\.", "tokens.projection."),
    (r"^query_embed\.", "pairs.queries."),
    (r"^transformer\.encoder\.layers\.", "encoder.layers."),
    (r"^(sub|obj)_bbox_embed\.", lambda m: f"{'subject' if m[1] == 'sub' else 'object'}_box."),
    (r"^obj_class_embed\.", "classifier.object_heads.0."),
    (r"^verb_class_embed\.", "classifier.relation_heads.0."),
]
"""All but the decoders. The heads are stored once, for all layers."""


def decoder_rules(theirs: str, ours: str) -> list[Rule]:
    """The names of one decoder: `transformer.THEIRS` becomes `OURS`."""
    layers = rf"^transformer\.{theirs}\.layers\.(\d+)\."
    return [
        (rf"{layers}multihead_attn\.", lambda m: f"{ours}.layers.{m[1]}.cross_attn."),
        (rf"^transformer\.{theirs}\.", f"{ours}."),
    ]


def detr_sizes(state: Mapping[str, Tensor], decoder: str) -> dict[str, Any]:
    """The widths and depths of a file, by the names of a family's `Sizes`, but the number of pairs.

    Args:
        decoder: prefix of the pair decoder, such as `transformer.decoder`.
    """
    feedforward, dim = state["transformer.encoder.layers.0.linear1.weight"].shape
    return {
        "dim": dim,
        "encoder_layers": count_layers(state, "transformer.encoder.layers."),
        "decoder_layers": count_layers(state, f"{decoder}.layers."),
        "feedforward": feedforward,
    }


def is_pair_detr(state: Mapping[str, Tensor], decoder: str) -> bool:
    """Whether a file is a pair detector with linear classifiers and a DETR decoder of that prefix."""
    wanted = ("query_embed.weight", "obj_class_embed.weight", "verb_class_embed.weight")
    attention = re.compile(rf"^{re.escape(decoder)}\.layers\.0\.multihead_attn\.")
    return all(key in state for key in wanted) and any(attention.match(key) for key in state)


def label_names(state: Mapping[str, Tensor]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Placeholders for the names of classes and relations, which the files do not hold."""
    objects, relations = len(state["obj_class_embed.weight"]), len(state["verb_class_embed.weight"])
    return unnamed("class", objects - 1), unnamed("relation", relations)
