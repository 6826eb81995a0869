"""Model folders: safetensors, a config to rebuild the model from, its tokenizer and a model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.text import TextEncoder
from relforge.models.rlipv2.builders import MODELS
from relforge.models.rlipv2.model import RelationModel
from relforge.models.rlipv2.sizes import Sizes

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


@dataclass
class Blueprint:
    """All that a model is built from but its weights.

    Args:
        kind: a key of `MODELS`.
        sizes: widths, depths, switches.
        backbone: a key of `BACKBONES`, or `{"family": "resnet" | "swin", ...}` with its builder's arguments.
        text_encoder: the Hugging Face config of the text encoder, as a dictionary with `model_type`.
        classes: object names the model was trained on, the default of who uses it; may be empty.
    """

    kind: str
    sizes: Sizes
    backbone: str | Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    classes: Sequence[str] = field(default_factory=tuple)

    def build(self, tokenizer: PreTrainedTokenizerBase) -> RelationModel:
        """A model with random weights.

        Raises:
            ValueError: an unknown model or backbone.
        """
        if self.kind not in MODELS:
            raise ValueError(f"unknown model {self.kind!r}; choose one of {', '.join(MODELS)}")
        body = AutoModel.from_config(AutoConfig.for_model(**self.text_encoder))
        return MODELS[self.kind](
            build_backbone(self.backbone), wrap_text_encoder(body, tokenizer), self.sizes
        )


@dataclass
class Loaded:
    """A model with weights, and where they came from.

    Args:
        model: in evaluation mode.
        blueprint: what it was built from.
        sha256: of the weights file.
    """

    model: RelationModel
    blueprint: Blueprint
    sha256: str


def wrap_text_encoder(body: Any, tokenizer: PreTrainedTokenizerBase) -> TextEncoder:
    """A Hugging Face encoder and its tokenizer as the family's text encoder."""
    return TextEncoder(
        body, lambda label: tokenizer(label)["input_ids"], pad=int(tokenizer.pad_token_id or 0)
    )


def save_model(
    folder: str | Path,
    model: RelationModel,
    blueprint: Blueprint,
    tokenizer: PreTrainedTokenizerBase,
    *,
    metrics: Mapping[str, Any] | None = None,
    made_by: str = "",
    data_hash: str = "",
    half: bool = False,
) -> str:
    """Write a model folder.

    Args:
        metrics: figures for the card, name -> number.
        made_by: the command that made the weights.
        data_hash: of what they were trained on.
        half: store weights as float16, half the size; they are computed in float32 all the same.

    Returns:
        The sha256 of the weights file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        weights = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    save_file(weights, folder / WEIGHTS)
    tokenizer.save_pretrained(folder)
    digest = file_sha256(folder / WEIGHTS)
    config = {
        "model": blueprint.kind,
        "sizes": asdict(blueprint.sizes),
        "backbone": blueprint.backbone,
        "text_encoder": dict(blueprint.text_encoder),
        "classes": list(blueprint.classes),
        "weights_sha256": digest,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    (folder / CARD).write_text(_card(model, blueprint, digest, metrics or {}, made_by, data_hash))
    return digest


def load_model(folder: str | Path) -> Loaded:
    """Read a model folder.

    Raises:
        ValueError: a file is missing or damaged, or the weights do not fit the config; says which.
    """
    folder = Path(folder)
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is no model folder: it has no {name}")
    try:
        config = json.loads((folder / CONFIG).read_text())
        blueprint = Blueprint(
            config["model"],
            Sizes(**config["sizes"]),
            config["backbone"],
            config["text_encoder"],
            tuple(config["classes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} does not describe a model: {error!r}") from error
    digest = file_sha256(folder / WEIGHTS)
    if digest != config.get("weights_sha256"):
        raise ValueError(f"{folder / WEIGHTS} is not the file that {CONFIG} describes (sha256 {digest})")
    model = blueprint.build(AutoTokenizer.from_pretrained(folder))
    weights = load_file(folder / WEIGHTS)
    wanted = model.state_dict()
    problems = [f"missing {name}" for name in wanted if name not in weights]
    problems += [f"surplus {name}" for name in weights if name not in wanted]
    problems += [
        f"shape of {name}: {tuple(weights[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in wanted
        if name in weights and weights[name].shape != wanted[name].shape
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise ValueError(f"{folder / WEIGHTS} does not fit {CONFIG}:\n  {listed}")
    model.load_state_dict(weights)
    return Loaded(model.eval(), blueprint, digest)


def file_sha256(path: str | Path) -> str:
    """Hash of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(
    model: RelationModel,
    blueprint: Blueprint,
    digest: str,
    metrics: Mapping[str, Any],
    made_by: str,
    data_hash: str,
) -> str:
    parameters = sum(p.numel() for p in model.parameters())
    sizes = "\n".join(f"| {name} | {value} |" for name, value in asdict(blueprint.sizes).items())
    figures = "\n".join(f"| {name} | {value} |" for name, value in metrics.items()) or "| - | - |"
    return f"""# {blueprint.kind}

{parameters:,} parameters, backbone `{json.dumps(blueprint.backbone)}`.

* weights: sha256 `{digest}`
* made by: `{made_by or "not recorded"}`
* data: `{data_hash or "not recorded"}`

| metric | value |
|---|---|
{figures}

| size | value |
|---|---|
{sizes}
"""
