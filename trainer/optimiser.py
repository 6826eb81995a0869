"""The optimiser, its learning-rate schedule, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relforge.trainer.schedules import PARTS, SCHEDULES

BACKBONE_PREFIXES = ("backbone.", "text_encoder.")
"""Parameters under these names are pre-trained and learn at their own rate."""

_TEXT_PREFIX = "text_encoder."
_FUSED = {"cpu", "cuda"}


@dataclass(frozen=True)
class Optimisation:
    """The published values are the defaults (docs/method.md, "Optimisation").

    Args:
        learning_rate: of everything but the backbone and the text encoder.
        backbone_learning_rate: of the backbone.
        text_learning_rate: of the text encoder; None: that of the backbone.
        weight_decay: on every parameter.
        schedule: `drop` (to a tenth), `cosine` (to a hundredth at the end), `cosine_restarts` (to zero, again
            and again; DEFR's), or one of RLIPv2's by its name: `step` (to a tenth), `multistep` (to a half),
            `linear_with_warmup` (`step`, linear for the text encoder) and `all_linear_with_warmup`.
        drop_at: share of the run after which rates drop (epoch 15 of 20), or after which the cosine restarts.
        warmup_steps: steps over which rates rise linearly from zero (published: 0).
        max_gradient_norm: the global norm that gradients are clipped to.
        precision: `fp32` or `bf16` (autocast).
        average_decay: decay of the moving average of the weights; None: no average.
        accumulate: batches per step; the step follows the mean of their gradients.
        checkpoint_activations: compute the layers' activations again in the backward pass instead of keeping
            them: less memory for one more forward pass, the same gradients.
        frozen: parameters whose names begin with one of these are not trained.

    Raises:
        ValueError: an unknown precision or schedule, or less than one batch per step.
    """

    learning_rate: float = 1.41e-4
    backbone_learning_rate: float = 1.41e-5
    text_learning_rate: float | None = None
    weight_decay: float = 1e-4
    schedule: str = "drop"
    drop_at: float = 0.75
    warmup_steps: int = 0
    max_gradient_norm: float = 0.1
    precision: str = "fp32"
    average_decay: float | None = None
    accumulate: int = 1
    checkpoint_activations: bool = False
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in {"fp32", "bf16"}:
            raise ValueError(f"optimisation.precision: {self.precision!r} is not fp32 or bf16")
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"optimisation.schedule: {self.schedule!r}; choose one of {', '.join(SCHEDULES)}"
            )
        if isinstance(self.frozen, str):
            raise ValueError(f"optimisation.frozen: expected a list of prefixes, found {self.frozen!r}")
        if self.accumulate < 1:
            raise ValueError(
                f"optimisation.accumulate: {self.accumulate} is no number of batches, at least 1"
            )


def freeze(model: nn.Module, prefixes: Sequence[str]) -> None:
    """Train nothing whose name begins with one of the prefixes, in place.

    Raises:
        ValueError: no parameter has such a name.
    """
    for prefix in prefixes:
        named = [p for name, p in model.named_parameters() if name.startswith(prefix)]
        if not named:
            parts = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
            raise ValueError(
                f"optimisation.frozen: no parameter begins with {prefix!r}; the parts are {', '.join(parts)}"
            )
        for parameter in named:
            parameter.requires_grad_(False)


def build_optimiser(
    model: nn.Module, options: Optimisation, backbone_prefixes: Sequence[str] = BACKBONE_PREFIXES
) -> torch.optim.AdamW:
    """AdamW over groups with their own learning rates: text encoder, other pre-trained parts, the rest. One
    pass over the weights where PyTorch has it fused."""
    rates = {
        "rest": options.learning_rate,
        "backbone": options.backbone_learning_rate,
        "text": options.backbone_learning_rate
        if options.text_learning_rate is None
        else options.text_learning_rate,
    }
    parts: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            trained_before = name.startswith(tuple(backbone_prefixes))
            text = trained_before and name.startswith(_TEXT_PREFIX)
            parts["text" if text else "backbone" if trained_before else "rest"].append(parameter)
    groups = [{"params": params, "lr": rates[part], "part": part} for part, params in parts.items() if params]
    devices = {parameter.device.type for parameter in model.parameters()}
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay, fused=devices <= _FUSED)


def set_learning_rates(
    optimiser: torch.optim.Optimizer, options: Optimisation, step: int, steps: int
) -> None:
    """Set the rates of that step: a function of the step alone, so nothing of a schedule needs saving."""
    factors = SCHEDULES[options.schedule](step, steps, options.drop_at)
    warm = min(1.0, (step + 1) / options.warmup_steps) if options.warmup_steps else 1.0
    for group in optimiser.param_groups:
        group.setdefault("full_rate", group["lr"])
        group["lr"] = group["full_rate"] * (factors[group["part"]] * warm)


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
        names, values = zip(*_floats(model), strict=True)
        torch._foreach_lerp_([self.state[name] for name in names], values, 1 - self.decay)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from the values of a snapshot; the average stays on the model's device."""
        for name, value in self.state.items():
            value.copy_(state[name])


def _floats(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in model.state_dict().items() if value.is_floating_point())
