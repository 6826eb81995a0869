"""One process of a group: fits a line to points that differ between processes, then trains a recipe.

    python -m torch.distributed.run --nproc-per-node 2 tests/trainer/group.py OUT RECIPE

Leaves in OUT `weights-BATCHES-RANK.pt` of the line, by the batches of a step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from relforge.trainer import loop
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.processes import Processes, join
from relforge.trainer.recipes import relations

STEPS = 4


@dataclass(frozen=True)
class Points:
    """x and y, n x 1 each."""

    x: Tensor
    y: Tensor

    def to(self, device: torch.device) -> Points:
        return Points(self.x.to(device), self.y.to(device))


def points(step: int, rank: int) -> Points:
    """Points that differ in every step and process."""
    generator = torch.Generator().manual_seed(100 * step + rank)
    x = torch.randn(6, 1, generator=generator) + 5 * rank
    return Points(x, (3 - 7 * rank) * x + rank)


class PointBatches:
    """Batches of those ranks, concatenated."""

    def __init__(self, *ranks: int) -> None:
        self._ranks = ranks

    def from_step(self, start: int) -> Iterator[Points]:
        for step in range(start, STEPS):
            parts = [points(step, rank) for rank in self._ranks]
            yield Points(torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts]))


def fit(out: Path, processes: Processes, *ranks: int, accumulate: int = 1) -> dict[str, Tensor]:
    """Weights of a line that was fitted to the points of `ranks`, `accumulate` batches a step."""
    torch.manual_seed(0)
    line = nn.Linear(1, 1)

    def step_loss(model: nn.Module, batch: Points, _: torch.Generator) -> dict[str, Tensor]:
        return {"total": (model(batch.x) - batch.y).square().mean()}

    loop.train(
        line,
        PointBatches(*ranks),
        step_loss,
        Optimisation(learning_rate=0.1, accumulate=accumulate),
        steps=STEPS // accumulate,
        out=out,
        seed=0,
        processes=processes,
        settings={},
        log_every=1,
    )
    return line.state_dict()


def main(out: Path, recipe: Path) -> None:
    group = join()
    for accumulate in (1, 2):
        weights = fit(out / f"line-{accumulate}", group, group.rank, accumulate=accumulate)
        torch.save(weights, out / f"weights-{accumulate}-{group.rank}.pt")
    relations.main(yaml.safe_load(recipe.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
