"""The sizes of a BLIP captioner, from whichever file states them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from relforge.models.size_limits import check_numbers


@dataclass(frozen=True)
class VisionShape:
    """A pre-norm ViT whose output passes one more layer norm."""

    image_size: int  # pixels, square
    patch_size: int
    width: int
    depth: int
    heads: int
    eps: float
    act: str = "gelu"

    @property
    def tokens(self) -> int:
        """Image tokens: the class token and one per patch."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclass(frozen=True)
class TextShape:
    """A post-norm BERT decoder with cross-attention in every layer."""

    width: int
    depth: int
    heads: int
    vocabulary: int
    positions: int
    bos: int  # first token of every caption, [DEC]
    eos: int  # [SEP]
    pad: int
    eps: float = 1e-12
    act: str = "gelu"


@dataclass(frozen=True)
class BlipShape:
    """Everything the arithmetic needs besides the weights."""

    vision: VisionShape
    text: TextShape


_VISION: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 384,
}
_VISION |= {"patch_size": 16, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
_TEXT: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "vocab_size": 30524,
}
_TEXT |= {"max_position_embeddings": 512, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
_TEXT |= {"bos_token_id": 30522, "sep_token_id": 102, "pad_token_id": 0}


def from_config(config: Mapping[str, Any]) -> BlipShape:
    """From a transformers `config.json` of model type `blip`.

    Absent keys take the defaults of transformers' `BlipConfig`, which is not imported: the LAVIS
    environment's transformers has none.

    Raises:
        ValueError: another model type, or a number too large to be meant.
    """
    if config.get("model_type") != "blip":
        raise ValueError(
            f"model type {config.get('model_type')!r} is not blip; use the backend `transformers` for it"
        )
    check_numbers({name: config.get(name) for name in ("vision_config", "text_config")})
    vision = _VISION | dict(config.get("vision_config") or {})
    text = _TEXT | dict(config.get("text_config") or {})
    return BlipShape(
        VisionShape(
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            width=vision["hidden_size"],
            depth=vision["num_hidden_layers"],
            heads=vision["num_attention_heads"],
            eps=vision["layer_norm_eps"],
            act=vision["hidden_act"],
        ),
        TextShape(
            width=text["hidden_size"],
            depth=text["num_hidden_layers"],
            heads=text["num_attention_heads"],
            vocabulary=text["vocab_size"],
            positions=text["max_position_embeddings"],
            bos=text["bos_token_id"],
            eos=text["sep_token_id"],
            pad=text["pad_token_id"],
            eps=text["layer_norm_eps"],
            act=text["hidden_act"],
        ),
    )


def from_weights(state: Mapping[str, Tensor]) -> BlipShape:
    """From the tensors of an original checkpoint, which carries no configuration.

    The published models have heads 64 wide, a bert-base-uncased vocabulary with [DEC] and [ENC] behind it
    and, unlike transformers' default, vision norms with eps 1e-6 (BLIP `models/vit.py`).

    Args:
        state: tensors under transformers' names (`names.rename_to_transformers`).
    """
    patch = state["vision_model.embeddings.patch_embedding.weight"]  # width x 3 x P x P
    grid = round((state["vision_model.embeddings.position_embedding"].shape[1] - 1) ** 0.5)
    words = state["text_decoder.bert.embeddings.word_embeddings.weight"]  # vocabulary x width
    return BlipShape(
        VisionShape(
            image_size=grid * patch.shape[-1],
            patch_size=patch.shape[-1],
            width=patch.shape[0],
            depth=_depth(state, "vision_model.encoder.layers."),
            heads=max(1, patch.shape[0] // 64),
            eps=1e-6,
        ),
        TextShape(
            width=words.shape[1],
            depth=_depth(state, "text_decoder.bert.encoder.layer."),
            heads=max(1, words.shape[1] // 64),
            vocabulary=words.shape[0],
            positions=state["text_decoder.bert.embeddings.position_embeddings.weight"].shape[0],
            bos=words.shape[0] - 2,
            eos=102,
            pad=0,
        ),
    )


def _depth(state: Mapping[str, Tensor], prefix: str) -> int:
    numbers = {int(m[1]) for name in state if (m := re.match(re.escape(prefix) + r"(\d+)\.", name))}
    return len(numbers)
