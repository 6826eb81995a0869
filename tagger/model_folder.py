"""A model on disk: `config.json` (how to build it), `model.safetensors`, `tokenizer.json`, `card.json`.

Everything is plain JSON and safetensors: loading runs no code of the file's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from relforge.tagger import backbone as backbones
from relforge.tagger.builders import MODELS
from relforge.tagger.model import RelationModel
from relforge.tagger.sizes import Sizes
from relforge.tagger.text import TextEncoder

FILES = ("config.json", "model.safetensors", "tokenizer.json")
_MAKERS: dict[str, Callable[..., backbones.Backbone]] = {
    "resnet": backbones.resnet,
    "swin": backbones.swin,
    **backbones.BACKBONES,
}


def build(config: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast) -> RelationModel:
    """A model with fresh weights.

    Args:
        config: `kind` (a key of `MODELS`), `sizes` (fields of `Sizes`), `backbone` (`name`, and for
            `resnet` and `swin` their arguments), `text` (`model`: a Hugging Face config with its
            `model_type`; `max_tokens`).
        tokenizer: of the text encoder.

    Raises:
        ValueError: an unknown kind, backbone or size, naming the choices.
    """
    kind, backbone = config["kind"], dict(config["backbone"])
    if kind not in MODELS:
        raise ValueError(f"model.kind: {kind!r} is not one of {', '.join(MODELS)}")
    name = backbone.pop("name")
    if name not in _MAKERS:
        raise ValueError(f"model.backbone.name: {name!r} is not one of {', '.join(_MAKERS)}")
    unknown = set(config["sizes"]) - set(Sizes.__dataclass_fields__)
    if unknown:
        raise ValueError(
            f"model.sizes: unknown {sorted(unknown)}; use {', '.join(Sizes.__dataclass_fields__)}"
        )
    text = dict(config["text"]["model"])
    encoder = AutoModel.from_config(AutoConfig.for_model(text.pop("model_type"), **text))
    return MODELS[kind](
        _MAKERS[name](**backbone),
        TextEncoder(
            encoder,
            lambda label: tokenizer(label)["input_ids"],
            pad=int(tokenizer.pad_token_id or 0),
            max_tokens=config["text"].get("max_tokens", 64),
        ),
        Sizes(**config["sizes"]),
    )


def save(
    folder: Path,
    model: RelationModel,
    config: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerFast,
    card: Mapping[str, Any],
    *,
    half: bool = False,
) -> None:
    """Write a model folder.

    Args:
        card: what made it and how good it is: command, seed, data hash, metrics.
        half: store floating-point weights as float16 (half the size; read back as float32).
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    save_file(state, folder / "model.safetensors")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    sizes = asdict(Sizes(**config["sizes"]))
    (folder / "config.json").write_text(json.dumps({**config, "sizes": sizes}, indent=1, default=list) + "\n")
    (folder / "card.json").write_text(json.dumps(card, indent=1, default=list) + "\n")


def load(folder: Path) -> tuple[RelationModel, dict[str, Any]]:
    """Read a model folder.

    Returns:
        The model in evaluation mode, float32, and its config.

    Raises:
        FileNotFoundError: a file of the folder is missing, naming it.
        ValueError: keys that the model lacks or the file does, listed.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: no {name}; a model folder has {', '.join(FILES)}")
    config = json.loads((folder / "config.json").read_text())
    model = build(config, load_tokenizer(folder / "tokenizer.json"))
    state = {
        name: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    own = model.state_dict()
    missing, surplus = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    misshapen = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or surplus or misshapen:
        raise ValueError(
            f"{folder / 'model.safetensors'} does not fit its config: missing {missing}, "
            f"surplus {surplus}, other shapes {sorted(misshapen)}"
        )
    model.load_state_dict(state)
    return model.eval(), config


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """A `tokenizer.json` with the special tokens of RoBERTa's names."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(path), bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
