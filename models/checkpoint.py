"""Model folders: safetensors, a config to rebuild the model from, its tokenizer and a model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from relforge.models.blueprint import Blueprint
from relforge.models.size_limits import ModelTooLarge
from relforge.models.zoo import UntrustedFamily

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


@dataclass
class Loaded:
    """A model with weights, and where they came from.

    Args:
        model: in evaluation mode.
        blueprint: what it was built from.
        sha256: of the weights file.
    """

    model: nn.Module
    blueprint: Blueprint
    sha256: str


def save_model(
    folder: str | Path,
    model: nn.Module,
    blueprint: Blueprint,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    metrics: Mapping[str, Any] | None = None,
    made_by: str = "",
    data_hash: str = "",
    half: bool = False,
) -> str:
    """Write a model folder.

    Args:
        metrics: metrics for the card, name -> number.
        tokenizer: of the text encoder; None where there is none.
        made_by: the command that made the weights.
        data_hash: of what they were trained on.
        half: store weights as float16, half the size; they are loaded as float32.

    Returns:
        The sha256 of the weights file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        weights = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    save_file(weights, folder / WEIGHTS)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    digest = file_sha256(folder / WEIGHTS)
    config = blueprint.to_config() | {"weights_sha256": digest}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    (folder / CARD).write_text(_card(model, blueprint, digest, metrics or {}, made_by, data_hash))
    return digest


def load_model(folder: str | Path, *, trusted: str | None = None) -> Loaded:
    """Read a model folder.

    Args:
        folder: as `save_model` writes it.
        trusted: `package.module:NAME` of the user's own, which the folder may name as its family.

    Raises:
        UntrustedFamily: the folder names other code as its family.
        ValueError: a file is missing or damaged, or the weights do not fit the config, named.
    """
    folder = Path(folder)
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is no model folder: it has no {name}")
    try:
        config = json.loads((folder / CONFIG).read_text())
        blueprint = Blueprint.from_config(config, trusted=trusted)
    except UntrustedFamily as error:
        raise UntrustedFamily(f"{folder / CONFIG}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{folder / CONFIG} does not describe a model: {error!r}") from error
    digest = file_sha256(folder / WEIGHTS)
    if digest != config.get("weights_sha256"):
        raise ValueError(f"{folder / WEIGHTS} is not the file that {CONFIG} describes (sha256 {digest})")
    try:
        model = blueprint.build(load_tokenizer(folder, blueprint))
    except ModelTooLarge as error:
        raise ModelTooLarge(f"{folder / CONFIG}: {error}") from error
    weights = load_file(folder / WEIGHTS)
    expected = model.state_dict()
    problems = [f"missing {name}" for name in expected if name not in weights]
    problems += [f"surplus {name}" for name in weights if name not in expected]
    problems += [
        f"shape of {name}: {tuple(weights[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in weights and weights[name].shape != expected[name].shape
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise ValueError(f"{folder / WEIGHTS} does not fit {CONFIG}:\n  {listed}")
    model.load_state_dict(weights)
    return Loaded(model.eval(), blueprint, digest)


def load_tokenizer(folder: str | Path, blueprint: Blueprint) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a model folder, or of a hub name; None where the model has no text encoder."""
    if blueprint.text_encoder is None:
        return None
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return tokenizer


def file_sha256(path: str | Path) -> str:
    """Hash of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(
    model: nn.Module,
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
