"""Tensor names: the original BLIP and LAVIS checkpoints in transformers' terms, and the full list a model
needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from relforge.models.blip.shape import BlipShape

_RENAMES = [
    (r"^visual_encoder\.cls_token$", "vision_model.embeddings.class_embedding"),
    (r"^visual_encoder\.pos_embed$", "vision_model.embeddings.position_embedding"),
    (r"^visual_encoder\.patch_embed\.proj\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual_encoder\.norm\.", "vision_model.post_layernorm."),
    (r"^visual_encoder\.blocks\.(\d+)\.norm(\d)\.", r"vision_model.encoder.layers.\1.layer_norm\2."),
    (r"^visual_encoder\.blocks\.(\d+)\.attn\.qkv\.", r"vision_model.encoder.layers.\1.self_attn.qkv."),
    (
        r"^visual_encoder\.blocks\.(\d+)\.attn\.proj\.",
        r"vision_model.encoder.layers.\1.self_attn.projection.",
    ),
    (r"^visual_encoder\.blocks\.(\d+)\.mlp\.", r"vision_model.encoder.layers.\1.mlp."),
]

_OTHER_HEADS = re.compile(
    r"^(text_encoder|text_encoder_m|visual_encoder_m|vision_proj(_m)?|text_proj(_m)?|itm_head|temp$"
    r"|image_queue|text_queue|idx_queue|queue_ptr|ptr_queue|combined_vision_proj|combined_text_proj)"
)
"""Parts of the pre-training checkpoints (`model_base_capfilt_large`, `model_large`) that captioning leaves
out: the contrastive and matching heads, the momentum copies and their queues."""

_BUFFER = re.compile(r"\.position_ids$")  # an arange that older checkpoints stored


def rename_to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The captioner's tensors under the names transformers' `BlipForConditionalGeneration` uses.

    Accepts that layout itself and the original BLIP / LAVIS one (`visual_encoder.*`, `text_decoder.*`); other
    heads of a pre-training checkpoint are left out.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if _BUFFER.search(name) or _OTHER_HEADS.match(name):
            continue
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    head = "text_decoder.cls.predictions."
    words = "text_decoder.bert.embeddings.word_embeddings.weight"
    # the output layer shares the input's weights, so a file may hold either or both
    if head + "decoder.weight" not in renamed and words in renamed:
        renamed[head + "decoder.weight"] = renamed[words]
    bias = renamed.pop(head + "decoder.bias", None)
    if bias is not None:
        renamed.setdefault(head + "bias", bias)
    return renamed


def rename_to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse: tensors under transformers' names as BLIP's and LAVIS's own classes name them."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = re.sub(r"^vision_model\.embeddings\.class_embedding$", "visual_encoder.cls_token", name)
        name = re.sub(r"^vision_model\.embeddings\.position_embedding$", "visual_encoder.pos_embed", name)
        name = name.replace("vision_model.embeddings.patch_embedding.", "visual_encoder.patch_embed.proj.")
        name = name.replace("vision_model.post_layernorm.", "visual_encoder.norm.")
        name = re.sub(r"^vision_model\.encoder\.layers\.(\d+)\.", r"visual_encoder.blocks.\1.", name)
        if name.startswith("visual_encoder.blocks."):
            name = name.replace(".layer_norm", ".norm").replace(".self_attn.projection.", ".attn.proj.")
            name = name.replace(".self_attn.", ".attn.")
        renamed[name] = tensor
    renamed["text_decoder.cls.predictions.decoder.bias"] = state["text_decoder.cls.predictions.bias"]
    return renamed


def list_tensors(shape: BlipShape) -> dict[str, tuple[int, ...]]:
    """Name -> size of every tensor a captioner of that shape has."""
    v, t = shape.vision, shape.text
    names: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (1, 1, v.width),
        "vision_model.embeddings.position_embedding": (1, v.tokens, v.width),
        "vision_model.embeddings.patch_embedding.weight": (v.width, 3, v.patch_size, v.patch_size),
        "vision_model.embeddings.patch_embedding.bias": (v.width,),
        "text_decoder.bert.embeddings.word_embeddings.weight": (t.vocabulary, t.width),
        "text_decoder.bert.embeddings.position_embeddings.weight": (t.positions, t.width),
        "text_decoder.cls.predictions.decoder.weight": (t.vocabulary, t.width),
        "text_decoder.cls.predictions.bias": (t.vocabulary,),
    }
    _norm(names, "vision_model.post_layernorm", v.width)
    _norm(names, "text_decoder.bert.embeddings.LayerNorm", t.width)
    _linear(names, "text_decoder.cls.predictions.transform.dense", t.width, t.width)
    _norm(names, "text_decoder.cls.predictions.transform.LayerNorm", t.width)
    for n in range(v.depth):
        layer = f"vision_model.encoder.layers.{n}."
        _norm(names, layer + "layer_norm1", v.width)
        _linear(names, layer + "self_attn.qkv", 3 * v.width, v.width)
        _linear(names, layer + "self_attn.projection", v.width, v.width)
        _norm(names, layer + "layer_norm2", v.width)
        _linear(names, layer + "mlp.fc1", -1, v.width)
        _linear(names, layer + "mlp.fc2", v.width, -1)
    for n in range(t.depth):
        layer = f"text_decoder.bert.encoder.layer.{n}."
        for block, source in (("attention", t.width), ("crossattention", v.width)):
            _linear(names, f"{layer}{block}.self.query", t.width, t.width)
            _linear(names, f"{layer}{block}.self.key", t.width, source)
            _linear(names, f"{layer}{block}.self.value", t.width, source)
            _linear(names, f"{layer}{block}.output.dense", t.width, t.width)
            _norm(names, f"{layer}{block}.output.LayerNorm", t.width)
        _linear(names, layer + "intermediate.dense", -1, t.width)
        _linear(names, layer + "output.dense", t.width, -1)
        _norm(names, layer + "output.LayerNorm", t.width)
    return names


def _linear(names: dict[str, tuple[int, ...]], name: str, rows: int, columns: int) -> None:
    """-1: the feed-forward width, which follows from the weights."""
    names[name + ".weight"] = (rows, columns)
    names[name + ".bias"] = (rows,)


def _norm(names: dict[str, tuple[int, ...]], name: str, width: int) -> None:
    names[name + ".weight"] = (width,)
    names[name + ".bias"] = (width,)
