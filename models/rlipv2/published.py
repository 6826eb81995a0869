"""Loads the `.pth` files that RLIPv2 published: safely, completely or not at all."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from relforge.models.blocks.backbone_keys import convert_backbone
from relforge.models.rlipv2.published_keys import BACKBONE_PREFIX, alias_of, is_unused, our_name


def read_published(path: str | Path) -> dict[str, Tensor]:
    """The weights of a published checkpoint file.

    The file is read with `weights_only`, so nothing in it is executed. The files hold the training
    arguments as an `argparse.Namespace`, the one class besides tensors that is let through.

    Raises:
        ValueError: the file holds other objects than weights, or no `model` entry.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises many kinds
        raise ValueError(f"{path}: not a checkpoint of plain weights ({error})") from error
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a dictionary of weights under 'model'")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_published(
    model: nn.Module, state: Mapping[str, Tensor], *, kind: str, decoder_layers: int = 3
) -> None:
    """Copy published weights into a model of the family, in place.

    Args:
        model: built with the sizes of the checkpoint.
        state: name -> tensor, as `read_published` returns it.
        kind: a key of `relforge.models.rlipv2.builders.MODELS`.
        decoder_layers: layers of each decoder, which the numbering of the box heads depends on.

    Raises:
        ValueError: keys are missing, surplus, of another shape, or two copies of a box head differ; the
            message lists them all.
    """
    wanted = model.state_dict()
    found: dict[str, Tensor] = {}
    problems: list[str] = []
    for name, key, tensor in _renamed(state, kind, decoder_layers, problems):
        if name not in wanted:
            problems.append(f"surplus {key}")
        elif wanted[name].shape != tensor.shape:
            problems.append(f"shape of {key}: {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}")
        else:
            found[name] = tensor
    failed = {problem.split()[-1] for problem in problems}
    problems += [f"missing {name}" for name in wanted if name not in found and name not in failed]
    if problems:
        listed = "\n  ".join(sorted(problems))
        raise ValueError(f"the checkpoint is not a {kind} of these sizes:\n  {listed}")
    model.load_state_dict(found)


def _renamed(
    state: Mapping[str, Tensor], kind: str, decoder_layers: int, problems: list[str]
) -> list[tuple[str, str, Tensor]]:
    """(our name, published name, tensor) of every entry that is used."""
    out = []
    backbone = {
        key.removeprefix(BACKBONE_PREFIX): value
        for key, value in state.items()
        if key.startswith(BACKBONE_PREFIX)
    }
    converted, origin = convert_backbone(backbone)
    for name, tensor in converted.items():
        out.append((f"backbone.body.{name}", BACKBONE_PREFIX + origin[name], tensor))
    for key, tensor in state.items():
        if key.startswith(BACKBONE_PREFIX) or is_unused(key, kind):
            continue
        original = alias_of(key, decoder_layers)
        if original is not None:
            if original not in state:
                problems.append(f"missing {original}")
            elif not torch.equal(state[original], tensor):
                problems.append(f"two different copies of {original}")
            continue
        renamed = our_name(key)
        if renamed is None:
            problems.append(f"surplus {key}")
        else:
            out.append((renamed, key, tensor))
    return out
