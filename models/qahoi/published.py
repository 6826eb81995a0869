"""The `.pth` files of QAHOI (github.com/cjw2021/QAHOI), and of the method in RLIPv2's repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_names import (
    DEFORMABLE_RULES,
    LINEAR_RULES,
    Rule,
    alias_of,
    backbone_of,
    deformable_sizes,
    has_text_encoder,
    rename_all,
    rename_by,
    unnamed,
)
from relforge.models.blueprint import Blueprint
from relforge.models.qahoi.sizes import RefinedSizes, Sizes

_POINTS, _REFINED_POINTS = "transformer.reference_points.weight", "transformer.reference_points_subobj.weight"

_REFINED_RULES: list[Rule] = [
    (r"^query_embed\.", "queries."),
    (r"^transformer\.decoder\.layers\.", "decoder.layers."),
    (r"^transformer\.reference_points(?:_subobj)?\.", "points."),
    *DEFORMABLE_RULES,
    *LINEAR_RULES,
]
_RULES: list[Rule] = [
    (r"^class_embed\.", "classifier.object_heads."),
    (r"^bbox_embed\.", "object_boxes.mlps."),
    *_REFINED_RULES,
]
_OBJECTS = {True: "sigmoid", False: "softmax"}
_SHARED_HEAD = re.compile(r"^((?:verb_)?class_embed|(?:sub_)?bbox_embed)\.(\d+)\.")
_HICO_CLASSES = 80


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model.

    A file holds no label names, and one of the authors does not say whether objects have sigmoids: 81 object
    logits are taken for HICO-DET's 80 classes and "no objects", any other number for classes with sigmoids.
    """
    refined = _REFINED_POINTS in state
    classes, points = ("obj_class_embed", _REFINED_POINTS) if refined else ("class_embed", _POINTS)
    wanted = (points, f"{classes}.0.weight", "verb_class_embed.0.weight", "sub_bbox_embed.0.layers.0.weight")
    if has_text_encoder(state) or not all(key in state for key in wanted):
        return None
    objects, relations = len(state[wanted[1]]), len(state[wanted[2]])
    shape = deformable_sizes(state, "transformer.encoder", "transformer.decoder")
    shape["pairs"] = len(state["query_embed.weight"])
    sigmoid = not refined and objects != _HICO_CLASSES + 1
    sizes = RefinedSizes(**shape) if refined else Sizes(**shape, objects=_OBJECTS[sigmoid])
    names = unnamed("class", objects - (not sigmoid)), unnamed("relation", relations)
    return Blueprint("qahoi_rlipv2" if refined else "qahoi", sizes, backbone_of(state), None, *names)


def rename_refined(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries of a file of RLIPv2's repository under our names; see `rename_all`."""
    return rename_all(
        state, our_name=partial(rename_by, _REFINED_RULES), alias_of=partial(alias_of, decoder_layers=0)
    )


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries of an authors' file under our names; see `rename_all`. Their heads are stored once for
    every layer, and all copies must be equal."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=_first_copy)


def _first_copy(key: str) -> str | None:
    match = _SHARED_HEAD.match(key)
    return f"{match[1]}.0.{key[match.end() :]}" if match and match[2] != "0" else None
