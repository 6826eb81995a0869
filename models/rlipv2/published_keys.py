"""Names in the published checkpoints, and ours (docs/method.md, "Checkpoints").

The published files store the box heads twice: once at the top level and once inside each decoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_Replacement = str | Callable[[re.Match[str]], str]

_RULES: list[tuple[str, _Replacement]] = [
    (r"^bias_obj_a$", "classifier.entity_bias"),
    (r"^bias_pred_a$", "classifier.relation_bias"),
    (r"^projection_text\.", "classifier.projection."),
    (r"^(sub|obj)_bbox_embed\.", lambda m: f"{_role(m)}_boxes.mlps."),
    (r"^input_proj\.", "pyramid.projections."),
    (r"^transformer\.level_embed$", "pyramid.level_embed"),
    (r"^transformer\.(?:ho_)?encoder\.layers\.", "encoder.layers."),
    (r"^transformer\.(?:ho_)?encoder\.VLFuse_layers\.(\d+)\.b_attn\.", r"encoder.fusions.\1."),
    (r"^transformer\.(?:ho_)?encoder\.roberta_layers\.", "encoder.language_layers."),
    (r"^transformer\.ho_decoder\.(query_scale|ref_point_head)\.", r"entity_decoder.anchor_position.\1."),
    (r"^transformer\.verb_decoder\.(query_scale|ref_point_head)\.", r"relation_decoder.anchor_position.\1."),
    (r"^transformer\.ho_decoder\.", "entity_decoder."),
    (r"^transformer\.verb_decoder\.", "relation_decoder."),
    (r"^transformer\.reference_points_sub\.", "queries.points.subject."),
    (r"^transformer\.reference_points_obj\.", "queries.points.object."),
    (r"^transformer\.resizer\.", "resizer."),
    (r"^transformer\.text_encoder\.", "text_encoder.model."),
    (r"^transformer\.coord_proj\.", "queries.box."),
    (r"^transformer\.verb_tgt\.", "queries.relation_content."),
    (r"^transformer\.verb_tgt_generator\.", "pair_fusion."),
    (r"^transformer\.verb_query_embed\.", "queries.relation_position."),
    (r"^query_embed\.", "queries.table."),
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

BACKBONE_PREFIX = "backbone.0.body."

_ALIAS = re.compile(r"^transformer\.(ho|verb)_decoder\.(sub|obj)_bbox_embed\.(\d+)\.(.*)$")
_BUFFER = "transformer.text_encoder.embeddings.position_ids"


def _role(match: re.Match[str]) -> str:
    return {"sub": "subject", "obj": "object"}[match[1]]


def alias_of(key: str, decoder_layers: int) -> str | None:
    """The top-level name of a box head stored inside a decoder, or None for any other key."""
    match = _ALIAS.match(key)
    if not match:
        return None
    index = int(match[3]) + (decoder_layers if match[1] == "verb" else 0)
    return f"{match[2]}_bbox_embed.{index}.{match[4]}"


def is_unused(key: str, model: str) -> bool:
    """Entries of published files that no computation reads: an index buffer that older transformers
    saved, and the tagger's `query_embed` (the 972nd and a query table that given pairs replace)."""
    return key == _BUFFER or (model == "rtagger" and key == "query_embed.weight")


def our_name(key: str) -> str | None:
    """Our name of a published key outside the backbone, or None where no rule knows it."""
    for pattern, replacement in _RULES:
        name, count = re.subn(pattern, replacement, key)
        if count:
            break
    else:
        return None
    for pattern, replacement in (*_FUSION, *_LANGUAGE):
        name = re.sub(pattern, replacement, name)
    return name
