"""The `.pth` files of github.com/fundamentalvision/Deformable-DETR, and its names from ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from relforge.models.blocks.published_names import (
    DEFORMABLE_RULES,
    Rule,
    backbone_of,
    count_layers,
    deformable_sizes,
    has_prefix,
    rename_all,
    rename_by,
)
from relforge.models.blueprint import Blueprint
from relforge.models.deformable_detr.sizes import Sizes
from relforge.models.detectors import coco_rows, is_deformable_detr

_RULES: list[Rule] = [
    (r"^query_embed\.", "queries."),
    (r"^transformer\.decoder\.layers\.", "decoder.layers."),
    (r"^transformer\.reference_points\.", "points."),
    (r"^class_embed\.", "class_heads."),
    (r"^bbox_embed\.", "boxes.mlps."),
    *DEFORMABLE_RULES,
]
_BACK: list[Rule] = [
    (r"^queries\.", "query_embed."),
    (r"^(encoder|decoder)\.layers\.", r"transformer.\1.layers."),
    (r"^points\.", "transformer.reference_points."),
    (r"^class_heads\.", "class_embed."),
    (r"^boxes\.mlps\.", "bbox_embed."),
    (r"^pyramid\.projections\.", "input_proj."),
    (r"^pyramid\.level_embed$", "transformer.level_embed"),
]
_HEAD = re.compile(r"^(class_embed|bbox_embed)\.(\d+)\.")
_ALIAS = "transformer.decoder.bbox_embed."


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model. One of the two-stage variant is."""
    if not is_deformable_detr(state) or not has_prefix(state, "backbone."):
        return None
    shape = deformable_sizes(state, "transformer.encoder", "transformer.decoder")
    sizes = Sizes(**shape, queries=len(state["query_embed.weight"]), refine=_refines(state))
    return Blueprint(
        "deformable_detr",
        sizes,
        backbone_of(state),
        None,
        coco_rows(len(state["class_embed.0.weight"])),
    )


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`. Heads that all layers share are stored
    once for every layer, and all copies must be equal."""
    shared = not blueprint.sizes.refine
    return rename_all(
        state, our_name=partial(rename_by, _RULES), alias_of=partial(_first_copy, shared=shared)
    )


def published_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ours under the authors' names, but for the backbone; heads once for every layer."""
    found: dict[str, Tensor] = {}
    layers = count_layers(weights, "decoder.layers.")
    heads = count_layers(weights, "class_heads.")
    for name, tensor in weights.items():
        key = rename_by(_BACK, name)
        if key is None:
            continue
        if heads == 1 and (match := _HEAD.match(key)):
            found |= {f"{match[1]}.{k}.{key[match.end() :]}": tensor for k in range(layers)}
        else:
            found[key] = tensor
    return found


def _refines(state: Mapping[str, Tensor]) -> bool:
    """Whether every layer has heads of its own; a file stores shared ones once a layer."""
    if has_prefix(state, _ALIAS):
        return True
    copies = [f"class_embed.{k}.weight" for k in range(1, count_layers(state, "class_embed."))]
    return any(not torch.equal(state[key], state["class_embed.0.weight"]) for key in copies)


def _first_copy(key: str, *, shared: bool) -> str | None:
    if key.startswith(_ALIAS):
        return f"bbox_embed.{key.removeprefix(_ALIAS)}"
    match = _HEAD.match(key)
    return f"{match[1]}.0.{key[match.end() :]}" if shared and match and match[2] != "0" else None
