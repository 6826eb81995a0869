"""Detectors in transformers' folders: `DetrForObjectDetection` and `DeformableDetrForObjectDetection`.

A folder has `config.json` and `model.safetensors`, as `save_pretrained` writes them and as the hub has the
authors' weights. Older releases spell parts of the names otherwise; both spellings are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from relforge.models.blocks.published_names import BACKBONE_PREFIX, Rule, rename_by
from relforge.models.blueprint import Blueprint
from relforge.models.zoo import family

KINDS = {"detr": "detr", "deformable_detr": "deformable_detr"}
"""`model_type` -> our kind."""

_DENSE_NORMS = {
    "encoder": {"self_attn": 1, "final": 2},
    "decoder": {"self_attn": 1, "encoder_attn": 2, "final": 3},
}
_NORMS = {
    "detr": _DENSE_NORMS,
    "deformable_detr": _DENSE_NORMS | {"decoder": {"self_attn": 2, "encoder_attn": 1, "final": 3}},
}
_CROSS = {"detr": "multihead_attn", "deformable_detr": "cross_attn"}

_PARTS: list[Rule] = [
    (r"^model\.level_embed$", "transformer.level_embed"),
    (r"^model\.reference_points\.", "transformer.reference_points."),
    (r"^model\.query_position_embeddings\.", "query_embed."),
    (r"^model\.input_proj(?:ection)?\.", "input_proj."),
    (r"^model\.decoder\.layernorm\.", "transformer.decoder.norm."),
    (r"^model\.decoder\.bbox_embed\.", "transformer.decoder.bbox_embed."),
    (r"^class_labels_classifier\.", "class_embed."),
    (r"^bbox_predictor\.", "bbox_embed."),
    (r"^(class_embed|bbox_embed)\.", r"\1."),
]
_LAYER = re.compile(r"^model\.(encoder|decoder)\.layers\.(\d+)\.(.*)$")
_NORM = re.compile(r"^(self_attn|encoder_attn|final)_layer_norm\.(weight|bias)$")
_FEEDFORWARD = re.compile(r"^(?:mlp\.)?fc([12])\.(weight|bias)$")
_ATTENTION = re.compile(r"^(self_attn|encoder_attn)\.(.*)$")
_QKV = re.compile(r"^([qkv])_proj\.(weight|bias)$")
_BACKBONE = re.compile(r"^model\.backbone\.(?:conv_encoder\.)?(?:model|backbone)\.(.*)$")
_DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
_COPY = re.compile(r"^(bbox_embed|class_embed)\.(\d+)\.")


def is_transformers_detector(folder: Path) -> bool:
    """Whether a folder holds a detector of transformers."""
    return _read_config(folder).get("model_type") in KINDS


def read_transformers_detector(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], Blueprint]:
    """The weights under their authors' names, those of a backbone under ours, and what to build.

    The backbone is a ResNet of transformers (our names) or one of timm (the authors').

    Raises:
        ValueError: a variant that the zoo does not have, naming the field of `config.json`; no weights.
    """
    config = _read_config(folder)
    kind = KINDS[config["model_type"]]
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ValueError(f"{folder} has no model.safetensors; save the model again with save_pretrained")
    blueprint = _blueprint_of(config, kind, folder)
    state: dict[str, Tensor] = {}
    backbone: dict[str, Tensor] = {}
    for key, tensor in load_file(weights).items():
        if match := _BACKBONE.match(key):
            ours = match[1].startswith(("embedder.", "encoder."))
            target, prefix = (backbone, "backbone.body.") if ours else (state, BACKBONE_PREFIX)
            if not match[1].endswith("num_batches_tracked"):
                target[prefix + match[1]] = tensor
        else:
            state[_published_name(key, kind)] = tensor
    state = _join_attention(state)
    if kind == "deformable_detr" and blueprint.sizes.refine:
        state |= _separate_heads(state, blueprint.sizes.decoder_layers)
    return state, backbone, blueprint


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _published_name(key: str, kind: str) -> str:
    match = _LAYER.match(key)
    if match is None:
        return rename_by(_PARTS, key) or key
    where, number, rest = match[1], match[2], match[3]
    if norm := _NORM.match(rest):
        rest = f"norm{_NORMS[kind][where][norm[1]]}.{norm[2]}"
    elif part := _FEEDFORWARD.match(rest):
        rest = f"linear{part[1]}.{part[2]}"
    elif attention := _ATTENTION.match(rest):
        name = _CROSS[kind] if attention[1] == "encoder_attn" else "self_attn"
        rest = f"{name}.{attention[2].replace('o_proj.', 'out_proj.')}"
    return f"transformer.{where}.layers.{number}.{rest}"


def _join_attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values of an attention as one matrix, as PyTorch has them."""
    joined: dict[str, Tensor] = {}
    for key, tensor in state.items():
        stem, _, last = key.rpartition("_proj.")
        if not stem.endswith((".q", ".k", ".v")) or f"{stem[:-1]}q_proj.{last}" not in state:
            joined[key] = tensor
        elif stem.endswith(".q"):
            parts = [state[f"{stem[:-1]}{letter}_proj.{last}"] for letter in "qkv"]
            joined[f"{stem[:-1]}in_proj_{last}"] = torch.cat(parts)
    return joined


def _separate_heads(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Heads that a file stores once because its layers share the tensor, or only inside the decoder."""
    found = {}
    for key, tensor in state.items():
        name = key.removeprefix("transformer.decoder.")
        if match := _COPY.match(name):
            found[name] = state.get(name, tensor)
            if match[2] == "0":
                for k in range(1, layers):
                    copy = f"{match[1]}.{k}.{name[match.end() :]}"
                    if copy not in state and f"transformer.decoder.{copy}" not in state:
                        found[copy] = tensor
    return found


def _blueprint_of(config: Mapping[str, Any], kind: str, folder: Path) -> Blueprint:
    where = folder / "config.json"
    _expect(config, where, "position_embedding_type", "sine")
    _expect(config, where, "dilation", False)
    _expect(config, where, "two_stage", False)
    _expect(config, where, "activation_function", "relu")
    _expect(config, where, "decoder_ffn_dim", config.get("encoder_ffn_dim"))
    _expect(config, where, "decoder_attention_heads", config.get("encoder_attention_heads"))
    entry = family(kind)
    defaults = entry.sizes()
    given = {
        "dim": config.get("d_model"),
        "heads": config.get("encoder_attention_heads"),
        "queries": config.get("num_queries"),
        "encoder_layers": config.get("encoder_layers"),
        "decoder_layers": config.get("decoder_layers"),
        "feedforward": config.get("encoder_ffn_dim"),
        "dropout": config.get("dropout"),
    }
    if kind == "deformable_detr":
        for field, wanted in (("encoder_n_points", 4), ("decoder_n_points", 4)):
            _expect(config, where, field, wanted)
        given |= {"levels": config.get("num_feature_levels"), "refine": config.get("with_box_refine")}
    sizes = entry.sizes(
        **{name: getattr(defaults, name) if value is None else value for name, value in given.items()}
    )
    return Blueprint(kind, sizes, _backbone_of(config, where), None, _class_names(config))


def _expect(config: Mapping[str, Any], where: Path, field: str, wanted: object) -> None:
    if config.get(field, wanted) != wanted:
        raise ValueError(f"{where}: {field} is {config[field]!r}; only {wanted!r} can be converted")


def _backbone_of(config: Mapping[str, Any], where: Path) -> str | dict[str, Any]:
    inner = config.get("backbone_config") or {}
    if inner.get("model_type") == "resnet":
        _expect(inner, where, "layer_type", "bottleneck")
        names = ("embedding_size", "hidden_sizes", "depths")
        return {"family": "resnet"} | {name: inner[name] for name in names}
    name = inner.get("backbone") or config.get("backbone") or "resnet50"
    if name == "resnet50":
        return "resnet50"
    if name in _DEPTHS:
        widths = [256, 512, 1024, 2048]
        return {
            "family": "resnet",
            "embedding_size": 64,
            "hidden_sizes": widths,
            "depths": list(_DEPTHS[name]),
        }
    raise ValueError(
        f"{where}: backbone is {name!r}; convert one of {', '.join(_DEPTHS)}, or transformers' ResNet"
    )


def _class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names by row; "unused 12" where COCO's list has no name, and for a name that occurs twice."""
    given = {int(row): str(name) for row, name in (config.get("id2label") or {}).items()}
    count = max(given, default=-1) + 1
    names: list[str] = []
    for row in range(count):
        name = given.get(row, "N/A")
        names.append(f"unused {row}" if name == "N/A" or name in names else name)
    return tuple(names)
