"""Learning-rate schedules: by what factor each part of a model learns in a step.

`drop`, `cosine` and `cosine_restarts` set the rate of a step before it. The others are RLIPv2's own (its
`--schedule`), which set rates after the step: the first step runs at full rate, and a drop comes one step
late.
"""

from __future__ import annotations

import math
from collections.abc import Callable

PARTS = ("rest", "backbone", "text")
"""Parts of a model with a learning rate of their own."""

_WARM = 0.01
"""Share of the run over which the published linear schedules rise."""


def _drop(step: int, steps: int, drop_at: float, to: float = 0.1) -> dict[str, float]:
    return dict.fromkeys(PARTS, to if step >= drop_at * steps else 1.0)


def _cosine(step: int, steps: int, drop_at: float) -> dict[str, float]:
    return dict.fromkeys(PARTS, 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)


def _cosine_restarts(step: int, steps: int, drop_at: float) -> dict[str, float]:
    period = drop_at * steps
    return dict.fromkeys(PARTS, (1 + math.cos(math.pi * (step % period) / period)) / 2)


def _linear(step: int, steps: int) -> float:
    warm = round(_WARM * steps)
    return step / warm if step < warm else max(0.0, (steps - step) / (steps - warm))


def _step(step: int, steps: int, drop_at: float) -> dict[str, float]:
    return _drop(step - 1, steps, drop_at)


def _multistep(step: int, steps: int, drop_at: float) -> dict[str, float]:
    return _drop(step - 1, steps, drop_at, to=0.5)


def _linear_with_warmup(step: int, steps: int, drop_at: float) -> dict[str, float]:
    text = 1.0 if step == 0 else _linear(step - 1, steps)
    return _drop(step - 1, steps, drop_at) | {"text": text}


def _all_linear_with_warmup(step: int, steps: int, drop_at: float) -> dict[str, float]:
    return dict.fromkeys(PARTS, 1.0 if step == 0 else _linear(step - 1, steps))


SCHEDULES: dict[str, Callable[[int, int, float], dict[str, float]]] = {
    "drop": _drop,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
    "step": _step,
    "multistep": _multistep,
    "linear_with_warmup": _linear_with_warmup,
    "all_linear_with_warmup": _all_linear_with_warmup,
}
"""Name -> a function of step, steps and the share of the run after which rates drop: part -> factor."""
