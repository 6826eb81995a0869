"""The optimiser, its learning-rate schedule, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BACKBONE_PREFIXES = ("backbone.", "text_encoder.")
"""Parameters under these names are pre-trained and learn at their own rate."""


@dataclass(frozen=True)
class Optimisation:
    """The published values are the defaults (docs/method.md, "Optimisation").

    Args:
        learning_rate: of everything but the backbone and the text encoder.
        backbone_learning_rate: of the backbone and the text encoder.
        weight_decay: on every parameter.
        schedule: `drop`, or `cosine` (to a hundredth of the learning rate at the end).
        drop_at: with `drop`, share of the run after which rates fall to a tenth (epoch 15 of 20).
        warmup_steps: steps over which rates rise linearly from zero (published: 0).
        max_gradient_norm: the global norm that gradients are clipped to.
        precision: `fp32` or `bf16` (autocast).
        average_decay: decay of the moving average of the weights; None: no average.

    Raises:
        ValueError: an unknown precision or schedule.
    """

    learning_rate: float = 1.41e-4
    backbone_learning_rate: float = 1.41e-5
    weight_decay: float = 1e-4
    schedule: str = "drop"
    drop_at: float = 0.75
    warmup_steps: int = 0
    max_gradient_norm: float = 0.1
    precision: str = "fp32"
    average_decay: float | None = None

    def __post_init__(self) -> None:
        if self.precision not in {"fp32", "bf16"}:
            raise ValueError(f"optimisation.precision: {self.precision!r} is not fp32 or bf16")
        if self.schedule not in {"drop", "cosine"}:
            raise ValueError(f"optimisation.schedule: {self.schedule!r} is not drop or cosine")


def build_optimiser(
    model: nn.Module, options: Optimisation, backbone_prefixes: Sequence[str] = BACKBONE_PREFIXES
) -> torch.optim.AdamW:
    """AdamW over two groups: backbone and text encoder with their own learning rate, and the rest."""
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (backbone if name.startswith(tuple(backbone_prefixes)) else rest).append(parameter)
    groups = [
        {"params": rest, "lr": options.learning_rate},
        {"params": backbone, "lr": options.backbone_learning_rate},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=options.weight_decay)


def set_learning_rates(
    optimiser: torch.optim.Optimizer, options: Optimisation, step: int, steps: int
) -> None:
    """Set the rates of that step: a function of the step alone, so nothing of a schedule needs saving."""
    if options.schedule == "cosine":
        factor = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
    else:
        factor = 0.1 if step >= options.drop_at * steps else 1.0
    if step < options.warmup_steps:
        factor *= (step + 1) / options.warmup_steps
    for group in optimiser.param_groups:
        group.setdefault("full_rate", group["lr"])
        group["lr"] = group["full_rate"] * factor


class Average:
    """Exponential moving average of a model's floating-point state.

    Args:
        model: its present state is the first value.
        decay: share of the average that an update keeps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in _floats(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's state."""
        for name, value in _floats(model):
            self.state[name].lerp_(value.detach(), 1 - self.decay)


def _floats(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in model.state_dict().items() if value.is_floating_point())
