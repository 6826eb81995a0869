"""The `.pth` files of RLIPv2: what a file was built from, and its weights under our names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import RobertaConfig

from relforge.models.blocks.backbone_keys import convert_backbone
from relforge.models.blueprint import Blueprint
from relforge.models.rlipv2.published_keys import BACKBONE_PREFIX, alias_of, is_unused, our_name
from relforge.models.rlipv2.sizes import Sizes

_EMBED_DIMS = {96: "swin_tiny", 192: "swin_large"}
_PATCH = f"{BACKBONE_PREFIX}patch_embed.proj.weight"
_WORDS = "transformer.text_encoder.embeddings.word_embeddings.weight"
_FUSION = ".VLFuse_layers."


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a published checkpoint was built from, by its keys and shapes; None if it is of another model.

    Args:
        gate: a key of `GATES`; by default `vector` on ResNet and `scalar` on Swin, as released.

    Raises:
        ValueError: it is of the family, but on a backbone that was never published.
    """
    linear = next((key for key in state if key.endswith("encoder.layers.0.linear1.weight")), None)
    if linear is None or _WORDS not in state or not any(_FUSION in key for key in state):
        return None
    if "transformer.coord_proj.weight" in state:
        kind = "rtagger"
    else:
        kind = "parseda" if "refpoint_embed.weight" in state else "parsed"
    backbone = "resnet50"
    if _PATCH in state:
        width = state[_PATCH].shape[0]
        if width not in _EMBED_DIMS:
            raise ValueError(f"a Swin backbone of width {width} is neither Swin-T (96) nor Swin-L (192)")
        backbone = _EMBED_DIMS[width]
    sizes = Sizes(
        feedforward=state[linear].shape[0],
        branch_fusion="transformer.verb_tgt_generator.fc_1.0.weight" in state,
        gate=gate or ("vector" if backbone == "resnet50" else "scalar"),
    )
    roberta = RobertaConfig(
        vocab_size=state[_WORDS].shape[0],
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    return Blueprint(kind, sizes, backbone, roberta.to_diff_dict())


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint, from_detector: bool
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names.

    Args:
        state: published name -> tensor.
        blueprint: of the model that is loaded; the numbering of the box heads depends on its decoder layers.
        from_detector: the file was converted from a detector: the two copies of a box head may differ and
            names may be surplus.

    Returns:
        Our name -> (published name, tensor), and what is wrong, one sentence each.
    """
    layers = blueprint.sizes.decoder_layers
    renamed: dict[str, tuple[str, Tensor]] = {}
    problems: list[str] = []
    backbone = {
        key.removeprefix(BACKBONE_PREFIX): value
        for key, value in state.items()
        if key.startswith(BACKBONE_PREFIX)
    }
    converted, origin = convert_backbone(backbone)
    for name, tensor in converted.items():
        renamed[f"backbone.body.{name}"] = (BACKBONE_PREFIX + origin[name], tensor)
    for key, tensor in state.items():
        if key.startswith(BACKBONE_PREFIX) or is_unused(key, blueprint.kind):
            continue
        original = alias_of(key, layers)
        if original is not None:
            if from_detector:
                continue
            if original not in state:
                problems.append(f"missing {original}")
            elif not torch.equal(state[original], tensor):
                problems.append(f"two different copies of {original}")
            continue
        name_here = our_name(key)
        if name_here is None:
            problems.append(f"surplus {key}")
        else:
            renamed[name_here] = (key, tensor)
    return renamed, problems
