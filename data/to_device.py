"""Targets of a batch on the device of the model, in one copy that the host does not wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from relforge.models.gpu import upload


def move_together(device: torch.device, *groups: Sequence[Any]) -> list[list[Any]]:
    """Every group with its tensors on the device.

    Args:
        groups: of tensors, of None, or of dataclasses with tensors and None in their fields.
    """
    tensors = [tensor for group in groups for one in group for tensor in _tensors(one)]
    if all(tensor.device == device for tensor in tensors):
        return [list(group) for group in groups]
    moved = iter(upload(device, *tensors))
    return [[_rebuild(one, moved) for one in group] for group in groups]


def _tensors(value: Any) -> list[Tensor]:
    if value is None or isinstance(value, Tensor):
        return [] if value is None else [value]
    return [tensor for field in fields(value) for tensor in _tensors(getattr(value, field.name))]


def _rebuild(value: Any, moved: Any) -> Any:
    """The same with the next of the moved tensors in the places of its own."""
    if value is None or isinstance(value, Tensor):
        return None if value is None else next(moved)
    return replace(
        value, **{field.name: _rebuild(getattr(value, field.name), moved) for field in fields(value)}
    )
