"""DETR as the start of a pair detector of its line: its own checkpoint, as its authors wrote it.

Everything before the decoder is taken over, the decoder by every decoder, the box head by both roles, the
query table by position, and the object head's rows of COCO's classes by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_detr import DETR_RULES, decoder_rules
from relforge.models.blocks.published_names import Rule, rename_all, rename_by
from relforge.models.detectors import COCO_CATEGORIES

_DECODERS = ("pairs.decoder", "relations.decoder")
_ROLES: list[Rule] = [(r"^bbox_embed\.", "subject_box."), (r"^bbox_embed\.", "object_box.")]
_TABLE, _HEAD = "pairs.queries.weight", "classifier.object_heads.0."


def is_detr(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are those of a DETR under its authors' names."""
    own = ("class_embed.weight", "bbox_embed.layers.0.weight", "query_embed.weight", "input_proj.weight")
    return all(key in state for key in own) and "transformer.decoder.norm.weight" in state


def detr_weights(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], classes: Sequence[str], pairs: int
) -> dict[str, Tensor]:
    """The detector's weights under our names, those that a pair detector has and that fit it.

    Args:
        state: of the detector.
        expected: the pair detector's own weights.
        classes: the pair detector's; those that COCO has not keep their rows.
        pairs: its pair queries. Of a table with a row per subject and per object both halves get the
            detector's first rows.
    """
    heads = {key: tensor for key, tensor in state.items() if key.startswith(("class_embed.", "query_embed."))}
    others = {key: tensor for key, tensor in state.items() if key not in heads}
    found: dict[str, Tensor] = {}
    for decoder, role in zip(_DECODERS, _ROLES, strict=True):
        rules = [*DETR_RULES, *decoder_rules("decoder", decoder), role]
        renamed, _ = rename_all(others, our_name=partial(rename_by, rules), alias_of=lambda key: None)
        found |= {
            name: tensor
            for name, (_, tensor) in renamed.items()
            if name in expected and expected[name].shape == tensor.shape
        }
    if _TABLE in expected and heads["query_embed.weight"].shape[1:] == expected[_TABLE].shape[1:]:
        found[_TABLE] = expected[_TABLE].clone()
        rows = heads["query_embed.weight"][:pairs]
        for half in found[_TABLE].split(pairs):
            half[: len(rows)] = rows
    for part in ("weight", "bias"):
        own, source = expected.get(f"{_HEAD}{part}"), heads[f"class_embed.{part}"]
        if own is not None and own.shape[1:] == source.shape[1:]:
            found[f"{_HEAD}{part}"] = _class_rows(own, source, classes)
    return found


def _class_rows(own: Tensor, source: Tensor, classes: Sequence[str]) -> Tensor:
    """The head's rows, those of COCO's classes and of "no objects" from the detector's."""
    rows = own.clone()
    for row, name in enumerate(classes):
        if name in COCO_CATEGORIES:
            rows[row] = source[COCO_CATEGORIES[name]]
    rows[-1] = source[-1]
    return rows
