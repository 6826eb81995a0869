"""Learning-rate schedules by the published names give the published rates (golden g15)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from torch import nn

from relforge.trainer.optimiser import Optimisation, build_optimiser, set_learning_rates
from relforge.trainer.schedules import PARTS

KEY = "learning_rates (set after the step)"


class Parts(nn.Module):
    """One weight in each part of a model."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("backbone", "text_encoder", "decoder"):
            self.add_module(name, nn.Linear(1, 1, bias=False))


def test_rates_are_the_published_ones_one_step_later(shared: Any) -> None:
    stored = json.loads(shared("goldens/g15_fine_tuning.json").read_text())[KEY]
    assert {row["schedule"] for row in stored} == {
        "step",
        "multistep",
        "linear_with_warmup",
        "all_linear_with_warmup",
    }
    for row in stored:
        options = Optimisation(schedule=row["schedule"])
        optimiser = build_optimiser(Parts(), options)
        # what is set after a step holds in the next one
        set_learning_rates(optimiser, options, row["step"] + 1, row["of"])
        rates = {group["part"]: group["lr"] for group in optimiser.param_groups}
        assert [rates[part] for part in PARTS] == pytest.approx(row["lrs (rest, backbone, text)"], rel=1e-12)


@pytest.mark.parametrize("schedule", ["step", "linear_with_warmup", "all_linear_with_warmup"])
def test_the_first_step_of_a_published_schedule_has_the_full_rate(schedule: str) -> None:
    options = Optimisation(schedule=schedule, text_learning_rate=3e-6)
    optimiser = build_optimiser(Parts(), options)
    set_learning_rates(optimiser, options, 0, 4000)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([1.41e-4, 1.41e-5, 3e-6])
