"""The optimiser, its schedule, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Optimisation:
    """Published values (reference §2.12) as defaults.

    Args:
        rate: learning rate; of the backbone and the text encoder: `slow_rate`.
        weight_decay: on every parameter.
        schedule: `drop`, or `cosine` (to a hundredth of the rate at the end).
        drop_at: with `drop`, share of the run after which rates fall to a tenth (epoch 15 of 20).
        warm_up: steps over which rates rise from zero (published: 0).
        clip: largest global gradient norm.
        precision: `fp32` or `bf16` (autocast).
        average: decay of the moving average of the weights; None: no average.
    """

    rate: float = 1.41e-4
    slow_rate: float = 1.41e-5
    weight_decay: float = 1e-4
    schedule: str = "drop"
    drop_at: float = 0.75
    warm_up: int = 0
    clip: float = 0.1
    precision: str = "fp32"
    average: float | None = None

    def __post_init__(self) -> None:
        if self.precision not in {"fp32", "bf16"}:
            raise ValueError(f"optimisation.precision: {self.precision!r} is not fp32 or bf16")
        if self.schedule not in {"drop", "cosine"}:
            raise ValueError(f"optimisation.schedule: {self.schedule!r} is not drop or cosine")


def adamw(model: nn.Module, options: Optimisation) -> torch.optim.AdamW:
    """AdamW over two groups: backbone and text encoder at the slow rate, the rest at the full one."""
    slow: list[nn.Parameter] = []
    full: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (slow if name.startswith(("backbone.", "text_encoder.")) else full).append(parameter)
    groups = [{"params": full, "lr": options.rate}, {"params": slow, "lr": options.slow_rate}]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=options.weight_decay)


def set_rates(optimiser: torch.optim.Optimizer, options: Optimisation, step: int, steps: int) -> None:
    """Rates of that step: a function of the step alone, so nothing of a schedule needs saving."""
    if options.schedule == "cosine":
        factor = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
    else:
        factor = 0.1 if step >= options.drop_at * steps else 1.0
    if step < options.warm_up:
        factor *= (step + 1) / options.warm_up
    for group in optimiser.param_groups:
        group.setdefault("full_rate", group["lr"])
        group["lr"] = group["full_rate"] * factor


class Average:
    """Exponential moving average of a model's floating-point state."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in _floats(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        for name, value in _floats(model):
            self.state[name].lerp_(value.detach(), 1 - self.decay)


def _floats(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in model.state_dict().items() if value.is_floating_point())
