"""The checkpoints of DEFR's release (github.com/drjinying/hts).

They hold no class names: the classes are `interaction 0`, `interaction 1`, ..., in HICO's order.
`logit_scale` says whether features are normalised, so it is part of what a model is built from.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from relforge.models.blocks.published_names import Rule, count_layers, rename_by, unnamed
from relforge.models.blueprint import Blueprint
from relforge.models.defr.names import OPENAI_RULES, TIMM_RULES, as_ours
from relforge.models.defr.sizes import Sizes

_TIMM, _CLIP = "vit.", "visual_encoder.visual."
_HEAD_WIDTH = 64
_HEAD_RULES: list[Rule] = [
    (r"^logit_scale$", "head.log_scale"),
    (r"^classifier(?:\.weight)?$", "head.rows"),
    (r"^classifier\.bias$", "head.bias"),
    (r"^m_classifier$", "head.mixture"),
]


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model."""
    clip = f"{_CLIP}conv1.weight" in state
    rows = state.get("classifier", state.get("classifier.weight"))
    if rows is None or "logit_scale" not in state or not (clip or f"{_TIMM}pos_embed" in state):
        return None
    prefix = _CLIP if clip else _TIMM
    patches = state[f"{prefix}conv1.weight" if clip else f"{prefix}patch_embed.proj.weight"]
    positions = state[f"{prefix}positional_embedding" if clip else f"{prefix}pos_embed"]
    width, patch = patches.shape[0], patches.shape[2]
    projection = state.get(f"{_CLIP}proj")
    first = "transformer.resblocks.0.mlp.c_fc" if clip else "blocks.0.mlp.fc1"
    sizes = Sizes(
        image=patch * round((positions.shape[-2] - 1) ** 0.5),
        patch=patch,
        width=width,
        layers=count_layers(state, f"{prefix}transformer.resblocks." if clip else f"{prefix}blocks."),
        heads=max(1, width // _HEAD_WIDTH),
        feedforward=len(state[f"{prefix}{first}.bias"]),
        style="clip" if clip else "imagenet",
        head="mixed" if "m_classifier" in state else "linear" if "classifier.bias" in state else "cosine",
        projection=0 if projection is None else projection.shape[1],
        log_scale=float(state["logit_scale"]),
    )
    return Blueprint(
        "defr",
        sizes,
        None,
        None,
        interactions=tuple((name, "object") for name in unnamed("interaction", len(rows))),
    )


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries under our names, and those that no DEFR has."""
    prefix, rules = (_CLIP, OPENAI_RULES) if blueprint.sizes.style == "clip" else (_TIMM, TIMM_RULES)
    renamed: dict[str, tuple[str, Tensor]] = {}
    problems: list[str] = []
    for key, tensor in state.items():
        if key.startswith(prefix):
            inner = rename_by(rules, key.removeprefix(prefix))
            name = None if inner is None else f"vit.{inner}"
        else:
            name = rename_by(_HEAD_RULES, key)
        if name is None:
            problems.append(f"surplus {key}")
            continue
        tensor = as_ours(name, tensor)
        renamed[name] = (key, tensor.T if name == "vit.projection.weight" else tensor)
    return renamed, problems
