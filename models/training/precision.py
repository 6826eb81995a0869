"""Losses and matching in float32, whatever autocast the model runs under.

Under autocast the products of matching costs are of 8 bits of mantissa: costs tie, and the assignment flips
(DETR, too, computes both outside of it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Any])
_HALF = (torch.bfloat16, torch.float16)


def in_float32(function: F) -> F:
    """The function with autocast off, its half-precision tensors as float32.

    Args:
        function: of tensors, or of dataclasses, lists, tuples and mappings of them.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = as_float32(args), as_float32(kwargs)
        with _without_autocast("cpu"), _without_autocast("cuda"):
            return function(*args, **kwargs)

    return cast(F, run)


def as_float32(value: Any) -> Any:
    """The same with float32 in place of bfloat16 and float16; what holds neither stays the same object."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _HALF else value
    if type(value) in (list, tuple):
        parts = [as_float32(part) for part in value]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, Mapping):
        found = {name: as_float32(part) for name, part in value.items()}
        return value if all(found[name] is part for name, part in value.items()) else found
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        changed = {name: new for name, old in found.items() if (new := as_float32(old)) is not old}
        return replace(value, **changed) if changed else value
    return value


def _without_autocast(device: str) -> Any:
    enabled = torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if enabled else nullcontext()
