"""DETR as the start of a pair detector of its line: its own checkpoint, as its authors wrote it.

Everything before the decoder is taken over, the decoder by every decoder, the box head by both roles, the
query tables by position, and the object head's rows of COCO's classes by name, or all rows where there are as
many (a detector of the same classes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from relforge.models.blocks.detectron2_names import authors_names
from relforge.models.blocks.published_detr import DETR_RULES, decoder_rules
from relforge.models.blocks.published_names import Rule, rename_all, rename_by
from relforge.models.detectors import COCO_CATEGORIES

_ROLES: list[list[Rule]] = [
    [*decoder_rules("decoder", "pairs.decoder"), (r"^bbox_embed\.", "subject_box.")],
    [*decoder_rules("decoder", "relations.decoder"), (r"^bbox_embed\.", "object_box.")],
]
"""Where the decoder goes, and the box head."""
_TRIPLETS: list[list[Rule]] = [
    [
        (r"^transformer\.decoder\.layers\.(\d+)\.multihead_attn\.", rf"decoder.{role}_layers.\1.cross_attn."),
        (r"^transformer\.decoder\.layers\.(\d+)\.", rf"decoder.{role}_layers.\1."),
        (
            r"^transformer\.decoder\.norm\.",
            f"decoder.{'predicate' if role == 'predicate' else 'entity'}_norm.",
        ),
        (r"^bbox_embed\.", "box."),
    ]
    for role in ("subject", "object", "predicate")
]
"""The same of three decoders side by side (`speaq`)."""
_TABLES = (
    "pairs.queries.weight",
    "subject_queries.weight",
    "object_queries.weight",
    "predicate_queries.weight",
)
_APART = 3.0
"""How far the queries of objects start from those of subjects, in random queries, where one classifier serves
both: with none, a subject and its object have one state, and still have after 800 steps (cosine 0.9999), so
that objects are called what subjects are. Objects with a classifier of their own learn better without."""
_HEADS = ("classifier.object_heads.0.", "entity_classifier.")
_COCO_ROWS = 92


def is_detr(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are those of a DETR under its authors' names, or as detectron2 wrote them."""
    state = authors_names(state)
    own = ("class_embed.weight", "bbox_embed.layers.0.weight", "query_embed.weight", "input_proj.weight")
    return all(key in state for key in own) and "transformer.decoder.norm.weight" in state


def detr_weights(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    classes: Sequence[str],
    pairs: int,
    rows_of: Mapping[str, int] = COCO_CATEGORIES,
) -> dict[str, Tensor]:
    """The detector's weights under our names, those that a pair detector has and that fit it.

    Args:
        state: of the detector.
        expected: the pair detector's own weights.
        classes: the pair detector's; those that the detector has not keep their rows.
        pairs: its pair queries. Of a table with a row per subject and per object both halves get the
            detector's first rows, objects moved by `_APART`; predicate queries get them where a pair has
            one.
        rows_of: the detector's classes, name -> row of its class head.
    """
    state = authors_names(state)
    heads = {key: tensor for key, tensor in state.items() if key.startswith(("class_embed.", "query_embed."))}
    others = {key: tensor for key, tensor in state.items() if key not in heads}
    found: dict[str, Tensor] = {}
    for own_rules in (*_ROLES, *_TRIPLETS):
        rules = [*own_rules, *DETR_RULES]
        renamed, _ = rename_all(others, our_name=partial(rename_by, rules), alias_of=lambda key: None)
        found |= {
            name: tensor
            for name, (_, tensor) in renamed.items()
            if name in expected and expected[name].shape == tensor.shape
        }
    queries = heads["query_embed.weight"]
    for table in _TABLES:
        own = expected.get(table)
        if own is None or own.shape[1:] != queries.shape[1:] or (table == _TABLES[-1] and len(own) != pairs):
            continue
        found[table] = own.clone()
        rows = queries[:pairs]
        apart = 0.0 if any(name.startswith(_HEADS[0]) for name in expected) else _APART
        for start in range(0, len(own), pairs):
            found[table][start : start + len(rows)] = rows + (apart * own[start] if start else 0)
    for head in _HEADS:
        for part in ("weight", "bias"):
            own, source = expected.get(f"{head}{part}"), heads[f"class_embed.{part}"]
            if own is not None and own.shape[1:] == source.shape[1:]:
                found[f"{head}{part}"] = _class_rows(own, source, classes, rows_of)
    return found


def _class_rows(own: Tensor, source: Tensor, classes: Sequence[str], rows_of: Mapping[str, int]) -> Tensor:
    """The head's rows, those of the detector's classes and of "no objects" from the detector's."""
    if rows_of is COCO_CATEGORIES and len(source) == len(own) != _COCO_ROWS:
        return source
    rows = own.clone()
    for row, name in enumerate(classes):
        if name in rows_of:
            rows[row] = source[rows_of[name]]
    rows[-1] = source[-1]
    return rows
