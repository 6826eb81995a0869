"""Activations of layers that are computed again in the backward pass instead of being kept.

Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016: memory of about one layer's activations and
every layer's input, for one more forward pass. Random numbers are drawn again as they were, so gradients are
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from relforge.models.blocks.text import TextEncoder

_LISTS = ("layers", "blocks", "fusions", "language_layers")
"""Names of the lists that hold a network's layers, ours and transformers'."""


def find_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of a model's encoders, decoders and backbone, and its text encoder as one layer: it comes
    first, so that its backward pass comes when all others are done."""
    found: list[nn.Module] = []
    for name, module in model.named_children():
        if isinstance(module, TextEncoder):
            found.append(module)
        elif name in _LISTS and isinstance(module, nn.ModuleList | nn.Sequential):
            for layer in module:
                found += find_layers(layer) or ([layer] if _has_parts(layer) else [])
        else:
            found += find_layers(module)
    return found


@contextmanager
def checkpoint_activations(model: nn.Module) -> Iterator[None]:
    """Within it, the layers of `find_layers` keep only their inputs."""
    layers = find_layers(model)
    for layer in layers:
        name = "encode" if isinstance(layer, TextEncoder) else "forward"
        setattr(layer, name, partial(_run, getattr(layer, name)))
    try:
        yield
    finally:
        for layer in layers:
            delattr(layer, "encode" if isinstance(layer, TextEncoder) else "forward")


def _run(compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return compute(*args, **kwargs)
    return checkpoint(compute, *args, use_reentrant=False, **kwargs)


def _has_parts(layer: nn.Module) -> bool:
    """Whether it is more than a linear layer or an activation."""
    return any(True for _ in layer.children())
