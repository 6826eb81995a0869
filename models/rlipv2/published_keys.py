"""Names in the published checkpoints, and ours (docs/method.md, "Checkpoints")."""

from __future__ import annotations

import re

from relforge.models.blocks.published_names import (
    BACKBONE_PREFIX,
    DEFORMABLE_RULES,
    TEXT_RULES,
    Rule,
    alias_of,
    rename_by,
)

__all__ = ["BACKBONE_PREFIX", "alias_of", "our_name", "unused_names"]

_RULES: list[Rule] = [
    *DEFORMABLE_RULES,
    *TEXT_RULES,
    (r"^transformer\.(?:ho_)?encoder\.VLFuse_layers\.(\d+)\.b_attn\.", r"encoder.fusions.\1."),
    (r"^transformer\.(?:ho_)?encoder\.roberta_layers\.", "encoder.language_layers."),
    (r"^transformer\.ho_decoder\.(query_scale|ref_point_head)\.", r"entity_decoder.anchor_position.\1."),
    (r"^transformer\.verb_decoder\.(query_scale|ref_point_head)\.", r"relation_decoder.anchor_position.\1."),
    (r"^transformer\.coord_proj\.", "queries.box."),
    (r"^transformer\.verb_tgt\.", "queries.relation_content."),
    (r"^transformer\.verb_tgt_generator\.", "pair_fusion."),
    (r"^transformer\.verb_query_embed\.", "queries.relation_position."),
    (r"^tgt_embed\.", "queries.content."),
    (r"^verb_tgt_embed\.", "queries.relation_content."),
    (r"^refpoint_embed\.", "queries.anchors."),
]

_FUSION = [
    (r"(fusions\.\d+)\.gamma_([vl])$", r"\1.gate_\2.gamma"),
    (r"(fusions\.\d+)\.layer_norm_([vl])\.", r"\1.norm_\2."),
    (r"(fusions\.\d+)\.attn\.", r"\1.attention."),
]

_LANGUAGE = [
    (r"(language_layers\.\d+)\.attention\.self\.", r"\1."),
    (r"(language_layers\.\d+)\.attention\.output\.dense\.", r"\1.attention_output."),
    (r"(language_layers\.\d+)\.attention\.output\.LayerNorm\.", r"\1.attention_norm."),
    (r"(language_layers\.\d+)\.intermediate\.dense\.", r"\1.linear1."),
    (r"(language_layers\.\d+)\.output\.dense\.", r"\1.linear2."),
    (r"(language_layers\.\d+)\.output\.LayerNorm\.", r"\1.norm."),
]


def unused_names(model: str) -> tuple[str, ...]:
    """Entries of published files that no computation reads: the tagger's `query_embed`, a query table that
    given pairs replace."""
    return ("query_embed.weight",) if model == "rtagger" else ()


def our_name(key: str) -> str | None:
    """Our name of a published key outside the backbone, or None where no rule covers it."""
    name = rename_by(_RULES, key)
    if name is not None:
        for pattern, replacement in (*_FUSION, *_LANGUAGE):
            name = re.sub(pattern, replacement, name)
    return name
