"""What a step is made of: several batches, lower precision, parts that are not trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relforge.data import sources
from relforge.data.batches import Batches
from relforge.trainer import loop
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.processes import Processes
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from
from tests.trainer.group import Points, points

STEPS = 4
ALONE = Processes(0, 1, torch.device("cpu"))


class PointBatches:
    """Batches of points, `together` at a time."""

    def __init__(self, together: int = 1) -> None:
        self._together = together

    def from_step(self, start: int) -> Iterator[Points]:
        number = start * self._together
        while True:
            parts = [points(number + i, 0) for i in range(self._together)]
            yield Points(torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts]))
            number += self._together


def fit(out: Path, batches: PointBatches, steps: int = STEPS, **options: Any) -> dict[str, Tensor]:
    """Weights after training; `out/precision` is the type that the model computed in."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1))

    def step_loss(model: nn.Module, batch: Points, _: torch.Generator) -> dict[str, Tensor]:
        y = model(batch.x)
        (out / "precision").write_text(str(y.dtype))
        return {"total": (y.float() - batch.y).square().mean()}

    loop.train(
        model,
        batches,
        step_loss,
        Optimisation(learning_rate=0.1, **options),
        steps=steps,
        out=out,
        seed=0,
        processes=ALONE,
        settings={},
        report=lambda _: None,
    )
    return model.state_dict()


def test_a_step_of_three_batches_is_one_of_their_images_together(tmp_path: Path) -> None:
    accumulated = fit(tmp_path / "accumulated", PointBatches(), accumulate=3)
    together = fit(tmp_path / "together", PointBatches(3))
    for name, value in together.items():
        torch.testing.assert_close(accumulated[name], value, rtol=1e-4, atol=1e-5)


def test_a_run_of_several_batches_a_step_continues_with_the_batches_that_come_next(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", PointBatches(), accumulate=3)
    fit(tmp_path / "stopped", PointBatches(), steps=2, accumulate=3)
    resumed = fit(tmp_path / "stopped", PointBatches(), accumulate=3)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.parametrize(("precision", "used"), [("fp32", "torch.float32"), ("bf16", "torch.bfloat16")])
def test_precision_is_of_the_computation_and_not_of_the_weights(
    tmp_path: Path, precision: str, used: str
) -> None:
    weights = fit(tmp_path, PointBatches(), precision=precision, average_decay=0.9)
    assert (tmp_path / "precision").read_text() == used
    assert {value.dtype for value in weights.values()} == {torch.float32}
    average = torch.load(tmp_path / "snapshot.pt", weights_only=True)["average"]
    assert {value.dtype for value in average.values()} == {torch.float32}


def test_frozen_parts_keep_their_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1)).state_dict()
    trained = fit(tmp_path, PointBatches(), frozen=("0.",))
    for name, value in trained.items():
        assert torch.equal(value, start[name]) == name.startswith("0."), name


def test_a_frozen_part_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no parameter begins with 'encoder'; the parts are 0, 1"):
        fit(tmp_path, PointBatches(), frozen=("encoder",))


def test_less_than_one_batch_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"optimisation\.accumulate: 0 is no number of batches"):
        Optimisation(accumulate=0)


def test_losses_per_pair_are_divided_by_the_mean_over_the_batches_of_a_step(settings: dict[str, Any]) -> None:
    data = sources.load_relations(settings["data"])
    batches = Batches(data, settings_from(settings).batch, 0, batches_per_step=3)
    made = batches.from_step(3)
    parts = [next(made) for _ in range(3)]
    counts = [sum(len(targets) for targets in part.targets) for part in parts]
    assert len(set(counts)) > 1
    for part, number in zip(parts, (3, 4, 5), strict=True):
        assert torch.equal(part.images, batches.at(number).images)
        assert relations.mean_pairs(part, ALONE) == pytest.approx(sum(counts) / 3)


def test_an_epoch_has_fewer_steps_the_more_batches_a_step_takes(settings: dict[str, Any]) -> None:
    del settings["steps"]  # six batches an epoch
    settings["optimisation"] |= {"accumulate": 3}
    relations.main(settings | {"epochs": 1})
    assert len((Path(settings["out"]) / "log.jsonl").read_text().splitlines()) == 2
