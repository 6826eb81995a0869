"""What the loop does to the weights: learning rates, schedules, warm-up, clipping, the moving average.

AdamW moves a weight by exactly its learning rate in each step while its gradient is constant, so the steps
of a weight are the learning rates of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest
import torch
from torch import Tensor, nn

from relforge.trainer import loop
from relforge.trainer.errors import Diverged
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.processes import Processes

STEPS = 20
RATE = 1e-2


class Slope:
    """A batch: the gradient of every weight."""

    def __init__(self, gradient: float) -> None:
        self.gradient = gradient

    def to(self, device: torch.device) -> Self:
        return self


class Slopes:
    def __init__(self, gradient: float = 1.0) -> None:
        self._gradient = gradient

    def from_step(self, start: int) -> Iterator[Slope]:
        while True:
            yield Slope(self._gradient)


class Weights(nn.Module):
    """One weight in each part of a model."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("backbone", "text_encoder", "decoder"):
            part = nn.Linear(1, 1, bias=False)
            nn.init.zeros_(part.weight)
            self.add_module(name, part)

    def values(self) -> dict[str, float]:
        return {name.split(".")[0]: float(p.detach()) for name, p in self.named_parameters()}


def run(
    out: Path, options: Optimisation, steps: int = STEPS, gradient: float = 1.0
) -> list[dict[str, float]]:
    """Values of the weights before every step and after the last one."""
    model = Weights()
    values: list[dict[str, float]] = []

    def step_loss(_: nn.Module, batch: Slope, __: torch.Generator) -> dict[str, Tensor]:
        values.append(model.values())
        return {"total": batch.gradient * torch.stack([p.sum() for p in model.parameters()]).sum()}

    loop.train(
        model,
        Slopes(gradient),
        step_loss,
        options,
        steps=steps,
        out=out,
        seed=0,
        processes=Processes(0, 1, torch.device("cpu")),
        settings={},
        report=lambda _: None,
    )
    return [*values, model.values()]


def rates(values: list[dict[str, float]], part: str = "decoder") -> list[float]:
    """Learning rate of every step."""
    return [before[part] - after[part] for before, after in pairwise(values)]


def options(**changed: float | str) -> Optimisation:
    plain = {"learning_rate": RATE, "backbone_learning_rate": RATE, "weight_decay": 0.0, "drop_at": 1.0}
    return Optimisation(**{**plain, **changed})  # type: ignore[arg-type]


def test_backbone_and_text_encoder_learn_at_their_own_rate(tmp_path: Path) -> None:
    values = run(tmp_path, options(backbone_learning_rate=RATE / 8))
    assert rates(values, "decoder") == pytest.approx([RATE] * STEPS, rel=1e-3)
    for part in ("backbone", "text_encoder"):
        assert rates(values, part) == pytest.approx([RATE / 8] * STEPS, rel=1e-3)


def test_rates_fall_to_a_tenth_at_drop_at(tmp_path: Path) -> None:
    found = rates(run(tmp_path, options(drop_at=0.75)))
    assert found == pytest.approx([RATE] * 15 + [RATE / 10] * 5, rel=1e-3)


def test_cosine_falls_to_a_hundredth(tmp_path: Path) -> None:
    found = rates(run(tmp_path, options(schedule="cosine")))
    expected = [
        RATE * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))) for step in range(STEPS)
    ]
    assert found == pytest.approx(expected, rel=1e-3)
    assert found[0] == pytest.approx(RATE, rel=1e-3)
    assert found[STEPS // 2] == pytest.approx(0.505 * RATE, rel=1e-3)
    assert found[-1] < 0.02 * RATE


def test_the_cosine_restarts_at_its_full_rate(tmp_path: Path) -> None:
    found = rates(run(tmp_path, options(schedule="cosine_restarts", drop_at=0.5)))
    once = [RATE * (0.5 + 0.5 * math.cos(math.pi * step / (STEPS // 2))) for step in range(STEPS // 2)]
    assert found == pytest.approx(once + once, rel=1e-3)


@pytest.mark.parametrize("schedule", ["drop", "cosine"])
def test_warm_up_raises_rates_linearly_from_zero(tmp_path: Path, schedule: str) -> None:
    plain = rates(run(tmp_path / "plain", options(schedule=schedule)))
    warmed = rates(run(tmp_path / "warmed", options(schedule=schedule, warmup_steps=5)))
    factors = [0.2, 0.4, 0.6, 0.8] + [1.0] * (STEPS - 4)
    assert warmed == pytest.approx([f * rate for f, rate in zip(factors, plain, strict=True)], rel=1e-3)


@pytest.mark.parametrize(
    ("gradient", "clipped"),
    [
        (4.0, 0.5 / math.sqrt(3)),  # the norm of three gradients of 4 is cut to 0.5
        (0.1, 0.1),  # 0.17 is below the limit
    ],
)
def test_gradients_are_clipped_by_their_global_norm(tmp_path: Path, gradient: float, clipped: float) -> None:
    run(tmp_path, options(max_gradient_norm=0.5), steps=1, gradient=gradient)
    state = torch.load(tmp_path / "snapshot.pt", weights_only=True)["optimiser"]["state"]
    # after one step AdamW's first moment is a tenth of the gradient that it was given
    assert [float(one["exp_avg"]) * 10 for one in state.values()] == pytest.approx([clipped] * 3, rel=1e-4)


def test_the_average_keeps_its_decay_of_the_past(tmp_path: Path) -> None:
    model_values = run(tmp_path, options(average_decay=0.9), steps=3)
    expected = model_values[0]["decoder"]
    for value in model_values[1:]:
        expected = 0.9 * expected + 0.1 * value["decoder"]
    average = torch.load(tmp_path / "snapshot.pt", weights_only=True)["average"]
    assert float(average["decoder.weight"]) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_names_its_step(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="step 0: the loss is nan, so the training diverged"):
        run(tmp_path, options(), gradient=math.nan)


def test_a_step_whose_loss_is_not_finite_is_in_no_snapshot(tmp_path: Path) -> None:
    # its loss is read one step late, and this step would save
    with pytest.raises(Diverged, match="step 0"):
        run(tmp_path, options(), steps=1, gradient=math.nan)

    assert not list(tmp_path.glob("snapshot*"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"precision": "fp8"}, "'fp8' is not fp32 or bf16"),
        ({"schedule": "steps"}, "'steps'; choose one of drop, cosine, cosine_restarts, step, multistep"),
    ],
)
def test_unknown_choices_are_refused(changed: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options(**changed)
