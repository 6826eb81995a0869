"""Loads models from wherever a user names them, the `.pth` files of their authors included: safely, and
completely or not at all."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import Loaded, file_sha256, load_model
from relforge.models.detectors import (
    COCO_CATEGORIES,
    detector_tables,
    is_deformable_detr,
    spread_over_roles,
)
from relforge.models.detr_detectors import detr_weights, is_detr
from relforge.models.files import PUBLISHED_SUFFIXES, resolve_model
from relforge.models.transformers_detectors import is_transformers_detector, read_transformers_detector
from relforge.models.zoo import MODELS, family


def load_pretrained(
    model: str, *, tokenizer: str = "roberta-base", gate: str | None = None, trusted: str | None = None
) -> Loaded:
    """Load a model of the zoo.

    Args:
        model: folder written by `save_model` or, of a detector, by transformers, hub name of such a folder,
            or a `.pth` file as its authors published it.
        tokenizer: folder or hub name, for a `.pth`, which holds none.
        gate: for a `.pth`, where scalar and vector gates have equal keys: by default `vector` on ResNet
            and `scalar` on Swin, as released.
        trusted: `package.module:NAME` of the user's own, which a folder may name as its family.

    Raises:
        FileNotFoundError: there is no such model.
        UntrustedFamily: a folder names other code as its family.
        ValueError: it is damaged, or of no model of the zoo.
    """
    path = resolve_model(model).path
    if path.suffix not in PUBLISHED_SUFFIXES:
        if is_transformers_detector(path):
            return _load_transformers_detector(path)
        return load_model(path, trusted=trusted)
    state = read_published(path)
    blueprint = published_blueprint(state, gate)
    if blueprint is None:
        raise ValueError(f"{path} holds the weights of no model of the zoo ({', '.join(MODELS)})")
    built = blueprint.build(None if blueprint.text_encoder is None else _tokenizer(tokenizer))
    load_published(built, state, blueprint)
    return Loaded(built.eval(), blueprint, file_sha256(path))


def read_published(path: str | Path) -> dict[str, Tensor]:
    """The weights of a checkpoint file.

    The file is read with `weights_only`, so nothing in it is executed. The files hold the training
    arguments as an `argparse.Namespace`, the one class besides tensors that is let through.

    Raises:
        ValueError: the file holds other objects than weights, or no `model` (DEFR: `model_state_dict`) entry.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises many kinds
        raise ValueError(f"{path}: not a checkpoint of plain weights ({error})") from error
    state = (
        content.get("model", content.get("model_state_dict", content)) if isinstance(content, dict) else None
    )
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a dictionary of weights under 'model' or 'model_state_dict'")
    return {key.removeprefix("module."): value for key, value in state.items()}


def published_blueprint(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a checkpoint was built from, by the first model that recognises it; None if none does."""
    for name in MODELS:
        reader = family(name).published
        if reader is not None and (found := reader.blueprint(state, gate)) is not None:
            return found
    return None


def _load_transformers_detector(folder: Path) -> Loaded:
    state, backbone, blueprint = read_transformers_detector(folder)
    built = blueprint.build(None)
    load_published(built, state, blueprint, backbone)
    return Loaded(built.eval(), blueprint, file_sha256(folder / "model.safetensors"))


def load_published(
    model: nn.Module,
    state: Mapping[str, Tensor],
    blueprint: Blueprint,
    renamed: Mapping[str, Tensor] | None = None,
) -> None:
    """Copy published weights into a model, in place.

    Args:
        model: built from `blueprint`.
        state: name -> tensor, as `read_published` returns it.
        renamed: further weights, under our names already.

    Raises:
        ValueError: keys are missing, surplus, of another shape, or two copies of a tensor differ; the
            message lists them all.
    """
    expected = model.state_dict()
    ours, problems = _rename(state, blueprint)
    ours |= {name: (name, tensor) for name, tensor in (renamed or {}).items()}
    found: dict[str, Tensor] = {}
    for name, (key, tensor) in ours.items():
        if name not in expected:
            problems.append(f"surplus {key}")
        elif expected[name].shape != tensor.shape:
            problems.append(f"shape of {key}: {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
        else:
            found[name] = tensor
    failed = {problem.split()[-1] for problem in problems}
    problems += [f"missing {name}" for name in expected if name not in found and name not in failed]
    if problems:
        listed = "\n  ".join(sorted(problems))
        raise ValueError(f"the checkpoint is not a {blueprint.kind} of these sizes:\n  {listed}")
    model.load_state_dict(found)


def start_from_detector(
    model: nn.Module,
    state: Mapping[str, Tensor],
    blueprint: Blueprint,
    keep_random: Sequence[str] = (),
    rows_of: Mapping[str, int] = COCO_CATEGORIES,
) -> int:
    """Copy what fits of a detector, in place; the rest stays random.

    The detector is a DETR or a Deformable DETR, or one that was converted to the model's published names.
    Such files have no text encoder and no fusion, they have layers and class heads that the model has not,
    and the two copies of a box head in converted ones may differ on purpose: the copy at the top level
    counts.

    Args:
        state: name -> tensor, the authors' names.
        keep_random: prefixes of our names that stay random all the same.
        rows_of: the detector's classes, name -> row of its class heads.

    Returns:
        How many tensors were copied.

    Raises:
        ValueError: nothing fits, or nothing has one of the prefixes.
    """
    expected = model.state_dict()
    for prefix in keep_random:
        if not any(name.startswith(prefix) for name in expected):
            raise ValueError(f"model.keep_random: a {blueprint.kind} has no part {prefix!r}")
    tables: dict[str, Tensor] = {}
    if is_detr(state):
        tables = detr_weights(state, expected, blueprint.classes, blueprint.sizes.pairs, rows_of)
        state = {}
    elif is_deformable_detr(state):
        tables = detector_tables(state, expected, blueprint.classes, rows_of)
        state = spread_over_roles(state)
    renamed, _ = _rename(state, blueprint)
    found = tables | {
        name: tensor
        for name, (_, tensor) in renamed.items()
        if name in expected and expected[name].shape == tensor.shape
    }
    found = {name: tensor for name, tensor in found.items() if not name.startswith(tuple(keep_random))}
    if not found:
        raise ValueError(f"no weight of the checkpoint fits a {blueprint.kind} of these sizes")
    model.load_state_dict(expected | found)
    return len(found)


def start_from_boxes(
    model: nn.Module, detector: Loaded, blueprint: Blueprint, keep_random: Sequence[str] = ()
) -> int:
    """The same from a detector of the zoo; another kind of detector takes its backbone alone."""
    expected = model.state_dict()
    backbone = {
        name: tensor
        for name, tensor in detector.model.state_dict().items()
        if name.startswith("backbone.") and name in expected and expected[name].shape == tensor.shape
    }
    model.load_state_dict(expected | backbone)
    if family(blueprint.kind).targets == "boxes" and backbone:
        return len(backbone)
    reader = family(detector.blueprint.kind).published
    if reader is None or reader.published_names is None:
        raise ValueError(
            f"{detector.blueprint.kind} cannot start another model: it states no published names"
        )
    state = reader.published_names(detector.model.state_dict())
    rows_of = {name: row for row, name in enumerate(detector.blueprint.classes)}
    return len(backbone) + start_from_detector(model, state, blueprint, keep_random, rows_of)


def _rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    reader = family(blueprint.kind).published
    if reader is None:
        raise ValueError(f"there are no published files of {blueprint.kind}")
    return reader.rename(state, blueprint)


def _tokenizer(name: str) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    return tokenizer
